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
    """Each month has a file, compressed after a month, which remains a part of the hash chain."""
    for _month in range(4):
        log.write(3)
        log.rotate(5)
        assert log.faults() == []
        assert log.filenames() == log.wanted()
    assert names(log) == ["audit.log", "audit.log.1", *(f"audit.log.{number}.gz" for number in (2, 3, 4))]
    assert log.path.stat().st_mode & 0o777 == 0o640


def test_new_file_continues_the_chain(log: Log) -> None:
    """Each file except the first begins with an entry of the log itself, so deletions at the beginning are detected."""
    log.write(2)
    log.rotate(5)
    log.write(2)
    assert [line["event"] for line in log.all()] == ["upload", "upload", "opened", "upload", "upload"]
    log.path.with_name("audit.log.1").unlink()
    assert log.faults() == []
    log.change(log.lines()[1:])
    assert log.faults() == ["audit.log line 1 has line(s) missing before it: number 1 to 3"]


def test_old_files_may_be_deleted(log: Log) -> None:
    """Files that are older than the configured retention are deleted, without a fault."""
    for _month in range(9):
        log.write(2)
        log.rotate(5)
    log.write()
    assert len(names(log)) == 6
    assert log.faults() == []
    assert log.filenames() == log.wanted()[-11:]


def test_rotation_without_entries(log: Log) -> None:
    """An empty file is not rotated, and the newest entry is still known."""
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
    """The interrupted entry is completed in the rotated file."""
    log.write(2)
    stopped = pytest.fail.Exception("the power is gone")

    def partial_append(file: int, content: bytes) -> None:
        os.write(file, content[:length])
        raise stopped

    monkeypatch.setattr(log_module, "append_durably", partial_append)
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
    """The new file has only a partial first line: the newest complete entry is in the previous file."""
    log.write(2)
    log.rotate(5)
    stopped = pytest.fail.Exception("the power is gone")

    def partial_append(file: int, content: bytes) -> None:
        os.write(file, content[:length])
        raise stopped

    monkeypatch.setattr(log_module, "append_durably", partial_append)
    with pytest.raises(pytest.fail.Exception):
        log.write()
    monkeypatch.undo()
    log.rotate(5)
    assert log.faults() == []
    log.write()
    assert log.filenames() == log.wanted()
    assert log.faults() == []


def test_a_rotation_while_a_line_is_written(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry may be written to the file that was just rotated; the next one is in the new file (race)."""
    log.write(2)
    append = log_module.append_durably

    def overtaken(file: int, content: bytes) -> None:
        log.rotate()
        append(file, content)

    monkeypatch.setattr(log_module, "append_durably", overtaken)
    log.write()
    monkeypatch.undo()
    assert log.path.read_bytes() == b""
    log.write()
    assert log.filenames() == log.wanted()
    assert log.faults() == []


def test_all_compressed(log: Log) -> None:
    """The newest rotated file may be compressed, by hand or by another configuration."""
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
    """If a file and its partial compressed copy exist, the file is used."""
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
    """The index continues to log, and verify reports the damage."""
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
    """Other files in the directory are not read."""
    log.write(2)
    for name in ("audit.log.old", "audit.log.1.gz.bak", "audit.log.gz", "audit.logs.1", "notes"):
        log.path.with_name(name).write_text("something else\n")
    log.path.with_name("audit.log.7").mkdir()
    assert rotation.rotated_files(log.path) == []
    assert log.faults() == []
