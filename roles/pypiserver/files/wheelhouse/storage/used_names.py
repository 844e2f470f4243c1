"""The filenames that are or were used: a name must never get different content."""

from pathlib import Path

from wheelhouse.distributions.filenames import canonical_filename
from wheelhouse.errors import ConflictError, RequestError
from wheelhouse.pages import file_records
from wheelhouse.pages.writer import PageWriter
from wheelhouse.storage.tombstones import Tombstones


class UsedFilenames:
    """The filenames in the packages directory, and those of removed files. Methods raise OSError and ValueError."""

    def __init__(self, packages: Path, pages: PageWriter, tombstones: Tombstones) -> None:
        self._packages, self._pages, self._tombstones = packages, pages, tombstones

    def check_available(self, project: str, filename: str, sha256: str) -> bool:
        """Return True if an identical file exists, False if the name is free.

        Raises ConflictError if the name, in any spelling, is or was used for different content. sha256: hexadecimal,
        lower case. Other spellings are looked up among the recorded files of the project; of a file that has just been
        copied by hand, only its own spelling counts.
        """
        for existing in self._same_distribution(project, filename):
            if existing != filename:
                raise ConflictError(
                    f"File already exists as {existing}, another spelling of {filename}. Use a new version"
                )
            if self.sha256_of(project, existing) == sha256:
                return True
            raise ConflictError(f"File already exists with different content: {filename}. Use a new version")
        tombstone = self._tombstones.get(filename)
        if tombstone is not None and tombstone.sha256 != sha256:
            raise ConflictError(
                f"{filename} existed with different content, and was removed on {tombstone.removed[:10]}. Use a new "
                f"version, or ask the index administrator for: wheelhouse release-name {tombstone.filename}"
            )
        return False

    def check_readable(self) -> None:
        """Raise OSError or ValueError if the used filenames cannot be read."""
        self._tombstones.check_readable()

    def sha256_of(self, project: str, filename: str) -> str:
        """Return the SHA-256 of an existing file, in hexadecimal; the file is read if it has no valid record."""
        path = self._packages / filename
        record = self._pages.known_files(project).get(filename)
        if record is not None and record.broken is None and record.matches(path.stat()):
            return record.sha256
        return file_records.sha256_of(path)

    def of_project(self, project: str) -> list[str]:
        """Return the names of a project's recorded files that exist."""
        return [name for name in sorted(self._pages.known_files(project)) if (self._packages / name).exists()]

    def _same_distribution(self, project: str, filename: str) -> list[str]:
        """Return the existing filenames of the same distribution: this one alone if it exists, else other spellings."""
        canonical = canonical_filename(filename)
        if (self._packages / filename).exists():
            return [filename]
        return [name for name in self.of_project(project) if has_canonical_name(name, canonical)]


def has_canonical_name(filename: str, canonical: str) -> bool:
    """Return whether a filename is a spelling of a canonical filename."""
    try:
        return canonical_filename(filename) == canonical
    except RequestError:
        return False
