"""The README's five steps, executed as they are written in a fresh clone; only the server's name is another."""


def test_steps(deployments, server):
    """The server is deployed, and verified from outside."""
    result = deployments[server]
    assert result.rc == 0, result.stdout + result.stderr
    assert result.stdout.count("failed=0") == 2


def test_second_run_changes_nothing(node, server):
    """As the README says."""
    run = node.playbook("site.yml")
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.changes


def test_secrets_stay_out_of_git(node):
    """What the run has left beside the inventory is ignored; what was edited is what git shows."""
    assert node.run("git status --porcelain").stdout == " M inventory/hosts.yml\n"
