"""A limit on refusals in the audit log, so that nobody can fill the disk with requests that are refused."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# The events of requests that were refused.
REFUSALS = frozenset({"refused", "denied"})

# So many refusals of a user are written one by one in so many seconds; of the others there is a count.
ONE_BY_ONE = 20
SECONDS = 60

# The most users, or addresses, whose refusals are counted at a time.
COUNTED = 1000


@dataclass
class Count:
    """Refusals that were not written one by one. common: what all of them have in common, by the names in KEYS."""

    number: int
    first: str
    last: str
    common: dict[str, Any]

    def add(self, other: "Count") -> None:
        """Add later refusals of the same user."""
        self.number += other.number
        self.last = other.last
        # The address must be in each line: the last one.
        self.common = {
            key: value
            for key, value in other.common.items()
            if key == "address" or (key in self.common and self.common[key] == value)
        }

    def facts(self) -> dict[str, Any]:
        """Return what the line tells that stands for all of them."""
        whose = "of this user" if self.common["user"] else "from this address"
        were = "requests were" if self.number > 1 else "request was"
        between = f"between {self.first} and {self.last}" if self.number > 1 else f"at {self.last}"
        reason = f"and {self.number} more {were.replace(' ', f' {whose} ')} refused {between}"
        return {"event": "refused"} | self.common | {"reason": reason}


@dataclass
class Window:
    """What a user was refused within SECONDS. ends: on the limit's clock."""

    ends: float
    written: int = 0
    count: Count | None = None


class RefusalLimit:
    """Which refusals are written, and the counts of the others. For any number of threads of one process.

    Each process counts by itself. If one ends, the counts that it has not written are lost: at most those of the last
    minute, and those of a user of whom ONE_BY_ONE refusals were written in that minute.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        # The oldest first, and all of one length. A user may be anybody, so their number is bounded.
        self._windows: OrderedDict[tuple[str, str], Window] = OrderedDict()
        # Counts whose time has come, which are written with the next line.
        self._due: OrderedDict[tuple[str, str], Count] = OrderedDict()

    def admits(self, facts: Mapping[str, Any]) -> bool:
        """Return whether a refusal is to be written. One that is not has been counted."""
        with self._lock:
            window = self._window(_whose(facts))
            if window.written < ONE_BY_ONE:
                window.written += 1
                return True
            _count(window, facts)
            return False

    def failed(self, facts: Mapping[str, Any]) -> None:
        """Count a refusal that was admitted, but could not be written."""
        with self._lock:
            _count(self._window(_whose(facts)), facts)

    def due(self, facts: Mapping[str, Any]) -> list[Count]:
        """Return, once, the counts to be written before a line: of minutes that are over, and of the line's user."""
        whose, now = _whose(facts), self._clock()
        with self._lock:
            while self._windows and next(iter(self._windows.values())).ends <= now:
                self._end(*self._windows.popitem(last=False))
            if facts["event"] not in REFUSALS and (window := self._windows.get(whose)):
                self._end(whose, window)
                window.count = None
            if whose in self._due:
                self._due.move_to_end(whose, last=False)
            due = list(self._due.values())
            self._due.clear()
            return due

    def put_back(self, counts: list[Count]) -> None:
        """Take counts back that could not be written."""
        with self._lock:
            for count in reversed(counts):
                whose = _whose(count.common)
                if later := self._due.get(whose):
                    count.add(later)
                self._due[whose] = count
                self._due.move_to_end(whose, last=False)
            self._bound()

    def _window(self, whose: tuple[str, str]) -> Window:
        now = self._clock()
        window = self._windows.get(whose)
        if window is None or window.ends <= now:
            if window is not None:
                self._end(whose, self._windows.pop(whose))
            window = self._windows[whose] = Window(now + SECONDS)
            if len(self._windows) > COUNTED:
                self._end(*self._windows.popitem(last=False))
        return window

    def _end(self, whose: tuple[str, str], window: Window) -> None:
        if window.count is None:
            return
        if earlier := self._due.get(whose):
            earlier.add(window.count)
        else:
            self._due[whose] = window.count
        self._bound()

    def _bound(self) -> None:
        # Only if a disk is full for long, and with that many users: then the oldest are lost.
        while len(self._due) > COUNTED:
            self._due.popitem(last=False)


def _count(window: Window, facts: Mapping[str, Any]) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    one = Count(1, now, now, {key: value for key, value in facts.items() if value is not None and key != "reason"})
    if window.count:
        window.count.add(one)
    else:
        window.count = one


def _whose(facts: Mapping[str, Any]) -> tuple[str, str]:
    """Return by whom refusals are counted: the user, or the address of a request without one."""
    return (facts["user"], "") if facts["user"] else ("", facts["address"])
