"""Reading an archive within limits: whoever made it may have meant to fill memory or disk with it."""

import io
from typing import BinaryIO

from wheelhouse.refusals import Refused
from wheelhouse.settings import Limits

CHUNK = 1 << 20
# Up to here no archive is called a bomb: much of an ordinary one may be zeros.
HARMLESS = 64 << 20


class Unpacked:
    """Counts what an archive unpacks to. packed: its own size in bytes."""

    def __init__(self, packed: int, limits: Limits):
        self._packed, self._limits = packed, limits
        self._members = self._size = 0

    def member(self) -> None:
        """Count one more member. Raises Refused."""
        self._members += 1
        if self._members > self._limits.max_members:
            raise Refused(f"it has more than {self._limits.max_members} members (pypi_max_members)")

    def bytes(self, count: int) -> None:
        """Count so many more bytes. Raises Refused."""
        self._size += count
        if self._size > self._limits.max_unpacked_size:
            raise Refused(f"it unpacks to more than {self._limits.max_unpacked_size} bytes (pypi_max_unpacked_size)")
        if self._size > max(HARMLESS, self._packed * self._limits.max_unpacked_ratio):
            raise Refused(
                f"it unpacks to more than {self._limits.max_unpacked_ratio} times its size (pypi_max_unpacked_ratio)"
            )


def size_of(file: BinaryIO) -> int:
    """A file's size in bytes. Leaves it at its beginning."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size
