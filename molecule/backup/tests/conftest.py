"""Fixtures of the backup scenario: backups, and restores on new hosts."""

import json

import pytest
import testinfra
from shared.deployment import ansible_playbook
from shared.wheels import installable

# The new host of each server.
NEW = {"debian12.test": "new12.test", "debian13.test": "new13.test"}


@pytest.fixture(scope="session")
def back_up(inventory):
    """Run playbooks/backup.yml."""
    return lambda *options: ansible_playbook(inventory, "playbooks/backup.yml", *options)


@pytest.fixture(scope="session")
def restore(inventory):
    """Run playbooks/restore.yml of a server on its new host, as after the address was changed in the inventory.

    The control node of the tests cannot reach the index as a client.
    """

    def restore(server: str, *options: str, new: bool = True):
        address = f"wheelhouse-backup-{NEW[server].removesuffix('.test')}"
        place = ["--extra-vars", f"ansible_host={address}"] if new else []
        words = ["--limit", server, "--skip-tags", "verify", *place, *options]
        return ansible_playbook(inventory, "playbooks/restore.yml", *words)

    return restore


@pytest.fixture(scope="session")
def new_hosts(inventory):
    """Return the new hosts by the name of their server."""
    hosts = testinfra.get_hosts(["replacements"], connection="ansible", ansible_inventory=inventory, sudo=True)
    found = {host.backend.host: host for host in hosts}
    return {server: found[new] for server, new in NEW.items()}


@pytest.fixture(scope="module")
def new_host(new_hosts, server):
    """Return the new host of the server under test."""
    return new_hosts[server]


@pytest.fixture(scope="module")
def publish(upload):
    """Publish a version of a project on the server under test. Returns the status."""

    def publish(version: str, project: str = "acme_demo") -> int:
        name = f"{project}-{version}-py3-none-any.whl"
        return upload(name, installable(project, version), user="alice").status

    return publish


@pytest.fixture(scope="module")
def status(host):
    """Read the status file of the server under test."""
    return lambda: json.loads(host.file("/var/lib/pypi/backup/status.json").content)
