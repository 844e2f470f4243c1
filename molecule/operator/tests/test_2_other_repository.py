"""The kit as a submodule of another repository (docs/another-repository.md), and its roles in any playbook."""

import pytest
import yaml
from shared.deployment import PROJECT
from support.readme import blocks, section

DOCUMENT = "docs/another-repository.md"
OTHER = "/root/other"
SITE = yaml.safe_load((PROJECT / "site.yml").read_text(encoding="utf-8"))[0]
# Each of them includes the role pypi.
ROLES = sorted({entry["role"] for entry in SITE["roles"]} - {"pypi"} | {"verify"})


@pytest.fixture(scope="session")
def other_repositories(deployments, on_all_nodes):  # noqa: ARG001
    """Set up repositories with the kit as a submodule and the same inventory. Returns {server: result}."""

    def set_up(node, server):
        begin = f"rm -rf {OTHER} && git init -q {OTHER} && git config --global protocol.file.allow always"
        node.machine.check_output(begin)
        first, *rest = blocks(section(DOCUMENT, "Set it up"))
        replacements = {"<this repository>": "/root/origin", "pypi.example.com": server}
        added = node.run_blocks([first], OTHER, replacements)
        assert added.rc == 0, added.stdout + added.stderr
        # Copy the virtualenv to save the minute that building it takes.
        node.machine.check_output(f"cp -a /root/wheelhouse/.venv {OTHER}/wheelhouse/.venv")
        node.machine.check_output(f"touch {OTHER}/wheelhouse/.venv/made && cp -a /root/wheelhouse/inventory {OTHER}/")
        result = node.run_blocks(rest, OTHER, replacements)
        assert node.run(f"test -e {OTHER}/ansible.cfg").rc != 0, "the document says that none is needed"
        return result

    return on_all_nodes(set_up)


@pytest.fixture(scope="session")
def single_roles(other_repositories, on_all_nodes):  # noqa: ARG001
    """Run the commands of the document's section about single roles. Returns {server: result}."""
    return on_all_nodes(lambda node, _server: node.run_blocks(blocks(section(DOCUMENT, "Single roles")), OTHER, {}))


@pytest.fixture(scope="session")
def plays(single_roles, on_all_nodes):
    """Run a play of each role, in playbooks/ of the other repository. Returns {server: run}."""
    assert all(result.rc == 0 for result in single_roles.values())

    def run(node, _server):
        node.write(f"{OTHER}/playbooks/alone.yml", yaml.safe_dump([single_role_play(role) for role in ROLES]))
        return node.playbook("playbooks/alone.yml", directory=OTHER)

    return on_all_nodes(run)


def test_imported_playbooks_work(other_repositories, server):
    """The imported playbooks find the kit's files: they change nothing and verify the index."""
    result = other_repositories[server]
    assert result.rc == 0, result.stdout + result.stderr
    assert result.stdout.count("failed=0") == 2
    assert "changed=0" in result.stdout


@pytest.mark.usefixtures("single_roles")
def test_documented_single_role_play(node, server):
    """The documented play of a single role works from playbooks/."""
    run = node.playbook("playbooks/accounts.yml", directory=OTHER)
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.output


def single_role_play(role: str) -> dict:
    """Return a play of one role."""
    play = {key: SITE[key] for key in ("hosts", "become", "gather_facts")} | {"roles": [role]}
    return play | ({"become": False} if role == "verify" else {})


def test_plays_of_single_roles(plays, server):
    """Each role finds its settings, templates and modules."""
    assert plays[server].hosts == {server: {"changed": 0, "failed": 0}}, plays[server].output
