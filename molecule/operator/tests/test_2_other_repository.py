"""The kit as a directory of another repository, as docs/another-repository.md says, and its roles in any playbook."""

import pytest
import yaml
from shared.deployment import PROJECT
from support.readme import blocks, section

DOCUMENT = "docs/another-repository.md"
OTHER = "/root/other"
KIT = "/root/wheelhouse"
# pypi comes with each of them.
ROLES = sorted({path.name for path in (PROJECT / "roles").iterdir()} - {"pypi"})
SITE = yaml.safe_load((PROJECT / "site.yml").read_text(encoding="utf-8"))[0]


@pytest.fixture(scope="session")
def others(deployments, at_each):  # noqa: ARG001
    """Repositories with the kit as a submodule, and the same inventory: {server: result of the document's lines}."""

    def set_up(node, server):
        begin = f"rm -rf {OTHER} && git init -q {OTHER} && git config --global protocol.file.allow always"
        node.machine.check_output(begin)
        first, *rest = blocks(section(DOCUMENT, "Set it up"))
        words = {"<this repository>": "/root/origin", "pypi.example.com": server}
        added = node.do([first], OTHER, words)
        assert added.rc == 0, added.stdout + added.stderr
        # It would take a minute to make the same once more.
        node.machine.check_output(f"cp -a /root/wheelhouse/.venv {OTHER}/wheelhouse/.venv")
        node.machine.check_output(f"touch {OTHER}/wheelhouse/.venv/made && cp -a /root/wheelhouse/inventory {OTHER}/")
        result = node.do(rest, OTHER, words)
        assert node.run(f"test -e {OTHER}/ansible.cfg").rc != 0, "the document says that none is needed"
        return result

    return at_each(set_up)


@pytest.fixture(scope="session")
def single_roles(others, at_each):  # noqa: ARG001
    """What the document says about plays of single roles: {server: result}."""
    return at_each(lambda node, _server: node.do(blocks(section(DOCUMENT, "Single roles")), OTHER, {}))


@pytest.fixture(scope="session")
def plays(single_roles, at_each):
    """A playbook with a play of each role, below playbooks/ of either repository: {server: {directory: run}}."""
    assert all(result.rc == 0 for result in single_roles.values())

    def run(node, _server):
        runs = {}
        for directory in (OTHER, KIT):
            node.write(f"{directory}/playbooks/alone.yml", yaml.safe_dump([alone(role) for role in ROLES]))
            runs[directory] = node.playbook("playbooks/alone.yml", directory=directory)
        return runs

    return at_each(run)


def test_import(others, server):
    """The imported playbooks find all that is theirs: nothing has changed, and the index is verified."""
    result = others[server]
    assert result.rc == 0, result.stdout + result.stderr
    assert result.stdout.count("failed=0") == 2
    assert "changed=0" in result.stdout


@pytest.mark.usefixtures("single_roles")
def test_the_documents_play(node, server):
    """A play of a single role, below playbooks/, as the document has it."""
    run = node.playbook("playbooks/accounts.yml", directory=OTHER)
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.output


def alone(role: str) -> dict:
    """Return a play of one role."""
    play = {key: SITE[key] for key in ("hosts", "become", "gather_facts")} | {"roles": [role]}
    return play | ({"become": False} if role == "verify" else {})


@pytest.mark.parametrize("directory", [OTHER, KIT])
def test_plays_of_single_roles(plays, server, directory):
    """Each role finds its settings, templates and modules."""
    run = plays[server][directory]
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.output
