"""Checks whether the data directory is the one that the audit log was last written with.

The head of the log is stored with the data, and the log is not. So a data directory that is an older copy, or that of
another index, does not match the log. A mismatch is reported until an admin accepts it: see wheelhouse audit accept.
"""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from wheelhouse.audit.entry import ACCEPTED, AuditEntry
from wheelhouse.audit.log import AuditLog
from wheelhouse.audit.rotation import READ_ERRORS


@dataclass
class Discontinuity:
    """Data that did not match the log, and were not accepted.

    reason: a clause for people; missing: files that were uploaded with the previous data and do not exist: the newest
    entry about each of them, by filename.
    """

    reason: str
    missing: dict[str, AuditEntry] = field(default_factory=dict)


@dataclass(frozen=True)
class Break:
    """A break in the log. entries_before: their count; number: of the first entry that the data do not know."""

    entries_before: int
    number: int
    reason: str


def find(audit: AuditLog, packages: Path) -> Discontinuity | None:
    """Return the discontinuity, now or in the past, or None. Raises OSError."""
    breaks = unaccepted_breaks(audit)
    if not breaks:
        return None
    found = Discontinuity(breaks[-1].reason)
    for position, entry in entries_with(audit, b'"event":"upload"', b'"event":"removed"', b'"event":"undone"'):
        filename = entry.facts.get("filename", "")
        found.missing.pop(filename, None)
        is_unknown = any(position <= one.entries_before and entry.number >= one.number for one in breaks)
        if entry.event == "upload" and is_unknown and not (packages / filename).exists():
            found.missing[filename] = entry
    return found


def unaccepted_breaks(audit: AuditLog) -> list[Break]:
    """Return the breaks that were not accepted, the newest last. Raises OSError."""
    reason, head = audit.mismatch(), audit.newest()
    breaks: list[Break] = []
    for position, entry in entries_with(audit, b'"event":"broken"', b'"event":"accepted"'):
        if entry.event == ACCEPTED:
            breaks.clear()
        elif position > 1:  # in the first entry: the log was lost, not the data
            breaks.append(Break(position - 1, entry.number, entry.facts.get("reason", "")))
    if reason:
        breaks.append(Break(sys.maxsize, head.number + 1 if head else sys.maxsize, reason))
    return breaks


def entries_with(audit: AuditLog, *marks: bytes) -> Iterator[tuple[int, AuditEntry]]:
    """Yield the entries that contain one of some marks, with their positions, from 1. Invalid entries are skipped."""
    position = 0
    with audit.reading() as (_head, files):
        for file in files:
            with suppress(*READ_ERRORS):
                for raw in file.lines():
                    position += 1
                    if any(mark in raw for mark in marks):
                        with suppress(ValueError):
                            yield position, AuditEntry.parse(raw.removesuffix(b"\n"))
