"""Fixtures of the attack scenario, and its table of results."""

from pathlib import Path

import pytest
from attack.target import Target

TABLE = Path(__file__).resolve().parents[3] / ".cache" / "attack.txt"
RESULTS: dict[tuple[str, str], tuple] = {}
USERS = {"publisher": "bob", "other_publisher": "dan", "reader": "carol", "unprivileged": "nora"}
HEADING = ("", "finding", "role", "attack", "server", "means", "expected")


@pytest.fixture(scope="session")
def target_of(servers, clients, client_of, all_settings, put, password_of):
    """Return the server under attack: one Target for each server."""
    targets = {}
    for server, host in servers.items():
        client = client_of(server)
        other = next(machine for machine in clients.values() if machine is not client)
        targets[server] = Target(server, host, client, other, all_settings[server], USERS, put, password_of)
    return targets.get


def pytest_terminal_summary(terminalreporter):
    """Print the table, and store it for tools/scenario."""
    text = "\n".join(["", *table(), "", *details(), "", total()])
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(f"{text}\n", encoding="utf-8")
    terminalreporter.write_line(text)


def table() -> list[str]:
    """Return the rows in columns."""
    rows = [HEADING]
    for (_name, server), (attack, result) in RESULTS.items():
        verdict = "FAILED" if result.failures else "ok"
        rows.append((verdict, attack.finding, attack.role, attack.name, server, attack.means, attack.expected))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def details() -> list[str]:
    """Return the measurements of each attack."""
    lines = ["Measured:"]
    for (name, server), (_attack, result) in RESULTS.items():
        lines.append(f"    {name}, {server}:")
        lines += [f"        {'FAILED ' if text in result.failures else ''}{text}" for text in result.measured]
    return lines


def total() -> str:
    """Return how many attacks failed, as a sentence."""
    withstood = sum(not result.failures for _attack, result in RESULTS.values())
    return f"{withstood} of {len(RESULTS)} attacks were withstood."
