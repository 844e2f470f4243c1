"""What is known of each file of a project, so that no file is read twice.

One JSON file for each project. A file's entry holds as long as the file's size and time of change do.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from packaging.utils import parse_sdist_filename, parse_wheel_filename

from wheelhouse import permissions
from wheelhouse.pages import metadata
from wheelhouse.pages.disk import remove, write_atomically

# The size of a file that may not be read: no file has it, so such an entry never holds.
UNREADABLE = -1


@dataclass(frozen=True)
class Entry:
    """One distribution file.

    version as the file name spells it, normalised; size in bytes; changed: time of its last change, in nanoseconds
    since 1970; sha256 of the file, and of its core metadata (None: not served), in
    hexadecimal; broken: why it is left out of the pages, or None; uploaded: the time as wheelhouse.pages.upload_times
    has it, None until that is known.
    """

    filename: str
    version: str
    size: int
    changed: int
    sha256: str
    requires_python: str | None
    metadata_sha256: str | None
    broken: str | None = None
    uploaded: str | None = None

    def is_of(self, status: os.stat_result) -> bool:
        """Whether the file is still the one that was examined."""
        return (self.size, self.changed) == (status.st_size, status.st_mtime_ns)


def version_of(filename: str) -> str:
    """The version in a file name (PEP 440, normalised). Raises InvalidWheelFilename or InvalidSdistFilename."""
    parse = parse_wheel_filename if filename.endswith(".whl") else parse_sdist_filename
    return str(parse(filename)[1])


@dataclass(frozen=True)
class Known:
    """What is known of a file that has just been received: its SHA-256 in hexadecimal, and its metadata."""

    sha256: str
    metadata: metadata.Metadata


def examine(path: Path, metadata_dir: Path, durable: bool, known: Known | None = None) -> Entry:
    """Read a file as a whole, once, and put its core metadata where Apache serves it. What is known is not read.

    A broken file gets an entry that says so, and so does one that may not be read. Raises OSError for other reasons.
    """
    served = metadata_dir / f"{path.name}.metadata"
    status = path.stat()
    about = (path.name, version_of(path.name), status.st_size, status.st_mtime_ns)
    try:
        if known is not None:
            found, sha256 = known.metadata, known.sha256
        else:
            found, sha256 = metadata.read(path), sha256_of(path)
    except PermissionError:
        remove(served)
        return Entry(path.name, about[1], UNREADABLE, 0, "", None, None, permissions.unreadable(path))
    except metadata.Broken as error:
        remove(served)
        return Entry(*about, "", None, None, str(error))
    metadata_sha256 = None
    if found.core is None:
        remove(served)
    else:
        write_atomically(served, found.core, durable)
        metadata_sha256 = hashlib.sha256(found.core).hexdigest()
    return Entry(*about, sha256, found.requires_python, metadata_sha256)


def sha256_of(path: Path) -> str:
    """A file's SHA-256, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(path: Path) -> dict[str, Entry]:
    """Entries by file name; none if there is no record, or another text: it can all be found out again.

    Raises OSError: a record that cannot be read is not one that is empty.
    """
    try:
        return {found["filename"]: Entry(**found) for found in json.loads(path.read_text(encoding="utf-8"))}
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return {}


def save(path: Path, entries: dict[str, Entry], durable: bool) -> None:
    """Write a project's record."""
    text = json.dumps([asdict(entries[name]) for name in sorted(entries)], indent=0)
    write_atomically(path, text.encode(), durable)
