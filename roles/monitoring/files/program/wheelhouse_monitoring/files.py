"""Atomic replacement of the services' own files."""

import os
from pathlib import Path


def replace(path: Path, text: str, mode: int) -> None:
    """Replace a file durably by renaming a temporary file. Each file has one writer. Raises OSError."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
