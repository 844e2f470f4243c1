"""Fixtures of the faults scenario, and its table of results."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fault_injection import HEADING, SEED, FaultRun, Outcome

TABLE = Path(__file__).resolve().parents[3] / ".cache" / "faults.txt"
OUTCOMES: dict[str, dict[str, Outcome]] = {}


@pytest.fixture(scope="session")
def fault_runs(servers, client_of, all_settings, password_of, put) -> list[FaultRun]:
    """Return all servers with their clients."""
    return [
        FaultRun(server, host, client_of(server), all_settings[server], password_of(server, "alice"), put, SEED)
        for server, host in servers.items()
    ]


@pytest.fixture(scope="session")
def add_outcomes() -> Callable:
    """Add the outcomes of one fault to the table: {server: outcome}. Returns them."""

    def add_outcomes(outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
        OUTCOMES[next(iter(outcomes.values())).fault] = outcomes
        return outcomes

    return add_outcomes


@pytest.fixture(scope="session")
def on_all_servers(servers, fault_runs, add_outcomes) -> Callable:
    """Run a function on all servers concurrently, and add its outcomes to the table. Returns {server: outcome}."""

    def on_all_servers(function: Callable[[FaultRun], Outcome]) -> dict[str, Outcome]:
        with ThreadPoolExecutor(len(fault_runs)) as pool:
            return add_outcomes(dict(zip(servers, pool.map(function, fault_runs), strict=True)))

    return on_all_servers


def pytest_terminal_summary(terminalreporter):
    """Print the results, and store them for tools/scenario."""
    rows = [
        [fault, *map(sum, zip(*(outcome.row for outcome in outcomes.values()), strict=True))]
        for fault, outcomes in OUTCOMES.items()
    ]
    text = "\n".join(["", *table([HEADING, *rows]), "", *details()])
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(f"{text}\n", encoding="utf-8")
    terminalreporter.write_line(text)


def table(rows: list) -> list[str]:
    """Align rows in columns, the first one to the left and the others to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    first, *others = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return [
        "  ".join([row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], others, strict=True))])
        for row in texts
    ]


def details() -> list[str]:
    """Return the seed of this run, and the responses on each server."""
    lines = [
        f"Totals of all hosts. To repeat with the same random numbers: make faults SEED={SEED}",
        "",
        "Responses to uploads:",
    ]
    for fault, outcomes in OUTCOMES.items():
        for server, outcome in outcomes.items():
            responses = ", ".join(f"{status or 'none'} {count}" for status, count in outcome.statuses.most_common())
            lines.append(f"    {fault}, {server}: {responses}")
            lines += [f"        {note}" for note in outcome.notes]
            lines += [f"        {kind}: {found}" for kind, found in outcome.faults.items()]
    return lines
