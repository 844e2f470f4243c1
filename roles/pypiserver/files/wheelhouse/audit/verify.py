"""Finding what was changed in the audit log: line by line, with no more than a few of them in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

from wheelhouse.audit import Audit
from wheelhouse.audit.files import UNREADABLE
from wheelhouse.audit.line import BROKEN, NOTHING, OPENED, Line, digest_of

JUNK = "is no line of this log: it was changed, or added"


@dataclass(frozen=True)
class Seen:
    """What a line may follow. number: for one that cannot be read, the one that belongs there."""

    place: str
    number: int
    digest: str
    legible: bool = True


class Verification:
    """Looks at the log once. Afterwards it knows what it has seen: count, first, last."""

    def __init__(self) -> None:
        self.count = 0
        self.first: Line | None = None
        self.last: Line | None = None
        self._head: Line | None = None
        self._complete = False
        # The last line that had its place, and after a fault, the last one of all: what comes next follows one of them.
        self._before = [Seen("the beginning", 0, NOTHING)]

    def faults(self, audit: Audit) -> Iterator[str]:
        """Each line that was changed, added or dropped: where, and what is wrong with it. Raises OSError."""
        with audit.reading() as (self._head, parts):
            for part in parts:
                number = 0
                try:
                    for number, raw in enumerate(part.lines(), 1):
                        yield from self._look(f"{part.name} line {number}", raw)
                except UNREADABLE as error:
                    yield f"{part.name} cannot be read after line {number}: {error}"
        yield from self._end()

    def _look(self, place: str, raw: bytes) -> Iterator[str]:
        self.count += 1
        newest = self._before[-1]
        try:
            if not raw.endswith(b"\n"):
                raise ValueError("it has no end")
            line = Line.parse(raw[:-1])
        except ValueError:
            yield f"{place} {JUNK}"
            self._follow(Seen(place, newest.number + 1, digest_of(raw), legible=False))
            return
        seen = Seen(place, line.number, line.digest)
        fits = any((seen.number, line.previous) == (one.number + 1, one.digest) for one in self._before)
        # Others were rotated away, and this one says so.
        begins = self.first is None and line.event in (OPENED, BROKEN)
        # One that cannot be read has its fault already.
        after_junk = not newest.legible and (seen.number == newest.number + 1 or self.first is None)
        if self._complete:
            yield f"{place} was added: the newest line is number {self._head.number}"
        elif not (fits or begins or after_junk):
            yield f"{place} {self._misfit(line, newest)}"
        if line.event == BROKEN:
            yield f"{place} says that the log was not found as it had been left: {line.facts.get('reason')}"
        if fits or begins or after_junk:
            self._before = [seen]
            self._complete |= self._head is not None and line.raw == self._head.raw
        else:
            self._follow(seen)
        self.first = self.first or line
        self.last = line

    def _follow(self, seen: Seen) -> None:
        self._before = [self._before[0], seen]

    def _misfit(self, line: Line, newest: Seen) -> str:
        """What is wrong with a line that does not follow those before it."""
        if line.number > newest.number + 1:
            missing = f"number {newest.number + 1}"
            if line.number > newest.number + 2:
                missing += f" to {line.number - 1}"
            return f"comes too early: what belongs before it is missing, {missing}"
        if line.number == newest.number + 1:
            if self.first is None:
                return "was changed: it is the first, and says that there is one before it"
            return f"does not fit {newest.place}: one of the two was changed"
        return f"is number {line.number}, where number {newest.number + 1} belongs: it was added, or moved"

    def _end(self) -> Iterator[str]:
        newest = self._before[-1]
        if self._head is None:
            if self.count:
                yield "The head, which has the newest line, is missing or damaged: the last lines may be missing"
        elif self._complete or newest.digest == self._head.digest:
            return
        elif newest.number < self._head.number:
            yield f"After {newest.place} all is missing, number {newest.number + 1} to {self._head.number}"
        else:
            yield f"{newest.place} was changed or added: the newest line is another number {self._head.number}"
