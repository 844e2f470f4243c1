"""Tombstones: removed files, whose names must not be used for different content.

Installers that pin a version or a hash would otherwise get a file that differs from the one that they know.
"""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from wheelhouse.distributions.filenames import canonical_filename
from wheelhouse.files.json_table import JsonTable, utc_now


@dataclass(frozen=True)
class Tombstone:
    """A removed file: its name as it was spelled, its SHA-256 in hexadecimal, who removed it, when (ISO 8601, UTC)."""

    filename: str
    sha256: str
    user: str
    removed: str


class Tombstones:
    """Removed files by name. All spellings of a filename are one key.

    All methods raise OSError and ValueError, and RequestError for an invalid filename (canonical_filename). The file:
    {canonical filename: {the fields of a Tombstone}}.
    """

    def __init__(self, path: Path, lock: Path) -> None:
        self._table = JsonTable(path, lock, (field.name for field in fields(Tombstone)))

    def get(self, filename: str) -> Tombstone | None:
        """Return the tombstone of a filename, or None."""
        row = self._table.rows().get(canonical_filename(filename))
        return Tombstone(**row) if row else None

    def add(self, filename: str, sha256: str, user: str) -> None:
        """Record that a user removes a file. Replaces an earlier tombstone of the same name."""
        with self._table.transaction() as rows:
            rows[canonical_filename(filename)] = asdict(Tombstone(filename, sha256, user, utc_now()))

    def delete(self, filename: str) -> Tombstone | None:
        """Make a name available again. Returns its tombstone, or None if there was none."""
        with self._table.transaction() as rows:
            row = rows.pop(canonical_filename(filename), None)
        return Tombstone(**row) if row else None

    def check_readable(self) -> None:
        """Raise OSError or ValueError if the file cannot be read."""
        self._table.rows()

    def all(self) -> list[Tombstone]:
        """Return all tombstones, sorted by filename."""
        return [Tombstone(**row) for _, row in sorted(self._table.rows().items())]
