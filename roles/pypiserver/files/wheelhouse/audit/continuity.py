"""Whether the data directory is the one that the audit log was written with last.

The head of the log is with the data, and the log is not. So a data directory that is an older copy, or another index's,
does not fit the log. What does not fit is reported until somebody accepts it, in the log: see wheelhouse audit accept.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from wheelhouse.audit.files import UNREADABLE
from wheelhouse.audit.line import ACCEPTED, Line
from wheelhouse.audit.log import Audit


@dataclass
class Discontinuity:
    """Data that did not fit the log, and that nobody has accepted.

    reason: in words; missing: the newest line about each file, by name, that was uploaded with the data before, and is
    not there.
    """

    reason: str
    missing: dict[str, Line] = field(default_factory=dict)


@dataclass(frozen=True)
class Break:
    """A place in the log. before: the lines before it; number: of the first line there that the data did not know."""

    before: int
    number: int
    reason: str


def find(audit: Audit, packages: Path) -> Discontinuity | None:
    """Look for data that did not fit, now or before. Raises OSError."""
    breaks = breaks_in(audit)
    if not breaks:
        return None
    found = Discontinuity(breaks[-1].reason)
    for place, line in lines_of(audit, b'"event":"upload"', b'"event":"removed"', b'"event":"undone"'):
        filename = line.facts.get("filename", "")
        found.missing.pop(filename, None)
        is_unknown = any(place <= one.before and line.number >= one.number for one in breaks)
        if line.event == "upload" and is_unknown and not (packages / filename).exists():
            found.missing[filename] = line
    return found


def breaks_in(audit: Audit) -> list[Break]:
    """Return the breaks that nobody has accepted, the newest last."""
    reason, head = audit.mismatch(), audit.newest()
    breaks = []
    for place, line in lines_of(audit, b'"event":"broken"', b'"event":"accepted"'):
        if line.event == ACCEPTED:
            breaks.clear()
        elif place > 1:  # the log was lost, and not the data
            breaks.append(Break(place - 1, line.number, line.facts.get("reason", "")))
    if reason:
        breaks.append(Break(sys.maxsize, head.number + 1 if head else sys.maxsize, reason))
    return breaks


def lines_of(audit: Audit, *marks: bytes) -> Iterator[tuple[int, Line]]:
    """Read the lines that have one of some marks in them, with their places, from 1. What cannot be read is skipped."""
    place = 0
    with audit.reading() as (_head, parts):
        for part in parts:
            with suppress(*UNREADABLE):
                for raw in part.lines():
                    place += 1
                    if any(mark in raw for mark in marks):
                        with suppress(ValueError):
                            yield place, Line.parse(raw.removesuffix(b"\n"))
