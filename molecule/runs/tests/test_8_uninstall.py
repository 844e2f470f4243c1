"""playbooks/uninstall.yml removes the index and keeps the data, and site.yml deploys it again. The last test of all."""

import pytest
from shared.deployment import ansible_playbook
from shared.removed import data_of, files_of_the_kit

UNINSTALL = "playbooks/uninstall.yml"
CONFIRM = ("-e", "pypi_uninstall=yes")


@pytest.fixture(scope="session")
def published(deployed, deploy, servers):
    """Deploy the servers, with a file in the data. Returns the data of each server."""
    assert deployed[1].code == 0
    assert deploy().code == 0
    return {server: data_of(host) for server, host in servers.items()}


@pytest.mark.usefixtures("published")
def test_needs_confirmation(inventory, servers):
    """Without the variable, it fails and says what it would remove."""
    run = ansible_playbook(inventory, UNINSTALL)
    assert run.code != 0
    assert "To confirm, add -e pypi_uninstall=yes" in run.normalized_output
    assert all(counts["changed"] == 0 for counts in run.hosts.values())
    assert all(host.service("pypi-application").is_running for host in servers.values())


@pytest.fixture(scope="session")
def uninstalled(published, inventory):
    """Remove the index from all servers. Returns the run."""
    assert published
    return ansible_playbook(inventory, UNINSTALL, *CONFIRM)


def test_removes_everything_but_the_data(uninstalled, servers, published):
    """No file, unit or process of the kit is left; the data is unchanged, and so is its owner."""
    assert uninstalled.code == 0, uninstalled.output
    for server, host in servers.items():
        assert files_of_the_kit(host) == []
        assert host.check_output("systemctl list-units --all --no-legend 'pypi-*'") == ""
        assert host.run("pgrep -u pypi").rc == 1
        assert data_of(host) == published[server]
        assert host.user("pypi").exists


@pytest.mark.usefixtures("uninstalled")
def test_apache_is_as_debian_installs_it(servers):
    """Apache runs with Debian's default site and modules."""
    for host in servers.values():
        assert host.service("apache2").is_running
        assert host.check_output("ls /etc/apache2/sites-enabled") == "000-default.conf"
        enabled = set(host.check_output("a2query -m | sed 's/ .*//'").split())
        assert {"wsgi", "ssl", "http2", "proxy"}.isdisjoint(enabled)
        assert {"mpm_event", "dir", "status"} <= enabled
        assert (
            host.check_output(
                "/usr/bin/python3 -c 'import urllib.request as u; print(u.urlopen(\"http://127.0.0.1\").status)'"
            )
            == "200"
        )


@pytest.mark.usefixtures("uninstalled")
def test_second_run_changes_nothing(inventory, unchanged):
    """The playbook is idempotent."""
    again = ansible_playbook(inventory, UNINSTALL, *CONFIRM)
    assert again.hosts == unchanged, again.changes


@pytest.mark.usefixtures("uninstalled")
def test_site_deploys_again_with_the_data(deploy, servers, fetch, unchanged):
    """The index serves the kept packages."""
    run = deploy()
    assert run.code == 0, run.output
    again = deploy()
    assert again.hosts == unchanged, again.changes
    assert fetch("/simple/acme-demo/", user="alice").status == 200
    assert all(host.run("wheelhouse check").rc == 0 for host in servers.values())


@pytest.mark.usefixtures("uninstalled")
def test_removes_data_if_asked(inventory, servers, unchanged):
    """The second variable deletes the data, the audit log and the user."""
    run = ansible_playbook(inventory, UNINSTALL, *CONFIRM, "-e", "pypi_uninstall_data=yes")
    assert run.code == 0, run.output
    for host in servers.values():
        assert host.run("ls -d /srv/pypi /var/log/pypi 2>/dev/null").stdout == ""
        assert not host.user("pypi").exists
    again = ansible_playbook(inventory, UNINSTALL, *CONFIRM, "-e", "pypi_uninstall_data=yes")
    assert again.hosts == unchanged, again.changes
