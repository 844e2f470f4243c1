"""Reads the new lines of a log that logrotate rotates.

A file is identified by its inode and, because inodes are reused, by a digest of its beginning, with the time of a line.
After a rotation, writers may append to the previous file for a while, so it is read until it is compressed.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

# Bytes. Only the beginning of a longer line is returned; the rest of it is skipped.
MAX_LINE = 1 << 16
# Bytes that are read in a run, within seconds. The next run continues.
MAX_READ = 1 << 26
# Bytes at the beginning of a file that identify it.
HEAD = 256
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


@dataclass(frozen=True)
class Position:
    """How far a file was read. head: SHA-256 of its first bytes, of those before the offset and at most HEAD."""

    inode: int
    offset: int
    head: str

    @classmethod
    def of(cls, file: BinaryIO, offset: int) -> "Position":
        """Return the position of an open file."""
        beginning = os.pread(file.fileno(), min(offset, HEAD), 0)
        return cls(os.fstat(file.fileno()).st_ino, offset, hashlib.sha256(beginning).hexdigest())

    def belongs_to(self, file: BinaryIO) -> bool:
        """Return whether this is a position in an open file, which was not truncated meanwhile."""
        return os.fstat(file.fileno()).st_size >= self.offset and Position.of(file, self.offset) == self


class LogReader:
    """Reads complete lines from known positions, once."""

    def __init__(self, path: Path, positions: list[Position] | None, from_end: bool = False) -> None:
        """Name the log. positions: of the last run; None: there was none. from_end: skip what is there then."""
        self._path, self._known = path, positions
        self._from_end = from_end and positions is None
        self._left = MAX_READ
        self._read: list[Position] = []
        self._is_finished = False

    @property
    def positions(self) -> list[Position] | None:
        """Return the positions to continue from, also if an error has interrupted lines()."""
        if self._is_finished or self._known is None:
            return self._read or ([] if self._is_finished else None)
        inodes = {position.inode for position in self._read}
        return self._read + [position for position in self._known if position.inode not in inodes]

    def lines(self) -> Iterator[bytes]:
        """Yield new lines without their line ends, those of the rotated file first. Raises OSError."""
        for path in [*self._rotated(), self._path]:
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file:
                known = [position for position in self._known or () if position.belongs_to(file)]
                if known:
                    offset = known[0].offset
                elif path != self._path:
                    continue
                else:
                    offset = _end(file) if self._from_end else 0
                self._read.append(Position.of(file, offset))
                file.seek(offset)
                yield from self._lines_of(file, offset)
        self._is_finished = True

    def _rotated(self) -> list[Path]:
        """Return uncompressed files whose names begin with that of the log, oldest first."""
        inodes = {position.inode for position in self._known or ()}
        with os.scandir(self._path.parent) as entries:
            found = [
                (entry.stat().st_mtime_ns, Path(entry.path))
                for entry in entries
                if entry.name.startswith((f"{self._path.name}.", f"{self._path.name}-"))
                and not entry.name.endswith(COMPRESSED)
                and entry.inode() in inodes
                and entry.is_file(follow_symlinks=False)
            ]
        return [path for _, path in sorted(found)]

    def _lines_of(self, file: BinaryIO, offset: int) -> Iterator[bytes]:
        try:
            while self._left > 0 and (line := file.readline(MAX_LINE)):
                size, rest = len(line), line
                while size < MAX_READ and not rest.endswith(b"\n") and (rest := file.readline(MAX_LINE)):
                    size += len(rest)
                if size < MAX_READ and not rest.endswith(b"\n"):
                    break  # it is being written
                self._left -= size
                offset += size
                yield line.rstrip(b"\n")
        finally:
            self._read[-1] = Position.of(file, offset)


def _end(file: BinaryIO) -> int:
    """Return the end of the last complete line; of a longer partial line, the end of the file."""
    size = os.fstat(file.fileno()).st_size
    start = max(0, size - MAX_LINE)
    found = os.pread(file.fileno(), size - start, start).rfind(b"\n")
    return size if found < 0 and start else start + found + 1
