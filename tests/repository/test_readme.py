"""The README's code blocks, as the tests on machines execute them."""

import yaml
from support.readme import blocks, paragraphs, section

STEPS = "Go to production in five steps"


def test_steps() -> None:
    """Each step of the deployment has a block, and what is to be a file says which one."""
    found = blocks(section("README.md", STEPS))
    assert len(found) == 4
    (inventory,) = [block for block in found if block.startswith("# inventory/hosts.yml\n")]
    assert yaml.safe_load(inventory) == {"pypi_servers": {"hosts": {"pypi.example.com": {"ansible_user": "admin"}}}}
    assert found[-1] == "ansible-playbook playbooks/verify.yml -i inventory\n"


def test_clients() -> None:
    """Every program has its lines."""
    (lines,) = [block for block in blocks(section("README.md", "Use it")) if "# twine" in block]
    assert [name.split(";")[0] for name in paragraphs(lines)] == ["all of them", "pip", "uv", "twine", "poetry"]


def test_a_block() -> None:
    """What is read is what is written, also in a list."""
    text = "text\n\n    a\n\n      b\n\ntext\n1. text\n   text:\n\n       c\n\n   text\n"
    assert blocks(text) == ["a\n\n  b\n", "c\n"]
