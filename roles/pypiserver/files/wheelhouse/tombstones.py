"""Files that were removed: their names are not for other bytes, which people would take for those that they knew."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from wheelhouse.distributions import canonical_filename
from wheelhouse.register import Register, now


@dataclass(frozen=True)
class Tombstone:
    """A file that was removed: its name as it was spelt, its SHA-256 in hexadecimal, by whom, when (ISO 8601, UTC)."""

    filename: str
    sha256: str
    user: str
    removed: str


class Tombstones:
    """Removed files by name. All spellings that mean the same file count as one.

    All methods raise OSError and ValueError, and Refused (distributions.py) for what is no distribution's name. The
    file: {name in its one spelling: {the fields of a Tombstone}}.
    """

    def __init__(self, path: Path, lock: Path):
        self._register = Register(path, lock, (field.name for field in fields(Tombstone)))

    def of(self, filename: str) -> Tombstone | None:
        """The tombstone of a file name, if a file of that name was removed."""
        found = self._register.entries().get(canonical_filename(filename))
        return Tombstone(**found) if found else None

    def add(self, filename: str, sha256: str, user: str) -> None:
        """Note that a file is removed, and by whom. Where it had been removed before and come back, this counts."""
        with self._register.changing() as entries:
            entries[canonical_filename(filename)] = asdict(Tombstone(filename, sha256, user, now()))

    def lift(self, filename: str) -> Tombstone | None:
        """Have a name be free again. Returns its tombstone, if there was one."""
        with self._register.changing() as entries:
            found = entries.pop(canonical_filename(filename), None)
        return Tombstone(**found) if found else None

    def check(self) -> None:
        """Raise OSError or ValueError where they cannot be read."""
        self._register.entries()

    def all(self) -> list[Tombstone]:
        """All of them, by name."""
        return [Tombstone(**found) for _, found in sorted(self._register.entries().items())]
