"""Ways to change and damage files."""

import os
from collections.abc import Callable
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Replace a file atomically, as Ansible does."""
    other = path.with_suffix(".new")
    other.write_text(text)
    other.rename(path)


def keep_time(path: Path, text: str) -> None:
    """Replace a file by one of the same size and modification time."""
    status = path.stat()
    assert len(text) == status.st_size
    replace(path, text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def remove(path: Path) -> None:
    """Delete a file."""
    path.unlink()


def garble(path: Path) -> None:
    """Write bytes that are not valid UTF-8."""
    path.write_bytes(b"alice:\xff\xfe\n" + os.urandom(50))


def cover(path: Path) -> None:
    """Replace a file by a directory."""
    path.unlink()
    path.mkdir()


# Damages to files.
HARM: list[Callable[[Path], None]] = [remove, garble, cover]
