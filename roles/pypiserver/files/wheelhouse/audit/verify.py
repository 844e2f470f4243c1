"""Verifies the hash chain of the audit log, entry by entry, with a few of them in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

from wheelhouse.audit.entry import BROKEN, NO_PREVIOUS, OPENED, AuditEntry, digest_of
from wheelhouse.audit.log import AuditLog
from wheelhouse.audit.rotation import READ_ERRORS


@dataclass(frozen=True)
class Link:
    """An entry that the next one may follow. number: of an invalid entry, the number that is expected there."""

    place: str
    number: int
    digest: str
    is_valid: bool = True


class Verification:
    """Verifies the log once. count, first and last describe the entries that were read."""

    def __init__(self) -> None:
        self.count = 0
        self.first: AuditEntry | None = None
        self.last: AuditEntry | None = None
        self._head: AuditEntry | None = None
        self._is_complete = False
        # The last entry in sequence and, after a fault, the last entry of all. The next entry must follow one of them.
        self._before = [Link("the beginning", 0, NO_PREVIOUS)]

    def faults(self, audit: AuditLog) -> Iterator[str]:
        """Yield a line for each modified, inserted or deleted entry: its place, and what is wrong. Raises OSError."""
        with audit.reading() as (self._head, files):
            for file in files:
                number = 0
                try:
                    for number, raw in enumerate(file.lines(), 1):
                        yield from self._check(f"{file.name} line {number}", raw)
                except READ_ERRORS as error:
                    yield f"{file.name} cannot be read after line {number}: {error}"
        yield from self._check_end()

    def _check(self, place: str, raw: bytes) -> Iterator[str]:
        self.count += 1
        newest = self._before[-1]
        try:
            if not raw.endswith(b"\n"):
                raise ValueError("the line has no end")
            entry = AuditEntry.parse(raw[:-1])
        except ValueError:
            yield f"{place} is an invalid entry: modified or inserted"
            self._follow(Link(place, newest.number + 1, digest_of(raw), is_valid=False))
            return
        link = Link(place, entry.number, entry.digest)
        fits = any((link.number, entry.previous) == (one.number + 1, one.digest) for one in self._before)
        # Earlier files were deleted after a rotation, as this entry says.
        begins = self.first is None and entry.event in (OPENED, BROKEN)
        # The invalid entry before was reported already.
        after_invalid = not newest.is_valid and (link.number == newest.number + 1 or self.first is None)
        if self._is_complete and self._head is not None:
            yield f"{place} was inserted: the newest entry is number {self._head.number}"
        elif not (fits or begins or after_invalid):
            yield f"{place} {self._mismatch(entry, newest)}"
        if entry.event == BROKEN:
            yield f"{place} says that log and head did not match: {entry.facts.get('reason')}"
        if fits or begins or after_invalid:
            self._before = [link]
            self._is_complete |= self._head is not None and entry.raw == self._head.raw
        else:
            self._follow(link)
        self.first = self.first or entry
        self.last = entry

    def _follow(self, link: Link) -> None:
        self._before = [self._before[0], link]

    def _mismatch(self, entry: AuditEntry, newest: Link) -> str:
        """Return what is wrong with an entry that does not follow those before it."""
        if entry.number > newest.number + 1:
            missing = f"number {newest.number + 1}"
            if entry.number > newest.number + 2:
                missing += f" to {entry.number - 1}"
            return f"has line(s) missing before it: {missing}"
        if entry.number == newest.number + 1:
            if self.first is None:
                return "was modified: it is the first entry, and refers to one before it"
            return f"does not match {newest.place}: one of them was modified"
        return f"is number {entry.number}, and number {newest.number + 1} is expected: it was inserted or moved"

    def _check_end(self) -> Iterator[str]:
        newest = self._before[-1]
        if self._head is None:
            if self.count:
                yield "The head, a copy of the newest entry, is missing or corrupt: the last entries may be missing"
        elif self._is_complete or newest.digest == self._head.digest:
            return
        elif newest.number < self._head.number:
            yield f"Entries missing after {newest.place}: number {newest.number + 1} to {self._head.number}"
        else:
            yield f"{newest.place} was modified or inserted: the newest entry is another number {self._head.number}"
