"""The README's five steps, run as they are written in a fresh clone, except for the server's name."""


def test_five_steps_deploy_and_verify(deployments, server):
    """The server is deployed and verified by the client."""
    result = deployments[server]
    assert result.rc == 0, result.stdout + result.stderr
    assert result.stdout.count("failed=0") == 2


def test_second_run_changes_nothing(node, server):
    """A second run reports no changes."""
    run = node.playbook("site.yml")
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.changes


def test_secrets_are_ignored_by_git(node):
    """Generated files beside the inventory are ignored; `git status` shows only the edited file."""
    assert node.run("git status --porcelain").stdout == " M inventory/hosts.yml\n"
