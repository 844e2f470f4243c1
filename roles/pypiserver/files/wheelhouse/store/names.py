"""Which names a project's files have, or had."""

from pathlib import Path

from wheelhouse.distributions import Refused, canonical_filename
from wheelhouse.pages import record
from wheelhouse.pages.site import Pages
from wheelhouse.refusals import Taken
from wheelhouse.tombstones import Tombstones


class Names:
    """The names in one packages directory, and those of removed files."""

    def __init__(self, packages: Path, pages: Pages, tombstones: Tombstones):
        self._packages, self._pages, self._tombstones = packages, pages, tombstones

    def is_here(self, project: str, filename: str, sha256: str) -> bool:
        """Whether this very file is here. Raises Taken where the name is, or was, for other bytes; OSError; ValueError.

        sha256: in hexadecimal, small letters. A project's files are looked up among those that are known of it; of
        what somebody has just copied there by hand, the name counts as it is spelt.
        """
        for there in self._alike(project, filename):
            if there != filename:
                raise Taken(f"{filename} is here already, spelt {there}. Give the release a new version")
            if self.sha256_of(project, there) == sha256:
                return True
            raise Taken(f"{filename} is here already, with other bytes. Give the release a new version")
        tombstone = self._tombstones.of(filename)
        if tombstone is not None and tombstone.sha256 != sha256:
            raise Taken(
                f"{filename} was here with other bytes, and was removed on {tombstone.removed[:10]}. Give the release "
                f"a new version, or ask those who run this index for: wheelhouse release-name {tombstone.filename}"
            )
        return False

    def check(self) -> None:
        """Raise OSError or ValueError where it cannot be told which names were used."""
        self._tombstones.check()

    def sha256_of(self, project: str, filename: str) -> str:
        """The SHA-256 of a file that is here, in hexadecimal. It is read where it is not known. Raises OSError."""
        path = self._packages / filename
        entry = self._pages.known(project).get(filename)
        if entry is not None and entry.broken is None and entry.is_of(path.stat()):
            return entry.sha256
        return record.sha256_of(path)

    def of(self, project: str) -> list[str]:
        """The names of a project's files that are here. Raises OSError."""
        return [name for name in sorted(self._pages.known(project)) if (self._packages / name).exists()]

    def _alike(self, project: str, filename: str) -> list[str]:
        """The names that mean the same distribution, the same one first."""
        meant = canonical_filename(filename)
        if (self._packages / filename).exists():
            return [filename]
        return [name for name in self.of(project) if is_spelling_of(name, meant)]


def is_spelling_of(filename: str, meant: str) -> bool:
    """Whether a file name means the distribution whose canonical name is given."""
    try:
        return canonical_filename(filename) == meant
    except Refused:
        return False
