"""Disk space reserved for the audit log, so that it can be written when the disk is full."""

import os
from pathlib import Path

from wheelhouse.files.atomic import DISK_FULL_ERRNOS


class DiskReserve:
    """A file without content that occupies space, and is deleted when its blocks and its inode are needed.

    The caller holds the lock of the file that the space is reserved for.
    """

    def __init__(self, path: Path, size: int) -> None:
        """Name the file, whose directory must exist. size: bytes."""
        self._path = path
        self._size = size

    def exists(self) -> bool:
        """Return whether the space is reserved."""
        try:
            return self._path.stat().st_size >= self._size
        except OSError:
            return False

    def ensure(self) -> bool:
        """Reserve the space if it is not. Return False if there is not enough free space, twice the size."""
        if self.exists():
            return True
        try:
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize < 2 * self._size:
                return False
            self._create()
        except OSError as error:
            # Other errors do not prevent writing: a file system may not support fallocate.
            return error.errno not in DISK_FULL_ERRNOS
        return True

    def release(self) -> bool:
        """Release the space. Return whether it was reserved."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def _create(self) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(file, 0, self._size)
        except OSError:
            self._path.unlink()
            raise
        finally:
            os.close(file)
