"""Runs after the first."""


def test_check_mode_announces_nothing(deploy, servers):
    """Where all is as it should be, a dry run has nothing to say: people rely on it to see what somebody changed."""
    run = deploy("--check", "--diff")
    assert run.code == 0, run.output
    assert run.hosts == {server: {"changed": 0, "failed": 0} for server in servers}, run.changes
