"""Writing to disk: in one step, by one writer at a time."""

import errno
import fcntl
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# What the operating system says when a disk is full, or a quota is used up.
FULL = (errno.ENOSPC, errno.EDQUOT)

# How files are called that are being written, to take the place of others.
UNFINISHED = ".new-"

# So many lock files serve all projects: one for each would be left behind for ever.
LOCKS = 64


def write_atomically(path: Path, content: bytes, durable: bool = True) -> None:
    """Replace a file by way of a temporary one, so that whoever reads sees the old or the new one, whole.

    Leaves a file alone that has these bytes already: its time, and so its ETag, stay the same.
    durable: it is on the disk when this returns. A caller that writes many files calls os.sync() at the end instead.
    """
    try:
        if path.read_bytes() == content:
            return
    except OSError:
        pass
    temporary, file = open_hidden(path.parent, UNFINISHED)
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


def open_hidden(directory: Path, prefix: str) -> tuple[Path, BinaryIO]:
    """Make a file of a new name. It is locked for as long as it is open, so that clear_hidden leaves it alone."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=directory)
        file = os.fdopen(descriptor, "w+b")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Between the two, it could be taken for left over.
        if os.fstat(descriptor).st_nlink:
            return Path(name), file
        file.close()


def clear_hidden(directory: Path, prefix: str) -> list[str]:
    """Remove what writers that are no more have left behind. Returns the names. Raises OSError."""
    cleared = []
    for path in directory.glob(f"{prefix}*"):
        try:
            with path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Still locked: whoever has made it just now sees that it is gone, and makes another.
                path.unlink()
        except (BlockingIOError, FileNotFoundError):
            continue
        cleared.append(path.name)
    return cleared


def sync_directory(path: Path) -> None:
    """Have a directory's names on the disk: a file that is there may still be under its old name, or under none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    path.unlink(missing_ok=True)


def lock_of(directory: Path, project: str, kind: str = "") -> Path:
    """The lock file of a project, which it shares with others: hold no two projects' at a time.

    kind: what else than its pages is locked. Who holds a lock of another kind may ask for that of the pages, and not
    the other way round.
    """
    return directory / f"{kind}{zlib.crc32(project.encode()) % LOCKS:02d}"


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold a lock file, against other threads and other processes."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
