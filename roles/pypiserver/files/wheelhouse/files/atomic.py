"""Atomic and durable writes and appends, and the temporary files that they need."""

import errno
import fcntl
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

# The disk is full, or a disk quota is used up.
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)

# Temporary files that replace another file when they are complete.
TEMPORARY_PREFIX = ".new-"


def write_atomically(path: Path, content: bytes, durable: bool = True) -> None:
    """Replace a file by renaming a temporary file, so that readers see either the old or the new content.

    A file that has this content already is not touched: its modification time, and so its ETag, stay the same.
    durable: fsync the content before the rename. Without it, the caller writes many files and calls os.sync() once.
    Raises OSError.
    """
    try:
        if path.read_bytes() == content:
            return
    except OSError:
        pass
    temporary, file = create_temporary(path.parent, TEMPORARY_PREFIX)
    try:
        with file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o640)
            if durable:
                os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def append_durably(file: int, content: bytes) -> None:
    """Append to an open file, durably and all or nothing. The caller holds the lock of the file. Raises OSError."""
    size = os.fstat(file).st_size
    try:
        # A full disk may take a part of it.
        if os.write(file, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    except OSError:
        os.ftruncate(file, size)
        os.fsync(file)
        raise


def create_temporary(directory: Path, prefix: str) -> tuple[Path, BinaryIO]:
    """Create a file with a new name. It is locked while it is open, so that remove_stale does not delete it."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=directory)
        file = os.fdopen(descriptor, "w+b")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # remove_stale may have deleted the file before it was locked.
        if os.fstat(descriptor).st_nlink:
            return Path(name), file
        file.close()


def remove_stale(directory: Path, prefix: str) -> list[str]:
    """Delete temporary files whose writer has ended. Returns their names. Raises OSError."""
    removed = []
    for path in directory.glob(f"{prefix}*"):
        try:
            with path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Delete it under the lock: a writer that has just created it sees that it is gone, and tries again.
                path.unlink()
        except (BlockingIOError, FileNotFoundError):
            continue
        removed.append(path.name)
    return removed


def sync_directory(path: Path) -> None:
    """Make a directory's entries durable. fsync of a file does not cover its name (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def delete_if_exists(path: Path) -> None:
    """Delete a file, if it exists. Raises OSError."""
    path.unlink(missing_ok=True)


def check_writable(directory: Path) -> None:
    """Raise OSError unless a byte can be written in a directory."""
    # An unnamed file (O_TMPFILE), so that no stale file remains if the process ends.
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(b"\0")
