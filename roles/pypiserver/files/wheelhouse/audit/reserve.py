"""Space that is kept for the audit log, so that it can be written when its disk is full."""

import os
from pathlib import Path

from wheelhouse.pages.disk import FULL


class Reserve:
    """A file of a given size that holds nothing, and is removed when its space, and its inode, are needed.

    The caller holds the lock of what the space is for.
    """

    def __init__(self, path: Path, size: int):
        """Name the file, whose directory must be there. size: bytes."""
        self._path = path
        self._size = size

    def is_there(self) -> bool:
        """Return whether there is space in reserve."""
        try:
            return self._path.stat().st_size >= self._size
        except OSError:
            return False

    def keep(self) -> bool:
        """Make the file if it is missing. Return False if there is no room for it, and for as much again."""
        if self.is_there():
            return True
        try:
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize < 2 * self._size:
                return False
            self._make()
        except OSError as error:
            # Whatever else keeps it from being made is no reason not to write: a file system may not support it.
            return error.errno not in FULL
        return True

    def give_up(self) -> bool:
        """Remove the file. Return whether it was there."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def _make(self) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(file, 0, self._size)
        except OSError:
            self._path.unlink()
            raise
        finally:
            os.close(file)
