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

# Seconds after which whoever still waits waits for ever.
PATIENCE = 60


def test_content_of_an_entry(log: Log) -> None:
    """Who, what, when, from where: each under the name that programs and people look for, in one order."""
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
    """A line without a file does not say that its file is nothing."""
    log.audit.write("claimed", user="alice", address="local", project="foo")
    assert list(json.loads(log.lines()[0])) == ["number", "time", "event", "user", "address", "project", "previous"]


def test_hash_chain(log: Log) -> None:
    """That is the chain: SHA-256 of the line before, without its end. Anybody can check it with other tools."""
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
    """Clients choose file names and versions, and could otherwise write lines of their own, or fill the disk."""
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
    """What is written must be taken for whole by whoever reads no more than so much of a line."""
    keys = ("user", "address", "project", "version", "filename", "sha256", "reason")
    for _ in range(3):
        log.audit.write("refused", size=1 << 62, **dict.fromkeys(keys, "\N{SNAKE}" * 1000))
    assert log.faults() == []
    assert max(map(len, log.lines())) < MAX_LINE_SIZE


def test_rejects_unknown_events(log: Log) -> None:
    """A slip in a name would make lines that nobody finds; and the log's own events are nobody else's."""
    for event in ("uploaded", "opened", "broken", ""):
        with pytest.raises(ValueError, match="is not an event of"):
            log.audit.write(event, user="alice", address="local")
    assert not log.path.exists()


def test_mode_of_the_log(log: Log) -> None:
    """Names and addresses are for those who run the server."""
    before = os.umask(0)
    try:
        log.write()
    finally:
        os.umask(before)
    assert log.path.stat().st_mode & 0o777 == 0o640
    assert log.head.stat().st_mode & 0o777 == 0o640


def test_is_durable(log: Log, quick_disk: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """When write() returns, the line survives a power cut: the head first, then the log, with their names."""
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
    """Whoever gets to put a link into the log's place does not get lines written somewhere else."""
    other = tmp_path / "other"
    other.write_text("")
    log.path.symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        log.write()
    assert other.read_text() == ""


def write_many(audit: AuditLog, count: int, after_some: Callable[[], None]) -> None:
    """Write as one of several processes, and do something else now and then."""
    for number in range(count):
        audit.write("upload", user=f"process {os.getpid()}", address="local", filename=f"foo-{number}.tar.gz")
        if number % 10 == 0:
            after_some()


@pytest.mark.parametrize("rotated", [False, True])
def test_concurrent_writers(log: Log, rotated: bool) -> None:
    """Processes of the web server and people on the command line write as they come, and the chain stays one."""
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
    """Return what writes no more than a beginning, and then the power is gone. A negative length: and zeros."""

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
    """The line gets where it belongs, by whoever comes next, whole and once; nobody has to mend it by hand."""
    log.write(number - 1)
    monkeypatch.setattr(log_module, "_append", partial_append(length))
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
    """Before it is there, nothing was written; once it is there, the line is."""
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
    """Return a write for a disk that has room for so many bytes more."""
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
    """No part of the entry stays: its action was rejected."""
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
    """Where half a line cannot be taken away again, it is made whole: the log tells too much rather than too little."""
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
    """The head cannot be written, so nothing is."""
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
    """It makes none: where one is missing, something else is wrong, and nothing may be taken."""
    log.write()
    log.audit.check()
    (tmp_path / directory).rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="No such file"):
        log.write()
    with pytest.raises(OSError, match="No such file"):
        log.audit.check()
    assert not (tmp_path / directory).exists()


def test_check_writes_nothing(log: Log, tmp_path: Path) -> None:
    """Whether it can be written is asked all the time, and no reason to make files."""
    log.audit.check()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_log_is_something_else(log: Log) -> None:
    """A look says so before an upload does."""
    log.path.mkdir()
    with pytest.raises(OSError, match="directory"):
        log.audit.check()
