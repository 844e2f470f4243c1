"""The files of the audit log: the one that is written, and those that logrotate has put away."""

import gzip
import os
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wheelhouse.audit.line import LONGEST_LINE


def rotated(log: Path) -> list[Path]:
    """The files that were put away, oldest first: audit.log.2.gz, audit.log.1. Raises OSError."""
    names = re.compile(re.escape(log.name) + r"\.([0-9]+)(\.gz)?")
    found: dict[int, Path] = {}
    for path in sorted(log.parent.iterdir()):
        # The one that is not compressed sorts first. Where both are there, the other may be half done.
        if (match := names.fullmatch(path.name)) and path.is_file():
            found.setdefault(int(match[1]), path)
    return [found[number] for number in sorted(found, reverse=True)]


def is_compressed(path: Path) -> bool:
    """Whether a file was compressed when it was put away."""
    return path.suffix == ".gz"


# What reading a file raises that is torn or spoilt.
UNREADABLE = (OSError, EOFError, zlib.error)


@dataclass(frozen=True)
class Part:
    """One of the files, open. size: so many bytes of it count."""

    name: str
    file: BinaryIO
    size: int = sys.maxsize

    @classmethod
    def open(cls, path: Path) -> "Part":
        """Open a file. Raises OSError."""
        return cls(path.name, gzip.open(path, "rb") if is_compressed(path) else path.open("rb"))

    def lines(self) -> Iterator[bytes]:
        """All lines with their ends. Of one that is too long there is the beginning, without an end.

        Raises what is UNREADABLE.
        """
        left, begins = self.size, True
        while left > 0 and (raw := self.file.readline(min(LONGEST_LINE, left))):
            left -= len(raw)
            if begins:
                yield raw
            begins = raw.endswith(b"\n")


def tail(file: int) -> tuple[bytes | None, bytes]:
    """The last whole line of a file, None if there is none, and what comes after it, both without a line's end.

    Of what is too long there is only the end.
    """
    size = os.fstat(file).st_size
    found = os.pread(file, 2 * LONGEST_LINE, max(0, size - 2 * LONGEST_LINE))
    whole, end, rest = found.rpartition(b"\n")
    return whole.rpartition(b"\n")[2] if end else None, rest


def last_line(path: Path) -> bytes | None:
    """The last line of a file, compressed or not, without its end; None if there is none that can be read."""
    last = None
    part = Part.open(path)
    with part.file, suppress(*UNREADABLE):
        for raw in part.lines():
            last = raw.removesuffix(b"\n")
    return last
