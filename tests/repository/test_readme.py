"""The README's code blocks, which the tests of the operator scenario run."""

import yaml
from support.readme import blocks, paragraphs, section

STEPS = "Go to production in five steps"


def test_deployment_steps_are_found() -> None:
    """Each step has a code block, and files begin with their name."""
    found = blocks(section("README.md", STEPS))
    assert len(found) == 4
    (inventory,) = [block for block in found if block.startswith("# inventory/hosts.yml\n")]
    assert yaml.safe_load(inventory) == {"pypi_servers": {"hosts": {"pypi.example.com": {"ansible_user": "admin"}}}}
    assert found[-1] == "ansible-playbook playbooks/verify.yml -i inventory\n"


def test_client_commands_are_found() -> None:
    """Each client program has its commands."""
    (lines,) = [block for block in blocks(section("README.md", "Use it")) if "# twine" in block]
    assert [name.split(";")[0] for name in paragraphs(lines)] == ["all of them", "pip", "uv", "twine", "poetry"]


def test_blocks_are_parsed() -> None:
    """Code blocks are parsed as they are written, also in lists."""
    text = "text\n\n    a\n\n      b\n\ntext\n1. text\n   text:\n\n       c\n\n   text\n"
    assert blocks(text) == ["a\n\n  b\n", "c\n"]
