"""playbooks/rollback.yml returns to an earlier release, and site.yml goes forward again."""

import pytest
from shared.deployment import ansible_playbook

ROLLBACK = "playbooks/rollback.yml"
CURRENT = "readlink /opt/pypi/current"
# Every file that a rollback could change, with its digest.
STATE = "readlink /opt/pypi/current; sha256sum /etc/pypi/settings.json; wheelhouse --help | sha256sum"


def on_all(servers, command: str) -> dict[str, str]:
    """Return the output of a command on each server."""
    return {server: host.check_output(command) for server, host in servers.items()}


@pytest.fixture(scope="session")
def newer(deployed, deploy, inventory, servers, changed_kit):
    """Deploy the kit, then a newer version of it. Returns the releases before and after."""
    assert deployed[1].code == 0
    assert deploy().code == 0
    before = on_all(servers, CURRENT)
    run = ansible_playbook(inventory, changed_kit("__init__.py", "# a newer version"))
    assert run.code == 0, run.output
    after = on_all(servers, CURRENT)
    assert all(before[server] != after[server] for server in servers)
    return before, after


@pytest.fixture(scope="session")
def returned(newer, inventory, servers):
    """Return to the previous release. Returns the run, and the releases that were active after it."""
    assert newer
    run = ansible_playbook(inventory, ROLLBACK)
    return run, on_all(servers, CURRENT)


def test_rollback_activates_previous_release(newer, returned):
    """The release from before the newest one is active, and the playbook has checked the index."""
    run, active = returned
    assert run.code == 0, run.output
    assert active == newer[0]


@pytest.mark.usefixtures("returned")
def test_index_works_after_rollback(host, publish, fetch):
    """The application and the command are those of the active release."""
    assert publish("6.0").status == 200
    assert fetch("/-/health").status == 200
    assert fetch("/simple/acme-demo/", user="alice").status == 200
    assert host.run("wheelhouse check").rc == 0


@pytest.mark.usefixtures("returned")
@pytest.mark.parametrize("name", ["000000000000", "current"])
def test_rollback_to_missing_release_changes_nothing(inventory, servers, name):
    """The message lists the releases."""
    before = on_all(servers, STATE)
    run = ansible_playbook(inventory, ROLLBACK, "-e", f"pypi_release={name}")
    assert run.code != 0
    assert f"There is no release '{name}'" in run.normalized_output
    assert "is active" in run.normalized_output
    assert on_all(servers, STATE) == before


@pytest.mark.usefixtures("returned")
def test_rollback_to_damaged_release_changes_nothing(inventory, servers, newer):
    """A release that differs from its manifest is not activated. It is repaired, so that others find it intact."""
    before = on_all(servers, STATE)
    for server, host in servers.items():
        host.check_output(f"echo >>/opt/pypi/{newer[1][server]}/application/wheelhouse/__init__.py")
    try:
        for server in servers:
            run = ansible_playbook(inventory, ROLLBACK, "--limit", server, "-e", f"pypi_release={newer[1][server]}")
            assert run.code != 0
            assert "is damaged: application/wheelhouse/__init__.py was changed" in run.normalized_output
    finally:
        for server, host in servers.items():
            host.check_output(f"truncate --size=-1 /opt/pypi/{newer[1][server]}/application/wheelhouse/__init__.py")
    assert on_all(servers, STATE) == before


@pytest.mark.usefixtures("returned")
def test_rollback_to_named_release_goes_forward(inventory, servers, newer):
    """A name selects a newer release, too. A dry run before it changes nothing."""
    for server in servers:
        options = ("--limit", server, "-e", f"pypi_release={newer[1][server]}")
        before = on_all(servers, STATE)
        dry = ansible_playbook(inventory, ROLLBACK, "--check", *options)
        assert dry.code == 0, dry.output
        assert on_all(servers, STATE) == before
        run = ansible_playbook(inventory, ROLLBACK, *options)
        assert run.code == 0, run.output
    assert on_all(servers, CURRENT) == newer[1]


@pytest.mark.usefixtures("returned")
def test_site_activates_the_release_of_the_kit(deploy, servers, newer, unchanged):
    """A run goes to the release of the kit, without building it again."""
    run = deploy()
    assert run.code == 0, run.output
    assert on_all(servers, CURRENT) == newer[0]
    assert not any("build | " in task for tasks in run.changes.values() for task in tasks)
    again = deploy()
    assert again.hosts == unchanged, again.changes


@pytest.mark.usefixtures("returned")
def test_run_removes_interrupted_builds_and_old_releases(deploy, inventory, servers, newer, changed_kit):
    """The number of releases is limited. Kept are the one that was in use, and the one that a rollback activates."""
    interrupted, old = "/opt/pypi/aaaaaaaaaaaa", "/opt/pypi/bbbbbbbbbbbb"
    for server, host in servers.items():
        host.check_output(f"mkdir -p {interrupted}/bin && cp -a /opt/pypi/{newer[1][server]} {old}")
        host.check_output(f"touch -d 2020-01-01 {old}/manifest.json")
    run = ansible_playbook(inventory, changed_kit("__init__.py", "# a third version"), "-e", "pypi_kept_releases=1")
    assert run.code == 0, run.output
    for server, host in servers.items():
        names = set(host.check_output("ls /opt/pypi").split()) - {"current", "pages.json"}
        assert names == {newer[0][server], newer[1][server], host.check_output(CURRENT)}
    assert deploy().code == 0
