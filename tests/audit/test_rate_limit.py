"""Rate limit of rejections in the audit log: some are written, the others are counted."""

import itertools
import json
import re
import threading
from collections import Counter

import pytest
from support.audit import Log
from wheelhouse.audit import log as log_module
from wheelhouse.audit import rate_limit
from wheelhouse.audit.rate_limit import ENTRIES_PER_WINDOW, WINDOW_SECONDS, RejectionLimit


class Clock:
    """A settable clock, in seconds."""

    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(log: Log) -> Clock:
    """Replace the clock of the log's limit."""
    found = Clock()
    log.audit._limit = RejectionLimit(found)
    return found


def reject(log: Log, count: int = 1, user: str = "alice", event: str = "refused", **facts: str) -> None:
    """Log rejected requests."""
    facts = {"address": "192.0.2.1", "project": "foo", "reason": "it is corrupt"} | facts
    for _ in range(count):
        log.audit.write(event, user=user, **facts)


def logged(log: Log) -> list[tuple[str, str, str]]:
    """Verify the log, and return event, user and reason of each entry."""
    assert log.faults() == []
    return [(line["event"], line["user"], line.get("reason", "")) for line in log.all()]


def counts(log: Log) -> list[str]:
    """Return the reasons of the entries that count several rejections, without the times."""
    return [
        reason.partition(" between")[0].partition(" at 2")[0]
        for _, _, reason in logged(log)
        if reason.startswith("and ")
    ]


def test_writes_a_limited_number(log: Log, clock: Clock) -> None:
    """400 rejections of one login are 20 entries and, a minute later, one more: a few kB."""
    reject(log, 400)
    assert len(log.lines()) == ENTRIES_PER_WINDOW
    clock.now += WINDOW_SECONDS
    reject(log)
    assert len(log.lines()) == ENTRIES_PER_WINDOW + 2
    assert counts(log) == ["and 380 more requests of this user were rejected"]
    assert log.path.stat().st_size < 10_000


def test_content_of_a_count(log: Log, clock: Clock) -> None:
    """User, address, first and last time, and the reason if all rejections share it."""
    reject(log, ENTRIES_PER_WINDOW)
    reject(log, 2, event="denied", version="1.0", filename="foo-1.0.zip")
    reject(log, 1, event="denied", version="2.0", filename="foo-2.0.zip", address="192.0.2.2")
    clock.now += WINDOW_SECONDS
    log.write()
    line = json.loads(log.lines()[ENTRIES_PER_WINDOW])
    assert {key: line[key] for key in line if key not in ("number", "time", "previous", "reason")} == {
        "event": "denied",
        "user": "alice",
        "address": "192.0.2.2",
        "project": "foo",
    }
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(f"and 3 more requests of this user were rejected between {time} and {time}", line["reason"])


def test_count_of_one(log: Log, clock: Clock) -> None:
    """A count of one has a singular message."""
    reject(log, ENTRIES_PER_WINDOW + 1)
    clock.now += WINDOW_SECONDS
    log.write()
    assert counts(log) == ["and 1 more request of this user was rejected"]


def test_another_event_ends_the_window(log: Log, clock: Clock) -> None:
    """The count is logged before the user's next action, and only once; the window continues."""
    reject(log, ENTRIES_PER_WINDOW + 5)
    log.write()
    assert [event for event, _, _ in logged(log)[ENTRIES_PER_WINDOW:]] == ["refused", "upload"]
    log.write()
    reject(log, 3)
    assert len(logged(log)) == ENTRIES_PER_WINDOW + 3
    clock.now += WINDOW_SECONDS
    log.write()
    assert counts(log) == [f"and {count} more requests of this user were rejected" for count in (5, 3)]


def test_event_of_another_user(log: Log, clock: Clock) -> None:
    """Within the window, actions of other users do not end it; after the window, any entry writes the count."""
    reject(log, ENTRIES_PER_WINDOW + 5, user="bob")
    log.write()
    assert counts(log) == []
    clock.now += WINDOW_SECONDS - 1
    log.write()
    assert counts(log) == []
    clock.now += 1
    log.write()
    assert logged(log)[-2] == ("refused", "bob", logged(log)[-2][2])
    assert counts(log) == ["and 5 more requests of this user were rejected"]


def test_window_per_user(log: Log, clock: Clock) -> None:
    """A client that is rejected all the time does not use up the entries of others."""
    reject(log, 200, user="bob")
    reject(log, 3)
    assert Counter(user for _, user, _ in logged(log)) == {"bob": ENTRIES_PER_WINDOW, "alice": 3}
    for minute in range(3):
        clock.now += WINDOW_SECONDS
        reject(log, 200, user="bob")
        assert (
            Counter(user for _, user, _ in logged(log))["bob"]
            == (ENTRIES_PER_WINDOW + 1) * (minute + 1) + ENTRIES_PER_WINDOW
        )
    assert counts(log) == ["and 180 more requests of this user were rejected"] * 3


def test_window_per_address(log: Log, clock: Clock) -> None:
    """Requests without a user are counted by address."""
    for number in range(3):
        reject(log, ENTRIES_PER_WINDOW + 2, user="", address=f"192.0.2.{number}")
    reject(log, ENTRIES_PER_WINDOW + 2, user="192.0.2.1")
    clock.now += WINDOW_SECONDS
    log.write()
    assert counts(log) == ["and 2 more requests from this address were rejected"] * 3 + [
        "and 2 more requests of this user were rejected"
    ]


def test_other_events_are_not_limited(log: Log, clock: Clock) -> None:
    """Actions are always logged."""
    reject(log, ENTRIES_PER_WINDOW * 2)
    log.write(ENTRIES_PER_WINDOW * 2)
    assert log.filenames() == log.wanted()
    assert clock.now


def test_many_threads(log: Log, clock: Clock) -> None:
    """The application is one process with many threads: entries and counts add up to all rejections."""
    threads = [threading.Thread(target=reject, args=(log, 50), kwargs={"user": f"u{n % 2}"}) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    clock.now += WINDOW_SECONDS
    log.write()
    lines = Counter(user for _, user, _ in logged(log))
    assert lines == {"u0": ENTRIES_PER_WINDOW + 1, "u1": ENTRIES_PER_WINDOW + 1, "alice": 1}
    assert counts(log) == [f"and {200 - ENTRIES_PER_WINDOW} more requests of this user were rejected"] * 2


def test_number_of_clients_is_bounded(log: Log, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded for any number of users; windows that end early are written as counts."""
    monkeypatch.setattr(rate_limit, "MAX_CLIENTS", 3)
    monkeypatch.setattr(rate_limit, "ENTRIES_PER_WINDOW", 1)
    for number in range(10):
        reject(log, 2, user=f"user{number}")
        assert len(log.audit._limit._windows) <= 3
    assert counts(log) == ["and 1 more request of this user was rejected"] * 7
    clock.now += WINDOW_SECONDS
    log.write()
    assert len(counts(log)) == 10
    assert log.audit._limit._windows == {}


def test_many_counts_are_written_little_by_little(log: Log, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """One upload does not write the counts of a thousand users; the user's own count is among the first."""
    monkeypatch.setattr(rate_limit, "ENTRIES_PER_WINDOW", 1)
    monkeypatch.setattr(log_module, "MAX_COUNTS_PER_ENTRY", 4)
    for number in range(9):
        reject(log, 2, user=f"user{number}")
    reject(log, 2)
    clock.now += WINDOW_SECONDS
    written = [len(log.lines())]
    for _ in range(4):
        log.write()
        written.append(len(log.lines()))
    assert [after - before for before, after in itertools.pairwise(written)] == [5, 5, 3, 1]
    assert logged(log)[written[0]][1] == "alice"
    assert len(counts(log)) == 10


def test_unwritten_rejections_are_counted(log: Log, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejections that could not be logged are included in the count, which is logged when the disk permits it."""
    log.write()
    reject(log, ENTRIES_PER_WINDOW + 5, user="bob")

    def fail(*_arguments: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(log_module, "append_durably", fail)
    for _ in range(2):
        clock.now += WINDOW_SECONDS
        for _ in range(3):
            with pytest.raises(OSError, match="Input/output"):
                reject(log)
        with pytest.raises(OSError, match="Input/output"):
            log.write()
    monkeypatch.undo()
    clock.now += WINDOW_SECONDS
    log.write()
    assert counts(log) == [
        "and 6 more requests of this user were rejected",
        "and 5 more requests of this user were rejected",
    ]
