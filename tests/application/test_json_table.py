"""JSON tables (owners, tombstones) survive crashes and concurrent writers, and are never treated as empty."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.files import HARM, replace
from support.processes import forked
from wheelhouse.access.claims import Claims
from wheelhouse.files.reloading import ReloadingFile
from wheelhouse.storage.tombstones import Tombstones

SHA256 = "ab" * 32
KINDS = [Claims, Tombstones]


class Bench:
    """A register of one kind, seen by people: what is in it, and how something gets in."""

    def __init__(self, kind: type, directory: Path):
        self.kind = kind
        self.path = directory / "state" / "register.json"
        self.lock = directory / "lock"
        self.path.parent.mkdir()
        self.register = kind(self.path, self.lock)

    def put(self, name: str) -> None:
        """Enter a project, or a file of it."""
        if self.kind is Claims:
            assert self.register.claim(name, "alice")
        else:
            self.register.add(f"{name}-1.0.tar.gz", SHA256, "alice")

    def take(self, name: str) -> None:
        """Take that out again."""
        if self.kind is Claims:
            self.register.set_owner(name, None)
        else:
            self.register.delete(f"{name}-1.0.tar.gz")

    def has(self, name: str) -> bool:
        """Whether it is in there."""
        if self.kind is Claims:
            return self.register.owner_of(name) is not None
        return self.register.get(f"{name}-1.0.tar.gz") is not None


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """Return an empty table of each kind."""
    return Bench(request.param, tmp_path)


def test_missing_file_is_empty(bench: Bench) -> None:
    """A new index starts without the file, and asking makes none."""
    assert not bench.has("foo")
    assert not bench.register.all()
    assert not bench.path.exists()


def test_is_durable(bench: Bench, quick_disk: list[str]) -> None:
    """It is on the disk when the call returns, name and all, and there for the next process."""
    bench.put("foo")
    assert quick_disk == ["fsync", "fsync"]
    assert bench.path.stat().st_mode & 0o777 == 0o640
    bench.register = bench.kind(bench.path, bench.lock)
    assert bench.has("foo")
    assert not bench.has("bar")
    assert [path.name for path in bench.path.parent.iterdir()] == ["register.json"]


def test_sees_changes_of_other_processes(bench: Bench) -> None:
    """Uploads are taken by several processes, and an admin's command is one more."""
    other = bench.kind(bench.path, bench.lock)
    bench.put("foo")
    bench.register, one = other, bench.register
    assert bench.has("foo")
    bench.take("foo")
    bench.register = one
    assert not bench.has("foo")


def test_caches_an_unchanged_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every upload asks, and there may be thousands of entries."""
    bench.put("foo")
    assert bench.has("foo")
    monkeypatch.setattr(Path, "read_text", None)
    assert bench.has("foo")


@pytest.mark.parametrize("harm", [harm for harm in HARM if harm.__name__ != "remove"])
def test_unreadable_file_is_an_error(bench: Bench, harm: Callable) -> None:
    """Taken for empty, it would give everybody's projects and names away; so whoever asks gets an error."""
    bench.put("foo")
    assert bench.has("foo")
    good = bench.path.read_text()
    harm(bench.path)
    for _ in range(2):
        with pytest.raises((OSError, ValueError)):
            bench.has("foo")
        with pytest.raises((OSError, ValueError)):
            bench.put("bar")
        with pytest.raises((OSError, ValueError)):
            bench.register.all()
    if bench.path.is_dir():
        bench.path.rmdir()
    bench.path.write_text(good)
    assert bench.has("foo")


GOOD = {"user": "alice", "since": "2026-01-01T00:00:00Z", "filename": "f", "sha256": SHA256, "removed": "2026"}
DAMAGED = {
    "empty": "",
    "truncated": '{"foo": {"us',
    "null": "null",
    "a list": "[]",
    "entries are words": '{"foo": "alice"}',
    "entries are null": '{"foo": null}',
    "an entry is empty": '{"foo": {}}',
    "an entry has too much": json.dumps({"foo": GOOD | {"more": "x"}}),
    "an entry says nobody": json.dumps({"foo": {"user": None, "since": "2026"}}),
    "an entry says a number": json.dumps({"foo": {"user": 7, "since": "2026"}}),
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_corrupt_file_is_an_error(bench: Bench, text: str) -> None:
    """What says something else than it should is no register with fewer entries."""
    replace(bench.path, text)
    with pytest.raises(ValueError, match=r"."):
        bench.has("foo")
    with pytest.raises(ValueError, match=r"."):
        bench.put("foo")
    assert bench.path.read_text() == text


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_failed_write_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """It raises; what was there before is whole, and nothing lies about."""
    bench.put("foo")
    before = bench.path.read_text()

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((Path, "replace") if call == "replace" else (os, "fsync")), fail)
        with pytest.raises(OSError, match="No space"):
            bench.put("bar")
    assert bench.path.read_text() == before
    assert [path.name for path in bench.path.parent.iterdir()] == ["register.json"]
    bench.put("bar")
    assert bench.has("bar")


def test_transaction_rereads_the_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems tell times in steps, so a change may go unseen for a moment: who writes looks again, locked."""
    bench.put("foo")
    with monkeypatch.context() as patch:
        patch.setattr(ReloadingFile, "current", lambda _watched: {})
        bench.put("bar")
    assert bench.has("foo")
    assert bench.has("bar")


def test_concurrent_writers(bench: Bench) -> None:
    """Of what several processes enter at the same time, nothing is lost."""

    def write(number: int) -> None:
        for count in range(20):
            bench.put(f"project-{number}-{count}")

    processes = [forked.Process(target=write, args=(number,), daemon=True) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(bench.register.all()) == 80
    assert all(bench.has(f"project-{number}-{count}") for number in range(4) for count in range(20))
