"""A warning about network rules that would deny access to the machine that Ansible runs on."""

from pathlib import Path

import pytest
from support import ROOT, control, load
from support.preflight import runs

warnings = load("roles/pypi/filter_plugins/addresses.py").network_warnings

OFFICE = ["10.0.0.0/8", "203.0.113.7", "2001:db8::/32"]

# sshd's variable (address and port of client and server), and whether a warning is expected.
CONNECTIONS = [
    ("10.1.2.3 50000 192.0.2.1 22", False),
    ("203.0.113.7 50000 192.0.2.1 22", False),
    ("203.0.113.8 50000 192.0.2.1 22", True),
    ("2001:db8::5 50000 2001:db8::1 22", False),
    ("2001:db9::5 50000 2001:db8::1 22", True),
    ("::ffff:10.1.2.3 50000 ::ffff:192.0.2.1 22", False),
    ("::ffff:11.1.2.3 50000 ::ffff:192.0.2.1 22", True),
    ("fe80::1%eth0 50000 fe80::2%eth0 22", True),
    # Unknown address: no SSH, or other output of a shell.
    ("", False),
    ("\r\n", False),
    ("Welcome to the machine", False),
]


@pytest.mark.parametrize(("connection", "warned"), CONNECTIONS)
def test_warns_of_denied_address(connection: str, warned: bool) -> None:
    """Only known addresses are compared."""
    assert bool(warnings(connection, OFFICE)) is warned


def test_warning_text() -> None:
    """The warning contains the address, the rules and the consequence."""
    (line,) = warnings("203.0.113.8 50000 192.0.2.1 22\r\n", OFFICE)
    assert line.startswith("pypi_allowed_networks: ")
    for words in ("203.0.113.8", "10.0.0.0/8, 203.0.113.7, 2001:db8::/32", "403", "Add the address"):
        assert words in line


@pytest.mark.parametrize(
    ("given", "tag", "reads_address"),
    [
        ({"pypi_allowed_networks": OFFICE}, "all", True),
        ({"pypi_allowed_networks": OFFICE}, "apache", True),
        ({"pypi_allowed_networks": OFFICE}, "accounts", False),
        ({"pypi_allowed_networks": OFFICE, "pypi_access": "any"}, "all", False),
        ({}, "all", False),
    ],
)
def test_reads_address_only_if_needed(given: dict, tag: str, reads_address: bool) -> None:
    """The additional call to the host is made only if networks alone decide and this run writes them."""
    assert runs("main.yml", "Compare the networks with this connection", tag, **given) is reads_address


PLAYBOOK = f"""\
- hosts: pypi_servers
  gather_facts: false
  become: true
  tasks:
    - ansible.builtin.import_role: {{name: {ROOT}/roles/pypi, tasks_from: networks}}
"""


@pytest.mark.parametrize(("address", "warned"), [("192.0.2.9", True), ("10.9.8.7", False)])
def test_run_shows_warning(tmp_path: Path, address: str, warned: bool) -> None:
    """The host is reads_address without sudo, which would drop the variable."""
    inventory = control.inventory(
        tmp_path / "inventory", "pypi_allowed_networks: [10.0.0.0/8]\n", "ansible_connection: local"
    )
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(PLAYBOOK)
    run = control.playbook(
        playbook,
        "-i",
        inventory,
        "--check",
        SSH_CONNECTION=f"{address} 50000 192.0.2.1 22",
        PATH=without_sudo(tmp_path),
    )
    assert run.code == 0, run.output
    assert (f"comes from {address}" in run.normalized_output) is warned


def without_sudo(directory: Path) -> str:
    """Return a PATH with a shell and without sudo."""
    (directory / "bin").mkdir()
    (directory / "bin/sh").symlink_to("/bin/sh")
    return str(directory / "bin")
