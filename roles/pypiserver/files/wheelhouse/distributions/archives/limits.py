"""Protection against decompression bombs: limits on the number and size of an archive's members."""

import io
from typing import BinaryIO

from wheelhouse.config import Limits
from wheelhouse.errors import RequestError

# Bytes. Up to this size the ratio is not limited: an ordinary archive may consist mostly of zeros.
RATIO_EXEMPT_SIZE = 64 << 20


class UnpackLimits:
    """Counts what an archive unpacks to. packed: size of the archive in bytes."""

    def __init__(self, packed: int, limits: Limits) -> None:
        self._packed, self._limits = packed, limits
        self._members = self._size = 0

    def count_member(self) -> None:
        """Count one more member. Raises RequestError if there are too many."""
        self._members += 1
        if self._members > self._limits.max_members:
            raise RequestError(f"it has more than {self._limits.max_members} members (pypi_max_members)")

    def count_bytes(self, count: int) -> None:
        """Count more unpacked bytes. Raises RequestError if there are too many."""
        self._size += count
        if self._size > self._limits.max_unpacked_size:
            raise RequestError(
                f"it unpacks to more than {self._limits.max_unpacked_size} bytes (pypi_max_unpacked_size)"
            )
        if self._size > max(RATIO_EXEMPT_SIZE, self._packed * self._limits.max_unpacked_ratio):
            raise RequestError(
                f"it unpacks to more than {self._limits.max_unpacked_ratio} times its size (pypi_max_unpacked_ratio)"
            )


def size_of(file: BinaryIO) -> int:
    """Return the size of a file in bytes, and seek to its beginning."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size
