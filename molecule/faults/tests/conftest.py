"""What the hunts share, and the table that they end with."""

import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hunting import HEADING, Hunt, Outcome

TABLE = Path(__file__).resolve().parents[3] / ".cache" / "faults.txt"
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
OUTCOMES: dict[str, dict[str, Outcome]] = {}


@pytest.fixture(scope="session")
def everywhere(servers, client_of, all_settings, password_of, put) -> Callable:
    """A way to have a hunt on all servers at the same time. Returns {server: its outcome}, and puts it on the table."""
    hunts = [
        Hunt(server, host, client_of(server), all_settings[server], password_of(server, "alice"), put, SEED)
        for server, host in servers.items()
    ]

    def everywhere(hunt: Callable[[Hunt], Outcome]) -> dict[str, Outcome]:
        with ThreadPoolExecutor(len(hunts)) as pool:
            outcomes = dict(zip(servers, pool.map(hunt, hunts), strict=True))
        OUTCOMES[next(iter(outcomes.values())).fault] = outcomes
        return outcomes

    return everywhere


def pytest_terminal_summary(terminalreporter):
    """Print what was tried and what was lost, and keep it for the one who started this."""
    rows = [
        [fault, *map(sum, zip(*(outcome.row for outcome in outcomes.values()), strict=True))]
        for fault, outcomes in OUTCOMES.items()
    ]
    text = "\n".join(["", *table([HEADING, *rows]), "", *details()])
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(f"{text}\n", encoding="utf-8")
    terminalreporter.write_line(text)


def table(rows: list) -> list[str]:
    """Rows in columns, the first one to the left and the others to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    first, *others = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return [
        "  ".join([row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], others, strict=True))])
        for row in texts
    ]


def details() -> list[str]:
    """How to have the same again, and what was answered."""
    lines = [
        f"The numbers of all hosts together. The same moments again: make faults SEED={SEED}",
        "",
        "Answers to uploads:",
    ]
    for fault, outcomes in OUTCOMES.items():
        for server, outcome in outcomes.items():
            responses = ", ".join(f"{status or 'none'} {count}" for status, count in outcome.statuses.most_common())
            lines.append(f"    {fault}, {server}: {responses}")
            lines += [f"        {note}" for note in outcome.notes]
            lines += [f"        {kind}: {found}" for kind, found in outcome.faults.items()]
    return lines
