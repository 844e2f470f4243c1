"""The files of the audit log: the current one, and those that logrotate has rotated."""

import gzip
import os
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from wheelhouse.audit.entry import MAX_LINE_SIZE

# What reading a corrupt file raises.
READ_ERRORS = (OSError, EOFError, zlib.error)


def rotated_files(log: Path) -> list[Path]:
    """Return the rotated files, oldest first: audit.log.2.gz, audit.log.1. Raises OSError."""
    names = re.compile(re.escape(log.name) + r"\.([0-9]+)(\.gz)?")
    found: dict[int, Path] = {}
    for path in sorted(log.parent.iterdir()):
        # The uncompressed file sorts first. If both exist, the compressed one may be incomplete.
        if (match := names.fullmatch(path.name)) and path.is_file():
            found.setdefault(int(match[1]), path)
    return [found[number] for number in sorted(found, reverse=True)]


def is_compressed(path: Path) -> bool:
    """Return whether a rotated file is compressed."""
    return path.suffix == ".gz"


@dataclass(frozen=True)
class LogFile:
    """An open file of the log. size: bytes of it that are read."""

    name: str
    file: BinaryIO
    size: int = sys.maxsize

    @classmethod
    def open(cls, path: Path) -> "LogFile":
        """Open a file. Raises OSError."""
        if is_compressed(path):
            return cls(path.name, cast(BinaryIO, gzip.open(path, "rb")))
        return cls(path.name, path.open("rb"))

    def lines(self) -> Iterator[bytes]:
        """Yield all lines with their line ends. Of a line that is too long, only the beginning is yielded.

        Raises READ_ERRORS.
        """
        left, begins = self.size, True
        while left > 0 and (raw := self.file.readline(min(MAX_LINE_SIZE, left))):
            left -= len(raw)
            if begins:
                yield raw
            begins = raw.endswith(b"\n")


def read_tail(file: int) -> tuple[bytes | None, bytes]:
    """Return the last complete line of a file, or None, and the partial line after it, both without line ends.

    Of a line that is too long, only the end is returned.
    """
    size = os.fstat(file).st_size
    found = os.pread(file, 2 * MAX_LINE_SIZE, max(0, size - 2 * MAX_LINE_SIZE))
    complete, end, partial = found.rpartition(b"\n")
    return complete.rpartition(b"\n")[2] if end else None, partial


def last_line(path: Path) -> bytes | None:
    """Return the last readable line of a file, compressed or not, without its line end; None if there is none."""
    last = None
    log_file = LogFile.open(path)
    with log_file.file, suppress(*READ_ERRORS):
        for raw in log_file.lines():
            last = raw.removesuffix(b"\n")
    return last
