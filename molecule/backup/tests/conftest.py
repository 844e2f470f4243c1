"""Fixtures of the backup scenario: backups, new hosts in the place of lost ones, and the table of the drill."""

import json
import subprocess
from collections.abc import Callable

import pytest
import testinfra
from drill import RESULTS, TABLE
from shared.deployment import ansible_playbook
from shared.http import curl
from shared.load import Load
from shared.wheels import installable

NETWORK = "wheelhouse-backup"


@pytest.fixture(scope="session")
def back_up(inventory):
    """Run playbooks/backup.yml."""
    return lambda *options: ansible_playbook(inventory, "playbooks/backup.yml", *options)


@pytest.fixture(scope="session")
def restore(inventory):
    """Run playbooks/restore.yml. The control node of the tests cannot reach the index as a client."""
    return lambda *options: ansible_playbook(inventory, "playbooks/restore.yml", "--skip-tags", "verify", *options)


@pytest.fixture(scope="session")
def new_hosts(inventory) -> dict:
    """Return the new hosts by name."""
    hosts = testinfra.get_hosts(["replacements"], connection="ansible", ansible_inventory=inventory, sudo=True)
    return {host.backend.host: host for host in hosts}


@pytest.fixture(scope="session")
def replace_host(inventory) -> Callable:
    """Stop a server, and give its container name and its DNS name to a new host."""

    def container(name: str) -> str:
        return f"wheelhouse-backup-{name.removesuffix('.test')}"

    def replace_host(server: str, new: str) -> None:
        for words in (
            ["stop", "--time", "0", container(server)],
            ["rename", container(server), f"{container(server)}-lost"],
            ["rename", container(new), container(server)],
            ["rename", f"{container(server)}-lost", container(new)],
            ["network", "disconnect", NETWORK, container(server)],
            ["network", "connect", "--alias", server, NETWORK, container(server)],
        ):
            subprocess.run(["docker", *words], check=True, stdout=subprocess.DEVNULL)

    assert inventory
    return replace_host


@pytest.fixture(scope="session")
def loads(servers, client_of, all_settings, password_of, put) -> dict[str, Load]:
    """Return clients for each server that put a load on it."""
    return {
        server: Load(client_of(server), put, all_settings[server]["pypi_url"], "alice", password_of(server, "alice"))
        for server in servers
    }


@pytest.fixture(scope="module")
def publish(upload):
    """Publish a version of a project on the server under test. Returns the status."""

    def publish(version: str, project: str = "acme_demo") -> int:
        name = f"{project}-{version}-py3-none-any.whl"
        return upload(name, installable(project, version), user="alice").status

    return publish


def status_of(host) -> dict:
    """Read the status file of a server."""
    return json.loads(host.file("/var/lib/pypi/backup/status.json").content)


@pytest.fixture(scope="module")
def status(host):
    """Read the status file of the server under test."""
    return lambda: status_of(host)


@pytest.fixture(scope="session")
def observe(servers, client_of, all_settings) -> Callable[[], dict[str, tuple]]:
    """Return the result of the last backup of each server, and the status and body of its health check."""

    def observe() -> dict[str, tuple]:
        health = {server: curl(client_of(server), f"{all_settings[server]['pypi_url']}-/health") for server in servers}
        return {
            server: (status_of(host)["backup"], health[server].status, health[server].body)
            for server, host in servers.items()
        }

    return observe


def pytest_terminal_summary(terminalreporter):
    """Print the table, and store it for tools/scenario."""
    text = "\n".join(["", "Loss of a server while clients upload, and its restore on a new host:", "", *RESULTS, ""])
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(text, encoding="utf-8")
    terminalreporter.write_line(text)
