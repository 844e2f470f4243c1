"""Ways in which files change under those who read them."""

import os
from collections.abc import Callable
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Write a file as Ansible does: another one takes its place."""
    other = path.with_suffix(".new")
    other.write_text(text)
    other.rename(path)


def keep_time(path: Path, text: str) -> None:
    """Write a file of the same size and time."""
    status = path.stat()
    assert len(text) == status.st_size
    replace(path, text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def remove(path: Path) -> None:
    """Take a file away."""
    path.unlink()


def garble(path: Path) -> None:
    """Write what is no text."""
    path.write_bytes(b"alice:\xff\xfe\n" + os.urandom(50))


def cover(path: Path) -> None:
    """Put a directory in the file's place."""
    path.unlink()
    path.mkdir()


# What happens to files that nobody looks after.
HARM: list[Callable[[Path], None]] = [remove, garble, cover]
