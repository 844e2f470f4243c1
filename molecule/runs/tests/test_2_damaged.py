"""A run succeeds only if the index works: it repairs a damaged server, or fails with the reason."""

import pytest
from shared.deployment import ansible_playbook

# Damages, as shell commands.
DAMAGE = [
    "rm -r $(readlink -f /opt/pypi/current)/lib",
    "echo 'raise RuntimeError' >>/opt/pypi/current/application/wheelhouse/web/app.py",
    "rm -r /var/lib/pypi/pages",
    "sed -i 's/Require valid-user/Require all granted/' /etc/apache2/sites-available/pypi.conf",
    "systemctl reload apache2",
    "systemctl disable --now pypi-pages.timer pypi-pages.path pypi-application-proxy.socket 2>&1",
    # Running processes would hide the damage.
    "systemctl restart pypi-application || true",
]


@pytest.fixture(scope="session")
def repaired(deployed, servers, deploy):
    """Damage all servers, and run site.yml. Returns the run."""
    assert deployed[1].code == 0
    for host in servers.values():
        for command in DAMAGE:
            host.check_output(command)
    return deploy()


def test_run_repairs_damage(repaired, deploy, unchanged):
    """The run reports changes, and the next one reports none."""
    assert repaired.code == 0, repaired.output
    assert all(counts["changed"] > 0 for counts in repaired.hosts.values())
    again = deploy()
    assert again.hosts == unchanged, again.changes


@pytest.mark.usefixtures("repaired")
def test_repaired_index_works(publish, fetch):
    """Reads, uploads and logins follow the settings."""
    assert publish("2.0").status == 200
    assert fetch("/-/health").status == 200
    assert fetch("/simple/").status == 401
    assert fetch("/simple/acme-demo/", user="alice").status == 200


@pytest.fixture(scope="session")
def broken_release(deployed, inventory, servers, changed_kit):
    """Run site.yml with an application that cannot start. Returns the run, and whether the release is unchanged."""
    assert deployed[1].code == 0
    kit = changed_kit("web/app.py", "raise RuntimeError('this release is broken')")
    before = {server: host.check_output("readlink /opt/pypi/current") for server, host in servers.items()}
    run = ansible_playbook(inventory, kit)
    after = {server: host.check_output("readlink /opt/pypi/current") for server, host in servers.items()}
    return run, before == after


def test_broken_release_is_not_activated(broken_release, publish, deploy):
    """The run fails with the reason, and the previous release remains active. The next run removes the broken one."""
    run, is_unchanged = broken_release
    assert run.code != 0
    assert "RuntimeError: this release is broken" in run.output
    assert is_unchanged
    assert publish("2.0").status == 200
    again = deploy()
    assert again.code == 0, again.output
    removal = "pypiserver : release | Remove old releases and interrupted builds"
    assert {task for tasks in again.changes.values() for task in tasks} <= {removal}


AUDIT = "/var/log/pypi/audit"


@pytest.fixture
def _audit_log_not_writable(deployed, servers):
    """Make the file system of the audit log read-only, which no run repairs."""
    assert deployed[1].code == 0
    for host in servers.values():
        host.check_output(f"mount --bind {AUDIT} {AUDIT} && mount -o remount,ro,bind {AUDIT}")
        # The application sees the mounts that there were when it started: in a container no mount is propagated.
        host.check_output("systemctl restart pypi-application")
    yield
    for host in servers.values():
        host.check_output(f"umount {AUDIT} && systemctl restart pypi-application")


@pytest.mark.usefixtures("_audit_log_not_writable")
def test_run_fails_if_index_does_not_work(deploy):
    """A run ends with requests to the index, and fails on an unexpected response."""
    run = deploy()
    assert run.code != 0
    assert "GET /-/health: expected 200, got 503: The audit log cannot be written" in run.normalized_output
