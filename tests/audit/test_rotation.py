"""Log rotation: the hash chain continues from file to file."""

import gzip
import json
import os

import pytest
from support.audit import Log
from wheelhouse.audit import log as log_module
from wheelhouse.audit import rotation


def names(log: Log) -> list[str]:
    """Return the names of the log's files."""
    return sorted(path.name for path in log.path.parent.glob("audit.log*"))


def test_chain_over_many_files(log: Log) -> None:
    """Each month has its file, compressed when it is a month old, and is still a part of the chain."""
    for _month in range(4):
        log.write(3)
        log.rotate(5)
        assert log.faults() == []
        assert log.filenames() == log.wanted()
    assert names(log) == ["audit.log", "audit.log.1", *(f"audit.log.{number}.gz" for number in (2, 3, 4))]
    assert log.path.stat().st_mode & 0o777 == 0o640


def test_new_file_continues_the_chain(log: Log) -> None:
    """The first line of each file but the first is the log's own: without it, lines were dropped from the beginning."""
    log.write(2)
    log.rotate(5)
    log.write(2)
    assert [line["event"] for line in log.all()] == ["upload", "upload", "opened", "upload", "upload"]
    log.path.with_name("audit.log.1").unlink()
    assert log.faults() == []
    log.change(log.lines()[1:])
    assert log.faults() == ["audit.log line 1 has line(s) missing before it: number 1 to 3"]


def test_old_files_may_be_deleted(log: Log) -> None:
    """What is older than the settings say is gone, and that is no fault."""
    for _month in range(9):
        log.write(2)
        log.rotate(5)
    log.write()
    assert len(names(log)) == 6
    assert log.faults() == []
    assert log.filenames() == log.wanted()[-11:]


def test_rotation_without_entries(log: Log) -> None:
    """Nothing was written: nothing is put away, and the newest line is still known."""
    log.write(2)
    for _month in range(4):
        log.rotate(5)
        assert log.faults() == []
    assert names(log) == ["audit.log", "audit.log.1"]
    log.write()
    assert log.filenames() == log.wanted()
    assert log.faults() == []


@pytest.mark.parametrize("length", [0, 20, 1000])
def test_a_crash_and_then_a_rotation(log: Log, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """The line that was on its way gets into the file that was put away."""
    log.write(2)
    stopped = pytest.fail.Exception("the power is gone")

    def partial_append(file: int, content: bytes) -> None:
        os.write(file, content[:length])
        raise stopped

    monkeypatch.setattr(log_module, "_append", partial_append)
    with pytest.raises(pytest.fail.Exception):
        log.write()
    monkeypatch.undo()
    log.written += 1
    log.rotate(5)
    log.write()
    assert log.filenames() == log.wanted()
    assert log.faults() == []
    assert [line["event"] for line in log.all()][-2:] == ["opened", "upload"]


@pytest.mark.parametrize("length", [1, 20])
def test_a_crash_in_a_new_file_and_then_a_rotation(log: Log, monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """Half of the file's first line is all that it had: the newest whole line is in the file before."""
    log.write(2)
    log.rotate(5)
    stopped = pytest.fail.Exception("the power is gone")

    def partial_append(file: int, content: bytes) -> None:
        os.write(file, content[:length])
        raise stopped

    monkeypatch.setattr(log_module, "_append", partial_append)
    with pytest.raises(pytest.fail.Exception):
        log.write()
    monkeypatch.undo()
    log.rotate(5)
    assert log.faults() == []
    log.write()
    assert log.filenames() == log.wanted()
    assert log.faults() == []


def test_a_rotation_while_a_line_is_written(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line gets into the file that was just put away, and the next one into the new one."""
    log.write(2)
    append = log_module._append

    def overtaken(file: int, content: bytes) -> None:
        log.rotate()
        append(file, content)

    monkeypatch.setattr(log_module, "_append", overtaken)
    log.write()
    monkeypatch.undo()
    assert log.path.read_bytes() == b""
    log.write()
    assert log.filenames() == log.wanted()
    assert log.faults() == []


def test_all_compressed(log: Log) -> None:
    """Somebody compresses the newest file that was put away, or the rules are other ones."""
    for _ in range(2):
        log.write(2)
        log.rotate()
        path = log.path.with_name("audit.log.1")
        path.with_name("audit.log.1.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        assert log.faults() == []
    log.write(2)
    assert log.filenames() == log.wanted()
    assert log.faults() == []


def test_interrupted_compression(log: Log) -> None:
    """Both are there, the whole file and half a compressed one: the whole one counts."""
    for _ in range(2):
        log.write(3)
        log.rotate()
    path = log.path.with_name("audit.log.2.gz")
    whole = path.read_bytes()
    path.with_name("audit.log.2").write_bytes(gzip.decompress(whole))
    path.write_bytes(whole[:20])
    assert log.faults() == []
    assert log.filenames() == log.wanted()


def test_corrupt_compressed_file(log: Log) -> None:
    """The index goes on, and the damage is named."""
    log.write(3)
    log.rotate()
    log.path.with_name("audit.log.1").unlink()
    log.path.with_name("audit.log.1.gz").write_bytes(b"nonsense")
    log.write(2)
    faults = log.faults()
    assert faults[0].startswith("audit.log.1.gz cannot be read after line 0: Not a gzipped file")
    assert faults[1].startswith("audit.log line 1 says that log and head did not match")
    assert [json.loads(line)["number"] for line in log.lines()] == [4, 5, 6]


def test_ignores_other_files(log: Log) -> None:
    """What people put beside the log is none of its files."""
    log.write(2)
    for name in ("audit.log.old", "audit.log.1.gz.bak", "audit.log.gz", "audit.logs.1", "notes"):
        log.path.with_name(name).write_text("something else\n")
    log.path.with_name("audit.log.7").mkdir()
    assert rotation.rotated_files(log.path) == []
    assert log.faults() == []
