"""Whether there is room for a file and its metadata: on the disks, and within what the settings allow in all."""

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wheelhouse.pages.disk import only_writer
from wheelhouse.refusals import Full
from wheelhouse.settings import Limits

# Bytes. Without room for so many, nearly every upload is rejected.
SMALL_FILE = 64 << 10
# Seconds for which a measured total is good enough for monitors.
MEASURED_SECONDS = 15
# What a form has besides its file, when all that is known is the length of both.
REST_OF_FORM = 1 << 20
DISK_IS_FULL = "The disk of this index is full. Tell those who run it (pypi_min_free_space)"
TOTAL_IS_REACHED = "The index has as many bytes as it may have. Tell those who run it (pypi_max_total_size)"
PAGES_DISK_IS_FULL = "The disk that holds the pages of this index is full. Tell those who run it (pypi_min_free_space)"


class Room:
    """The room for files in the packages directory, and for the metadata that is served beside them.

    metadata: the directory that the served metadata is written to, which may be on another file system; lock: held by
    whoever adds a file, where there is a limit for all.
    """

    def __init__(self, packages: Path, metadata: Path, limits: Limits, lock: Path):
        self._packages, self._metadata, self._limits, self._lock = packages, metadata, limits, lock
        self._measuring = threading.Lock()
        # All files' size in bytes, and when it was measured.
        self._measured: tuple[int, float] | None = None

    def check_disk(self, size: int) -> None:
        """Raise Full unless the disk takes so many bytes more, and has enough left then. Raises OSError."""
        if shutil.disk_usage(self._packages).free - size < self._limits.min_free_space:
            raise Full(DISK_IS_FULL)

    def check_pages_disk(self, size: int) -> None:
        """Raise Full unless the disk of the pages takes so many bytes more, and has enough left. Raises OSError."""
        if shutil.disk_usage(self._metadata).free - size < self._limits.min_free_space:
            raise Full(PAGES_DISK_IS_FULL)

    def check_total(self, size: int) -> None:
        """Raise Full unless all files and their metadata may be so many bytes more. Raises OSError."""
        if self._limits.max_total_size is not None and self._total() + size > self._limits.max_total_size:
            raise Full(TOTAL_IS_REACHED)

    def check_small_file(self) -> None:
        """Raise Full unless the disks take a small file. Raises OSError."""
        self.check_disk(SMALL_FILE)
        self.check_pages_disk(SMALL_FILE)

    def check_measured_total(self) -> None:
        """Raise Full unless the total had room for a small file a moment ago. Raises OSError.

        Without a lock that uploads hold. If another thread measures just now, what was measured before counts.
        """
        if self._limits.max_total_size is None:
            return
        if self._is_outdated() and self._measuring.acquire(blocking=self._measured is None):
            try:
                # Whoever waited for the first measurement need not repeat it.
                if self._is_outdated():
                    self._total()
            finally:
                self._measuring.release()
        if self._measured and self._measured[0] + SMALL_FILE > self._limits.max_total_size:
            raise Full(TOTAL_IS_REACHED)

    def _is_outdated(self) -> bool:
        """Whether all files must be measured again for monitors."""
        return self._measured is None or time.monotonic() - self._measured[1] >= MEASURED_SECONDS

    def expect(self, length: int) -> None:
        """Raise Full if what is announced will not fit, before it is received. length: of the whole form, in bytes."""
        self.check_disk(length)
        self.check_pages_disk(0)
        self.check_total(max(0, length - REST_OF_FORM))

    @contextmanager
    def reserved(self, size: int, metadata_size: int) -> Iterator[None]:
        """Hold so many bytes of the total for a file, and for its served metadata, that are added meanwhile.

        Raises Full, OSError.
        """
        self.check_pages_disk(metadata_size)
        if self._limits.max_total_size is None:
            yield
            return
        with only_writer(self._lock):
            self.check_total(size + metadata_size)
            yield

    def _total(self) -> int:
        """The size of all files that people see, and of their metadata, in bytes."""
        total = sum(size_of_files(directory) for directory in (self._packages, self._metadata))
        self._measured = (total, time.monotonic())
        return total


def size_of_files(directory: Path) -> int:
    """The size of all files in a directory that are not hidden, in bytes. Raises OSError."""
    total = 0
    with os.scandir(directory) as files:
        for file in files:
            if not file.name.startswith("."):
                with suppress(FileNotFoundError):  # gone since
                    total += file.stat(follow_symlinks=False).st_size
    return total
