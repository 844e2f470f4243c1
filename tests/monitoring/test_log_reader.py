"""Reading the new lines of a log across rotations, restarts and damage."""

import gzip
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wheelhouse_monitoring import log_reader
from wheelhouse_monitoring.log_reader import LogReader, Position


class Reader:
    """Reads a log as consecutive runs of the exporter do."""

    def __init__(self, path: Path, from_end: bool = False) -> None:
        self.path, self.from_end = path, from_end
        self.positions: list[Position] | None = None

    def run(self) -> list[bytes]:
        """Return the new lines."""
        reader = LogReader(self.path, self.positions, self.from_end)
        lines = list(reader.lines())
        self.positions = reader.positions
        return lines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return an empty log in a directory of its own."""
    path = tmp_path / "access.log"
    path.touch()
    return path


def append(path: Path, content: bytes) -> None:
    """Append to a file."""
    with path.open("ab") as file:
        file.write(content)


def rotate(log: Path, suffix: str = ".1") -> Path:
    """Rotate as logrotate does with `create`. Returns the rotated file."""
    rotated = log.with_name(log.name + suffix)
    log.rename(rotated)
    log.touch()
    return rotated


def test_each_line_is_read_once(log: Path) -> None:
    """A run continues where the last one ended."""
    reader = Reader(log)
    append(log, b"a\nb\n")
    assert reader.run() == [b"a", b"b"]
    assert reader.run() == []
    append(log, b"c\n")
    assert reader.run() == [b"c"]


def test_incomplete_line_is_read_when_it_is_complete(log: Path) -> None:
    """A writer may be interrupted within a line."""
    reader = Reader(log)
    append(log, b"a\nb")
    assert reader.run() == [b"a"]
    append(log, b"c\n")
    assert reader.run() == [b"bc"]


def test_existing_lines_can_be_skipped(log: Path) -> None:
    """The first run begins at the end of the last complete line, if asked to."""
    append(log, b"a\nb")
    reader = Reader(log, from_end=True)
    assert reader.run() == []
    append(log, b"c\n")
    assert reader.run() == [b"bc"]


def test_skipping_ends_with_the_first_run(log: Path) -> None:
    """A log that did not exist in the first run is read from its beginning."""
    log.unlink()
    reader = Reader(log, from_end=True)
    assert reader.run() == []
    append(log, b"a\n")
    assert reader.run() == [b"a"]


@pytest.mark.parametrize("suffix", [".1", "-20261122"])
def test_rotation_loses_no_line(log: Path, suffix: str) -> None:
    """Lines before the rotation, and those that are written to the rotated file after it, are read."""
    reader = Reader(log)
    append(log, b"a\n")
    reader.run()
    append(log, b"b\n")
    rotated = rotate(log, suffix)
    append(log, b"d\n")
    assert reader.run() == [b"b", b"d"]
    append(rotated, b"c\n")
    append(log, b"e\n")
    assert reader.run() == [b"c", b"e"]
    assert reader.run() == []


def test_compressed_and_other_files_are_ignored(log: Path) -> None:
    """Only files that were read before they were rotated continue."""
    reader = Reader(log)
    append(log, b"a\n")
    reader.run()
    rotated = rotate(log)
    reader.run()
    rotated.with_suffix(".2.gz").write_bytes(gzip.compress(rotated.read_bytes()))
    rotated.unlink()
    log.with_name("access.log.backup").write_bytes(b"copy\n")
    append(log, b"b\n")
    assert reader.run() == [b"b"]
    assert reader.positions is not None
    assert len(reader.positions) == 1


@pytest.mark.parametrize("content", [b"", b"x\n", b"new line\nnext\n"])
def test_truncated_or_replaced_file_is_read_again(log: Path, content: bytes) -> None:
    """The inode alone does not identify a file: another beginning means another file."""
    reader = Reader(log)
    append(log, b"a line\n")
    reader.run()
    inode = log.stat().st_ino
    log.write_bytes(content)
    assert log.stat().st_ino == inode
    assert reader.run() == content.splitlines()


def test_long_lines_are_shortened(log: Path) -> None:
    """Only the beginning of a long line is kept, and the next line is not affected."""
    reader = Reader(log)
    append(log, b"x" * (3 * log_reader.MAX_LINE) + b"\nb\n")
    first, second = reader.run()
    assert (len(first), second) == (log_reader.MAX_LINE, b"b")
    append(log, b"y" * (3 * log_reader.MAX_LINE))
    assert reader.run() == []
    append(log, b"\nc\n")
    assert [line[:1] for line in reader.run()] == [b"y", b"c"]


def test_a_run_is_bounded(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run reads a limited number of bytes, and the next run continues."""
    monkeypatch.setattr(log_reader, "MAX_READ", 100)
    append(log, b"".join(b"%07d\n" % number for number in range(40)))
    reader = Reader(log)
    runs = [reader.run() for _ in range(5)]
    assert [len(lines) for lines in runs] == [13, 13, 13, 1, 0]
    assert b"".join(line for lines in runs for line in lines) == b"".join(b"%07d" % number for number in range(40))


def test_endless_line_is_skipped(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that no run can read to its end does not stop the reader."""
    monkeypatch.setattr(log_reader, "MAX_READ", 1 << 18)
    append(log, b"\0" * (1 << 19) + b"\nb\n")
    reader = Reader(log)
    found = [line for _ in range(5) for line in reader.run()]
    assert found[-1] == b"b"


def test_memory_does_not_depend_on_size(log: Path) -> None:
    """A log of 64 MiB is read as a stream."""
    with log.open("wb") as file:
        for _ in range(64):
            file.write((b"z" * 255 + b"\n") * 4096)
    tracemalloc.start()
    assert sum(1 for _ in LogReader(log, []).lines()) == 64 * 4096
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_error_keeps_positions(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error, lines that were read are not read again, and others are not skipped."""
    reader = Reader(log)
    append(log, b"a\n")
    reader.run()
    rotate(log)
    append(log, b"b\n")
    reader.run()
    append(log, b"c\n")
    failing = LogReader(log, reader.positions)
    monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(OSError("gone")))
    with pytest.raises(OSError, match="gone"):
        list(failing.lines())
    monkeypatch.undo()
    reader.positions = failing.positions
    assert reader.run() == [b"c"]


def test_error_in_the_first_run_keeps_it_the_first(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise, the next run would count a large log from its beginning."""
    append(log, b"a\n")
    reader = LogReader(log, None, from_end=True)
    monkeypatch.setattr(os, "scandir", lambda _: (_ for _ in ()).throw(PermissionError()))
    with pytest.raises(PermissionError):
        list(reader.lines())
    assert reader.positions is None


@given(
    steps=st.lists(
        st.one_of(st.sampled_from(["run", "rotate"]), st.binary(max_size=40).filter(lambda text: b"\n" not in text)),
        max_size=30,
    )
)
def test_all_lines_are_read_once(tmp_path_factory: pytest.TempPathFactory, steps: list[str | bytes]) -> None:
    """Any sequence of lines, runs and rotations: each line is read once, in order, if a run precedes each rotation.

    Lines are unique, as their times are in a log: they identify a file whose inode is used again.
    """
    log = tmp_path_factory.mktemp("log") / "access.log"
    log.touch()
    reader, written, found = Reader(log), [], []
    for step in steps:
        if isinstance(step, bytes):
            written.append(b"%d %b" % (len(written), step))
            append(log, written[-1] + b"\n")
        else:
            found += reader.run()
            if step == "rotate":
                rotate(log)
    assert found + reader.run() == written
