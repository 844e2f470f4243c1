"""Exclusive locks between threads and between processes (flock(2))."""

import fcntl
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# All projects share this many lock files: one for each project would never be deleted.
LOCK_COUNT = 64


def lock_path(directory: Path, project: str, kind: str = "") -> Path:
    """Return the lock file of a project.

    Projects share lock files, so a thread must not lock two projects at a time. kind: "" for the project's pages, or
    the name of something else. The holder of a lock of another kind may take the lock of the pages, not vice versa.
    """
    return directory / f"{kind}{zlib.crc32(project.encode()) % LOCK_COUNT:02d}"


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive flock on a file, which is created if it is missing. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
