"""Rate limit of rejections in the audit log, so that rejected requests cannot fill the disk."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# The events of rejected requests.
REJECTION_EVENTS = frozenset({"refused", "denied"})

# Rejections of a user that are written as entries of their own in a window; the others are counted.
ENTRIES_PER_WINDOW = 20
WINDOW_SECONDS = 60

# Users, or addresses, whose rejections are counted at a time.
MAX_CLIENTS = 1000

# Who sent a request: (user, ""), or ("", address) without a user.
Client = tuple[str, str]


@dataclass
class RejectionCount:
    """Rejections without entries of their own. common: the facts that all of them share, by the names in KEYS."""

    number: int
    first: str
    last: str
    common: dict[str, Any]

    def add(self, other: "RejectionCount") -> None:
        """Add later rejections of the same client."""
        self.number += other.number
        self.last = other.last
        # An entry must have an address: the last one.
        self.common = {
            key: value
            for key, value in other.common.items()
            if key == "address" or (key in self.common and self.common[key] == value)
        }

    def facts(self) -> dict[str, Any]:
        """Return the facts of the entry that counts all of them."""
        whose = "of this user" if self.common["user"] else "from this address"
        were = f"requests {whose} were" if self.number > 1 else f"request {whose} was"
        between = f"between {self.first} and {self.last}" if self.number > 1 else f"at {self.last}"
        return {"event": "refused"} | self.common | {"reason": f"and {self.number} more {were} rejected {between}"}


@dataclass
class Window:
    """The rejections of a client within WINDOW_SECONDS. ends: on the limit's clock; written: number of entries."""

    ends: float
    written: int = 0
    count: RejectionCount | None = None


class RejectionLimit:
    """Decides which rejections are written, and counts the others. For any number of threads of one process.

    Each process counts for itself. Counts that are not written when it ends are lost: at most those of the last window.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # Oldest first. All windows have the same length. Clients choose the user, so the number is limited.
        self._windows: OrderedDict[Client, Window] = OrderedDict()
        # Counts of past windows, to be written with the next entry.
        self._due: OrderedDict[Client, RejectionCount] = OrderedDict()

    def allows(self, facts: Mapping[str, Any]) -> bool:
        """Return True if a rejection must be written; else count it and return False."""
        with self._lock:
            window = self._window(_client(facts))
            if window.written < ENTRIES_PER_WINDOW:
                window.written += 1
                return True
            _count(window, facts)
            return False

    def count_unwritten(self, facts: Mapping[str, Any]) -> None:
        """Count a rejection that was allowed, but could not be written."""
        with self._lock:
            _count(self._window(_client(facts)), facts)

    def take_due(self, facts: Mapping[str, Any]) -> list[RejectionCount]:
        """Remove and return the counts to write before an entry: of past windows, and of the entry's client."""
        client, now = _client(facts), self._clock()
        with self._lock:
            while self._windows and next(iter(self._windows.values())).ends <= now:
                self._end(*self._windows.popitem(last=False))
            if facts["event"] not in REJECTION_EVENTS and (window := self._windows.get(client)):
                self._end(client, window)
                window.count = None
            if client in self._due:
                self._due.move_to_end(client, last=False)
            due = list(self._due.values())
            self._due.clear()
            return due

    def put_back(self, counts: list[RejectionCount]) -> None:
        """Return counts that could not be written."""
        with self._lock:
            for count in reversed(counts):
                client = _client(count.common)
                if later := self._due.get(client):
                    count.add(later)
                self._due[client] = count
                self._due.move_to_end(client, last=False)
            self._limit_due()

    def _window(self, client: Client) -> Window:
        now = self._clock()
        window = self._windows.get(client)
        if window is None or window.ends <= now:
            if window is not None:
                self._end(client, self._windows.pop(client))
            window = self._windows[client] = Window(now + WINDOW_SECONDS)
            if len(self._windows) > MAX_CLIENTS:
                self._end(*self._windows.popitem(last=False))
        return window

    def _end(self, client: Client, window: Window) -> None:
        if window.count is None:
            return
        if earlier := self._due.get(client):
            earlier.add(window.count)
        else:
            self._due[client] = window.count
        self._limit_due()

    def _limit_due(self) -> None:
        # Only while a disk is full and many clients are rejected: the oldest counts are lost.
        while len(self._due) > MAX_CLIENTS:
            self._due.popitem(last=False)


def _count(window: Window, facts: Mapping[str, Any]) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    common = {key: value for key, value in facts.items() if value is not None and key != "reason"}
    one = RejectionCount(1, now, now, common)
    if window.count:
        window.count.add(one)
    else:
        window.count = one


def _client(facts: Mapping[str, Any]) -> Client:
    """Return the key by which rejections are counted: the user, or the address of a request without a user."""
    return (facts["user"], "") if facts["user"] else ("", facts["address"])
