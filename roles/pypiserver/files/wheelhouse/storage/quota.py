"""Limits on storage: free space on the file systems, and the quota for all files (pypi_max_total_size)."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wheelhouse.config import Limits
from wheelhouse.errors import InsufficientStorageError
from wheelhouse.files.locks import exclusive_lock

# Bytes. Without this much free space, nearly every upload is rejected.
SMALL_FILE = 64 << 10
# Seconds for which health checks use a measured total.
MEASUREMENT_MAX_AGE = 15
# Bytes of a form without its file. Used while only the length of the whole form is known.
FORM_OVERHEAD = 1 << 20
DISK_FULL_MESSAGE = "The disk of this index is full (pypi_min_free_space). Contact the index administrator"
QUOTA_EXCEEDED_MESSAGE = "Storage quota exceeded (pypi_max_total_size). Contact the index administrator"
PAGES_DISK_FULL_MESSAGE = (
    "The disk that holds the pages of this index is full (pypi_min_free_space). Contact the index administrator"
)


class Quota:
    """The space for files in the packages directory, and for the metadata that is served with them.

    metadata: the directory of the served metadata, which may be on another file system; lock: held by a writer that
    adds a file, if there is a quota.
    """

    def __init__(self, packages: Path, metadata: Path, limits: Limits, lock: Path) -> None:
        self._packages, self._metadata, self._limits, self._lock = packages, metadata, limits, lock
        self._measuring = threading.Lock()
        # The size of all files in bytes, and the time of the measurement (time.monotonic).
        self._measured: tuple[int, float] | None = None

    def check_disk(self, size: int) -> None:
        """Raise InsufficientStorageError unless size more bytes leave enough free space. Raises OSError."""
        if shutil.disk_usage(self._packages).free - size < self._limits.min_free_space:
            raise InsufficientStorageError(DISK_FULL_MESSAGE)

    def check_pages_disk(self, size: int) -> None:
        """Raise InsufficientStorageError unless size more bytes of metadata leave enough. Raises OSError."""
        if shutil.disk_usage(self._metadata).free - size < self._limits.min_free_space:
            raise InsufficientStorageError(PAGES_DISK_FULL_MESSAGE)

    def check_total(self, size: int) -> None:
        """Raise InsufficientStorageError if size more bytes exceed the quota. Raises OSError."""
        if self._limits.max_total_size is not None and self._measure() + size > self._limits.max_total_size:
            raise InsufficientStorageError(QUOTA_EXCEEDED_MESSAGE)

    def check_small_file(self) -> None:
        """Raise InsufficientStorageError unless there is free space for a small file. Raises OSError."""
        self.check_disk(SMALL_FILE)
        self.check_pages_disk(SMALL_FILE)

    def check_measured_total(self) -> None:
        """Raise InsufficientStorageError if a recent measurement leaves no quota for a small file. Raises OSError.

        Takes no lock that uploads hold. While another thread measures, the previous measurement is used.
        """
        if self._limits.max_total_size is None:
            return
        if self._is_outdated() and self._measuring.acquire(blocking=self._measured is None):
            try:
                # Another thread may have measured while this one waited for the lock.
                if self._is_outdated():
                    self._measure()
            finally:
                self._measuring.release()
        if self._measured and self._measured[0] + SMALL_FILE > self._limits.max_total_size:
            raise InsufficientStorageError(QUOTA_EXCEEDED_MESSAGE)

    def _is_outdated(self) -> bool:
        """Return whether health checks need a new measurement."""
        return self._measured is None or time.monotonic() - self._measured[1] >= MEASUREMENT_MAX_AGE

    def check_available(self, length: int) -> None:
        """Raise InsufficientStorageError if a form cannot fit, before it is received. length: of the form, in bytes."""
        self.check_disk(length)
        self.check_pages_disk(0)
        self.check_total(max(0, length - FORM_OVERHEAD))

    @contextmanager
    def reserved(self, size: int, metadata_size: int) -> Iterator[None]:
        """Reserve quota for a file and its served metadata, which are added during the block. Sizes in bytes.

        Raises InsufficientStorageError, OSError.
        """
        self.check_pages_disk(metadata_size)
        if self._limits.max_total_size is None:
            yield
            return
        with exclusive_lock(self._lock):
            self.check_total(size + metadata_size)
            yield

    def _measure(self) -> int:
        """Return the size of all published files and of their metadata, in bytes."""
        total = sum(size_of_files(directory) for directory in (self._packages, self._metadata))
        self._measured = (total, time.monotonic())
        return total


def size_of_files(directory: Path) -> int:
    """Return the size of all files in a directory, without temporary ones, in bytes. Raises OSError."""
    total = 0
    with os.scandir(directory) as files:
        for file in files:
            if not file.name.startswith("."):
                with suppress(FileNotFoundError):  # deleted since it was listed (race)
                    total += file.stat(follow_symlinks=False).st_size
    return total
