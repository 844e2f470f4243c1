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
    """A table of one kind, with methods that add and delete an entry."""

    def __init__(self, kind: type, directory: Path):
        self.kind = kind
        self.path = directory / "state" / "table.json"
        self.lock = directory / "lock"
        self.path.parent.mkdir()
        self.table = kind(self.path, self.lock)

    def put(self, name: str) -> None:
        """Add a project, or a file of it."""
        if self.kind is Claims:
            assert self.table.claim(name, "alice")
        else:
            self.table.add(f"{name}-1.0.tar.gz", SHA256, "alice")

    def take(self, name: str) -> None:
        """Delete it."""
        if self.kind is Claims:
            self.table.set_owner(name, None)
        else:
            self.table.delete(f"{name}-1.0.tar.gz")

    def has(self, name: str) -> bool:
        """Return whether the table has it."""
        if self.kind is Claims:
            return self.table.owner_of(name) is not None
        return self.table.get(f"{name}-1.0.tar.gz") is not None


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    """Return an empty table of each kind."""
    return Bench(request.param, tmp_path)


def test_missing_file_is_empty(bench: Bench) -> None:
    """A new index starts without the file, and reading does not create it."""
    assert not bench.has("foo")
    assert not bench.table.all()
    assert not bench.path.exists()


def test_is_durable(bench: Bench, quick_disk: list[str]) -> None:
    """The entry and the file name are durable when the call returns, and the next process reads them."""
    bench.put("foo")
    assert quick_disk == ["fsync", "fsync"]
    assert bench.path.stat().st_mode & 0o777 == 0o640
    bench.table = bench.kind(bench.path, bench.lock)
    assert bench.has("foo")
    assert not bench.has("bar")
    assert [path.name for path in bench.path.parent.iterdir()] == ["table.json"]


def test_sees_changes_of_other_processes(bench: Bench) -> None:
    """Several processes accept uploads, and the command line is another one."""
    other = bench.kind(bench.path, bench.lock)
    bench.put("foo")
    bench.table, one = other, bench.table
    assert bench.has("foo")
    bench.take("foo")
    bench.table = one
    assert not bench.has("foo")


def test_caches_an_unchanged_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every upload reads the table, which may have thousands of entries."""
    bench.put("foo")
    assert bench.has("foo")
    monkeypatch.setattr(Path, "read_text", None)
    assert bench.has("foo")


@pytest.mark.parametrize("harm", [harm for harm in HARM if harm.__name__ != "remove"])
def test_unreadable_file_is_an_error(bench: Bench, harm: Callable) -> None:
    """An unreadable table is not treated as empty: that would release all projects and names."""
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
            bench.table.all()
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
    "an entry without a user": json.dumps({"foo": {"user": None, "since": "2026"}}),
    "an entry with a number as user": json.dumps({"foo": {"user": 7, "since": "2026"}}),
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_corrupt_file_is_an_error(bench: Bench, text: str) -> None:
    """A table with invalid content is an error, not a table with fewer entries."""
    replace(bench.path, text)
    with pytest.raises(ValueError, match=r"."):
        bench.has("foo")
    with pytest.raises(ValueError, match=r"."):
        bench.put("foo")
    assert bench.path.read_text() == text


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_failed_write_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """It raises, keeps the previous content, and leaves no temporary file."""
    bench.put("foo")
    before = bench.path.read_text()

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((Path, "replace") if call == "replace" else (os, "fsync")), fail)
        with pytest.raises(OSError, match="No space"):
            bench.put("bar")
    assert bench.path.read_text() == before
    assert [path.name for path in bench.path.parent.iterdir()] == ["table.json"]
    bench.put("bar")
    assert bench.has("bar")


def test_transaction_rereads_the_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """File times have a limited resolution, so a cached copy may be stale: writers re-read under the lock (race)."""
    bench.put("foo")
    with monkeypatch.context() as patch:
        patch.setattr(ReloadingFile, "current", lambda _watched: {})
        bench.put("bar")
    assert bench.has("foo")
    assert bench.has("bar")


def test_concurrent_writers(bench: Bench) -> None:
    """Concurrent changes by several processes are all kept."""

    def write(number: int) -> None:
        for count in range(20):
            bench.put(f"project-{number}-{count}")

    processes = [forked.Process(target=write, args=(number,), daemon=True) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(bench.table.all()) == 80
    assert all(bench.has(f"project-{number}-{count}") for number in range(4) for count in range(20))
