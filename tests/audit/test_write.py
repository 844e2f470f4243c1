"""Writing the audit log: the content of an entry; no entry is lost by a crash."""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.audit import Log
from support.processes import forked
from wheelhouse.audit import log as log_module
from wheelhouse.audit.entry import MAX_LINE_SIZE
from wheelhouse.audit.log import AuditLog

# Timeout in seconds.
PATIENCE = 60


def test_content_of_an_entry(log: Log) -> None:
    """User, action, time, address and file, each under a fixed key, in a fixed order."""
    facts = {"project": "foo", "version": "1.0", "filename": "foo-1.0.tar.gz", "size": 7, "sha256": "ab" * 32}
    log.audit.write("refused", user="alice", address="192.0.2.1", **facts, reason="it is corrupt")
    (line,) = log.lines()
    found = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found.pop("time"))
    assert list(found.items()) == [
        ("number", 1),
        ("event", "refused"),
        ("user", "alice"),
        ("address", "192.0.2.1"),
        *facts.items(),
        ("reason", "it is corrupt"),
        ("previous", "0" * 64),
    ]


def test_unknown_values_are_left_out(log: Log) -> None:
    """An entry without a file has no key for it."""
    log.audit.write("claimed", user="alice", address="local", project="foo")
    assert list(json.loads(log.lines()[0])) == ["number", "time", "event", "user", "address", "project", "previous"]


def test_hash_chain(log: Log) -> None:
    """Each entry has the SHA-256 of the previous line without its line end, so other tools can verify it."""
    log.write(3)
    lines = log.lines()
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3]
    digests = [hashlib.sha256(line.rstrip(b"\n")).hexdigest() for line in lines]
    assert [json.loads(line)["previous"] for line in lines[1:]] == digests[:-1]
    assert log.head.read_bytes() == lines[-1]


@pytest.mark.parametrize(
    "text", ['x"}\n{"number":2', "\r\n", "\0", "\x1b[2J", "\u2028\u2029\x85", "\ud800", "é\N{SNAKE}", "x" * 1_000_000]
)
@pytest.mark.parametrize("key", ["user", "address", "project", "version", "filename", "sha256", "reason"])
def test_values_cannot_end_the_line(log: Log, key: str, text: str) -> None:
    """Clients choose file names and versions; line breaks and long values must not create entries or fill the disk."""
    facts = {"user": "alice", "address": "192.0.2.1", "reason": "r"} | {key: text}
    log.audit.write("refused", **facts)
    log.write()
    assert len(log.lines()) == 2
    assert log.path.read_bytes().isascii()
    assert max(map(len, log.lines())) < MAX_LINE_SIZE
    found = json.loads(log.lines()[0])[key]
    assert found == text or (text.startswith(found[:-1]) and found.endswith("…"))
    assert log.faults() == []


def test_the_longest_line_can_be_read(log: Log) -> None:
    """The longest line that is written is not longer than what readers accept."""
    keys = ("user", "address", "project", "version", "filename", "sha256", "reason")
    for _ in range(3):
        log.audit.write("refused", size=1 << 62, **dict.fromkeys(keys, "\N{SNAKE}" * 1000))
    assert log.faults() == []
    assert max(map(len, log.lines())) < MAX_LINE_SIZE


def test_rejects_unknown_events(log: Log) -> None:
    """A misspelled event could not be found, and only the log itself writes its own events."""
    for event in ("uploaded", "opened", "broken", ""):
        with pytest.raises(ValueError, match="is not an event of"):
            log.audit.write(event, user="alice", address="local")
    assert not log.path.exists()


def test_mode_of_the_log(log: Log) -> None:
    """Other users cannot read user names and addresses."""
    before = os.umask(0)
    try:
        log.write()
    finally:
        os.umask(before)
    assert log.path.stat().st_mode & 0o777 == 0o640
    assert log.head.stat().st_mode & 0o777 == 0o640


def test_is_durable(log: Log, quick_disk: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """When write() returns, the entry is durable: first the head, then the log, with their directory entries."""
    log.write()
    steps: list[str] = []
    fsync, write = os.fsync, os.write

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        name = Path(f"/proc/self/fd/{descriptor}").resolve().name
        steps.append("a new head" if name.startswith(".") else name)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "write", lambda *arguments: (steps.append("write"), write(*arguments))[1])
    log.write()
    assert steps == ["a new head", "state", "write", "audit.log"]
    assert quick_disk


def test_follows_no_symlink(log: Log, tmp_path: Path) -> None:
    """A symbolic link in place of the log does not redirect entries to another file."""
    other = tmp_path / "other"
    other.write_text("")
    log.path.symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        log.write()
    assert other.read_text() == ""


def write_many(audit: AuditLog, count: int, after_some: Callable[[], None]) -> None:
    """Write as one of several processes, with pauses."""
    for number in range(count):
        audit.write("upload", user=f"process {os.getpid()}", address="local", filename=f"foo-{number}.tar.gz")
        if number % 10 == 0:
            after_some()


@pytest.mark.parametrize("rotated", [False, True])
def test_concurrent_writers(log: Log, rotated: bool) -> None:
    """Processes of the web server and commands write concurrently, and the hash chain is valid."""
    others: list[Callable] = [log.rotate if rotated else int, int, int, int, int, int]
    work = [forked.Process(target=write_many, args=(log.audit, 60, other), daemon=True) for other in others]
    for process in work:
        process.start()
    for process in work:
        process.join(PATIENCE)
    assert [process.exitcode for process in work] == [0] * 6
    uploads = [line for line in log.all() if line["event"] == "upload"]
    assert len({(line["user"], line["filename"]) for line in uploads}) == len(uploads) == 360
    assert ("opened" in [line["event"] for line in log.all()]) is rotated
    assert log.faults() == []


class Crash(BaseException):
    """The process ends here."""


def crash(*_arguments: object) -> None:
    """End the process."""
    raise Crash


def partial_append(length: int) -> Callable[[int, bytes], None]:
    """Return a function that writes only the beginning and then crashes. A negative length: followed by zeros."""

    def write(file: int, whole: bytes) -> None:
        beginning = whole[: abs(length)]
        os.write(file, beginning.ljust(len(whole), b"\0") if length < 0 else beginning)
        raise Crash

    return write


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("read_first", [False, True])
@pytest.mark.parametrize("length", [0, 1, 100, 1000, -1, -100])
def test_a_crash_between_head_and_log(
    log: Log, monkeypatch: pytest.MonkeyPatch, number: int, length: int, read_first: bool
) -> None:
    """The next writer completes the entry exactly once; no repair by hand is needed."""
    log.write(number - 1)
    monkeypatch.setattr(log_module, "append_durably", partial_append(length))
    with pytest.raises(Crash):
        log.write()
    monkeypatch.undo()
    log.written += 1
    if read_first:
        assert log.faults() == []
        assert log.filenames() == log.wanted()
    log.write(2)
    assert log.filenames() == log.wanted()
    assert log.faults() == []


@pytest.mark.parametrize("name", ["write_atomically", "sync_directory"])
def test_a_crash_around_the_head(log: Log, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """If the crash is before the head, nothing was written; after it, the entry is completed."""
    log.write()
    monkeypatch.setattr(log_module, name, crash)
    with pytest.raises(Crash):
        log.write()
    monkeypatch.undo()
    log.written += name == "sync_directory"
    log.write()
    assert log.filenames() == log.wanted()
    assert log.faults() == []


def full_after(length: int) -> Callable[[int, bytes], int]:
    """Return a write function for a disk with so many free bytes."""
    left = length
    write = os.write

    def limited(file: int, content: bytes) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(file, content[:left])
        left -= done
        return done

    return limited


@pytest.mark.parametrize("length", [0, 1, 100])
@pytest.mark.parametrize("number", [1, 4])
def test_a_full_disk(log: Log, monkeypatch: pytest.MonkeyPatch, number: int, length: int) -> None:
    """No part of the entry remains: its action was rejected."""
    log.write(number - 1)
    before = log.path.read_bytes() if number > 1 else b""
    monkeypatch.setattr(os, "write", full_after(length))
    with pytest.raises(OSError, match="No space left"):
        log.write()
    monkeypatch.undo()
    assert log.path.read_bytes() == before
    assert log.faults() == []
    log.write()
    assert log.filenames() == log.wanted()
    assert log.faults() == []


def test_the_disk_fails_and_keeps_what_it_has(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a partial line cannot be truncated, it is completed: an additional entry is better than a missing one."""
    log.write()
    monkeypatch.setattr(os, "write", full_after(30))

    def fail(*_arguments: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "ftruncate", fail)
    with pytest.raises(OSError, match="Input/output"):
        log.write()
    monkeypatch.undo()
    log.written += 1
    log.write()
    assert log.filenames() == log.wanted()
    assert log.faults() == []


def test_a_full_disk_of_the_data(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the head cannot be written, no entry is written."""
    log.write()

    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(log_module, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        log.write()
    monkeypatch.undo()
    log.write()
    assert log.filenames() == log.wanted()
    assert log.faults() == []


@pytest.mark.parametrize("directory", ["log/audit", "state"])
def test_no_directory(log: Log, tmp_path: Path, directory: str) -> None:
    """A missing directory is not created: uploads are rejected, since the configuration is wrong."""
    log.write()
    log.audit.check()
    (tmp_path / directory).rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="No such file"):
        log.write()
    with pytest.raises(OSError, match="No such file"):
        log.audit.check()
    assert not (tmp_path / directory).exists()


def test_check_writes_nothing(log: Log, tmp_path: Path) -> None:
    """The health check runs often and must not create files."""
    log.audit.check()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_log_is_something_else(log: Log) -> None:
    """The health check reports it before the next upload fails."""
    log.path.mkdir()
    with pytest.raises(OSError, match="directory"):
        log.audit.check()
