"""Repeated runs."""


def test_check_mode_reports_no_changes(deploy, servers):
    """A dry run on an unchanged server reports nothing, so that it can be used to detect drift."""
    run = deploy("--check", "--diff")
    assert run.code == 0, run.output
    assert run.hosts == {server: {"changed": 0, "failed": 0} for server in servers}, run.changes
