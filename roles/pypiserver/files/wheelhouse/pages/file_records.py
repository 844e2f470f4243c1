"""Cached details of each file of a project, so that no file is read twice.

One JSON file for each project. A record is valid as long as the size and modification time of its file do not change.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from wheelhouse.distributions.filenames import parse_filename
from wheelhouse.distributions.metadata import InvalidDistributionError, ServedMetadata, read_metadata
from wheelhouse.files.atomic import delete_if_exists, write_atomically
from wheelhouse.files.permissions import explain_unreadable

# The size in the record of a file that may not be read. No file has this size, so the record is never valid.
UNREADABLE_SIZE = -1


@dataclass(frozen=True)
class FileRecord:
    """One distribution file.

    version: as in the filename, normalized (PEP 440); size: bytes; changed: modification time, nanoseconds since 1970;
    sha256: of the file, in hexadecimal; metadata_sha256: of its served metadata, or None; broken: why it is left out of
    the pages, or None; uploaded: the upload time (wheelhouse.pages.upload_times), or None if not known yet.
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

    def matches(self, status: os.stat_result) -> bool:
        """Return whether the file has not changed since it was read."""
        return (self.size, self.changed) == (status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class FileDetails:
    """Details of a file that has just been uploaded: its SHA-256 in hexadecimal, and its metadata."""

    sha256: str
    metadata: ServedMetadata


def examine(path: Path, metadata_dir: Path, durable: bool, details: FileDetails | None = None) -> FileRecord:
    """Read a file, write its metadata to where Apache serves it, and return its record. Raises OSError.

    details: if they are given, the file is not read. A file that is not a valid distribution, or may not be read, gets
    a record that says so.
    """
    served = metadata_dir / f"{path.name}.metadata"
    status = path.stat()
    version = str(parse_filename(path.name)[1])
    about = (path.name, version, status.st_size, status.st_mtime_ns)
    try:
        if details is not None:
            metadata, sha256 = details.metadata, details.sha256
        else:
            metadata, sha256 = read_metadata(path), sha256_of(path)
    except PermissionError:
        delete_if_exists(served)
        return FileRecord(path.name, version, UNREADABLE_SIZE, 0, "", None, None, explain_unreadable(path))
    except InvalidDistributionError as error:
        delete_if_exists(served)
        return FileRecord(*about, "", None, None, str(error))
    metadata_sha256 = None
    if metadata.core is None:
        delete_if_exists(served)
    else:
        write_atomically(served, metadata.core, durable)
        metadata_sha256 = hashlib.sha256(metadata.core).hexdigest()
    return FileRecord(*about, sha256, metadata.requires_python, metadata_sha256)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(path: Path) -> dict[str, FileRecord]:
    """Return the records of a project by filename; an empty dict if they are missing or invalid: they are rebuilt.

    Raises OSError if the file cannot be read, which does not mean that it is empty.
    """
    try:
        return {found["filename"]: FileRecord(**found) for found in json.loads(path.read_text(encoding="utf-8"))}
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return {}


def save(path: Path, records: dict[str, FileRecord], durable: bool) -> None:
    """Write the records of a project. Raises OSError."""
    text = json.dumps([asdict(records[name]) for name in sorted(records)], indent=0)
    write_atomically(path, text.encode(), durable)
