"""The kit as a directory of another repository, as docs/another-repository.md says, and its roles in any playbook."""

import pytest
import yaml
from shared.deployment import PROJECT
from support.readme import blocks, section

DOCUMENT = "docs/another-repository.md"
OTHER = "/root/other"
# pypi comes with each of them.
ROLES = sorted({path.name for path in (PROJECT / "roles").iterdir()} - {"pypi"})
SITE = yaml.safe_load((PROJECT / "site.yml").read_text(encoding="utf-8"))[0]


@pytest.fixture(scope="module")
def other(node, server):
    """A repository with the kit as a submodule, and the same inventory. Returns what became of the document's lines."""
    begin = f"rm -rf {OTHER} && git init -q {OTHER} && git config --global protocol.file.allow always"
    node.machine.check_output(begin)
    first, *rest = blocks(section(DOCUMENT, "Set it up"))
    words = {"<this repository>": "/root/origin", "pypi.example.com": server}
    added = node.do([first], OTHER, words)
    assert added.rc == 0, added.stdout + added.stderr
    # It would take a minute to make the same once more.
    node.machine.check_output(f"cp -a /root/wheelhouse/.venv {OTHER}/wheelhouse/.venv")
    node.machine.check_output(f"touch {OTHER}/wheelhouse/.venv/made && cp -a /root/wheelhouse/inventory {OTHER}/")
    return node.do(rest, OTHER, words)


@pytest.fixture(scope="module")
def _single_roles(node, other):  # noqa: ARG001
    """What the document says about plays of single roles."""
    assert node.do(blocks(section(DOCUMENT, "Single roles")), OTHER, {}).rc == 0


def test_import(other):
    """The imported playbooks find all that is theirs: nothing has changed, and the index is verified."""
    assert other.rc == 0, other.stdout + other.stderr
    assert other.stdout.count("failed=0") == 2
    assert "changed=0" in other.stdout


def test_no_line_in_ansible_cfg(node, other):  # noqa: ARG001
    """The repository has none."""
    assert node.run(f"test -e {OTHER}/ansible.cfg").rc != 0


@pytest.mark.usefixtures("_single_roles")
def test_the_documents_play(node, server):
    """A play of a single role, below playbooks/, as the document has it."""
    run = node.playbook("playbooks/accounts.yml", directory=OTHER)
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.output


def alone(role: str) -> dict:
    """Return a play of one role."""
    play = {key: SITE[key] for key in ("hosts", "become", "gather_facts")} | {"roles": [role]}
    return play | ({"become": False} if role == "verify" else {})


@pytest.mark.usefixtures("_single_roles")
@pytest.mark.parametrize("role", ROLES)
def test_role_alone(node, server, role):
    """Each role by itself, in a playbook of the other repository: it finds its settings, templates and modules."""
    node.write(f"{OTHER}/playbooks/alone.yml", yaml.safe_dump([alone(role)]))
    run = node.playbook("playbooks/alone.yml", directory=OTHER)
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.output


def test_plays_below_playbooks(node, server):
    """In this repository, too, with a play of each role."""
    node.write("/root/wheelhouse/playbooks/alone.yml", yaml.safe_dump([alone(role) for role in ROLES]))
    run = node.playbook("playbooks/alone.yml")
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.output
