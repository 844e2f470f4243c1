"""playbooks/uninstall.yml removes backups and monitoring, and site.yml deploys both again. The last test of all."""

import pytest
from shared.deployment import ansible_playbook
from shared.removed import data_of, files_of_the_kit

# The record of the repository belongs to the data: with it, no run creates another repository.
KEPT = ["/var/lib/pypi"]


@pytest.fixture(scope="session")
def removed(servers, inventory):
    """Remove the index from all servers. Returns the run, and the data of each server before it."""
    before = {server: data_of(host) for server, host in servers.items()}
    return ansible_playbook(inventory, "playbooks/uninstall.yml", "-e", "pypi_uninstall=yes"), before


def test_removes_backups_and_monitoring(removed, servers):
    """No file, unit or user of the kit is left, except the data and the record of the repository."""
    run, before = removed
    assert run.code == 0, run.output
    for server, host in servers.items():
        assert files_of_the_kit(host) == KEPT
        assert host.check_output("find /var/lib/pypi -type f") == "/var/lib/pypi/backup/repository.json"
        assert host.check_output("systemctl list-units --all --no-legend 'pypi-*'") == ""
        assert not host.user("pypi-monitoring").exists
        assert data_of(host) == before[server]


@pytest.mark.usefixtures("removed")
def test_site_deploys_backups_again(deploy, servers):
    """The next run opens the repository with the earlier snapshots."""
    run = deploy()
    assert run.code == 0, run.output
    for host in servers.values():
        assert host.check_output("pypi-backup restic snapshots --json") != "[]"
        assert host.service("pypi-canary.timer").is_running
