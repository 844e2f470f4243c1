"""The packages directory, as pypiserver's backend."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from packaging.version import InvalidVersion, Version
from pypiserver.backend import PkgFile, SimpleFileBackend

from wheelhouse.distributions import Refused, normalise, project_of, release_of
from wheelhouse.pages.site import Pages


def same_version(one: str, other: str) -> bool:
    """Whether two spellings mean the same version (PEP 440)."""
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def is_release(filename: str, project: str, version: str) -> bool:
    """Whether a file is of a release, its version in any spelling. pypiserver's own guess at names is another."""
    try:
        found, its_version = release_of(filename)
    except Refused:
        return False
    return found == project and same_version(str(its_version), version)


class Taken(Exception):
    """A file of that name is there already."""


class Store(SimpleFileBackend):
    """pypiserver's own backend, with names and versions compared as the standards say, and pages kept in step."""

    def __init__(self, config, pages: Pages):
        super().__init__(config)
        self._pages = pages

    def find_version(self, name: str, version: str) -> Iterator[PkgFile]:
        """The files of one release, in any spelling of its name (PEP 503) and version (PEP 440)."""
        return (file for file in self.get_all_packages() if is_release(Path(file.fn).name, normalise(name), version))

    def exists(self, _filename: str) -> bool:
        """Never, as far as pypiserver is concerned: its own refusal tells people to start it in another way."""
        return False

    def add_package(self, filename: str, stream: BinaryIO) -> None:
        """Keep a file, and put it on the pages.

        Raises Taken if there is one of that name, Refused if it is torn, or OSError.
        """
        if (self.roots[0] / filename).exists():
            raise Taken(filename)
        super().add_package(filename, stream)
        entries = self._pages.refresh(project_of(filename), [filename])
        if why := next((entry.broken for entry in entries if entry.filename == filename), None):
            (self.roots[0] / filename).unlink()
            self._pages.refresh(project_of(filename))
            raise Refused(f"{filename} would be on no page: {why}")

    def remove_package(self, pkg: PkgFile) -> None:
        """Remove a file, and take it off the pages. Raises OSError."""
        super().remove_package(pkg)
        filename = Path(pkg.fn).name
        self._pages.refresh(project_of(filename), [filename])
