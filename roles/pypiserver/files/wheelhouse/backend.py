"""The store as pypiserver's backend: its own upload and removal code runs on this."""

from collections.abc import Callable
from pathlib import Path

from packaging.version import InvalidVersion, Version
from pypiserver.backend import PkgFile, SimpleFileBackend

from wheelhouse.answers import answering
from wheelhouse.archives.members import shown
from wheelhouse.attempt import Attempt
from wheelhouse.distributions import LONGEST, is_project_name, normalise, release_of
from wheelhouse.incoming import Form
from wheelhouse.refusals import Missing, Refused
from wheelhouse.store import Store
from wheelhouse.store.hidden import Hidden


class Backend(SimpleFileBackend):
    """Names and versions are compared as the standards say, and every failure is answered in words.

    current: what is known of the request that is being answered.
    """

    def __init__(self, config, store: Store, current: Callable[[], tuple[Attempt, Form]]):
        super().__init__(config)
        # Not resolved once for all: what the path leads to changes (held.py).
        self.roots = [Path(root) for root in config.roots]
        self._store, self._current = store, current

    def find_version(self, name: str, version: str) -> list[PkgFile]:
        """The files of one release, in any spelling of its name (PEP 503) and version (PEP 440).

        Raises an answer, also where there are none.
        """
        project, root = normalise(name), self.roots[0]
        with answering(f"{shown(project)} cannot be looked up"):
            check_release(project, version)
            filenames = [one for one in self._store.names.of(project) if is_release(one, project, version)]
            if not filenames:
                raise Missing(f"There is no {project[:80]} {version[:80]} here, so nothing was removed")
        return [PkgFile(project, version, str(root / filename), str(root), filename) for filename in filenames]

    def exists(self, _filename: str) -> bool:
        """Never, as far as pypiserver is concerned: its own refusal tells people to start it in another way."""
        return False

    def add_package(self, filename: str, stream: Hidden) -> None:
        """Publish what has arrived. Raises an answer."""
        attempt, form = self._current()
        with answering(f"{filename} was not published"):
            self._store.publish(attempt, stream, form.fields)

    def remove_package(self, pkg: PkgFile) -> None:
        """Remove a file. Raises an answer."""
        attempt, _form = self._current()
        filename = Path(pkg.fn).name
        with answering(f"{filename} was not removed, or is still on its page"):
            self._store.remove(attempt, filename)


def check_release(project: str, version: str) -> None:
    """Raise Missing for a project name or version that no file here can have, so that it never becomes a path."""
    if not is_project_name(project):
        raise Missing(
            f"Nothing was removed: a project name has letters, digits and ._-, at most {LONGEST} of them, "
            f"and this is {shown(project)}"
        )
    if len(version) > LONGEST:
        raise Missing(f"Nothing was removed: the version has {len(version)} characters; at most {LONGEST} are allowed")


def is_release(filename: str, project: str, version: str) -> bool:
    """Whether a file is of a release, its version in any spelling. pypiserver's own guess at names is another."""
    try:
        found, its_version = release_of(filename)
        return found == project and its_version == Version(version)
    except (Refused, InvalidVersion):
        return False
