"""pypiserver's backend: connects its upload and removal handlers to the store."""

from collections.abc import Callable
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pypiserver.backend import PkgFile, SimpleFileBackend
from pypiserver.config import RunConfig

from wheelhouse.distributions.filenames import MAX_LENGTH, is_valid_project_name, parse_filename
from wheelhouse.errors import NotFoundError, RequestError, short_repr
from wheelhouse.storage.store import Store
from wheelhouse.web.errors import http_errors
from wheelhouse.web.request import Request


class Backend(SimpleFileBackend):
    """A backend that compares names as in PEP 503 and versions as in PEP 440. current_request: of this thread."""

    def __init__(self, config: RunConfig, store: Store, current_request: Callable[[], Request]) -> None:
        super().__init__(config)
        # Not resolved here: the target of the path changes (storage/data_directory.py).
        self.roots = [Path(root) for root in config.roots]
        self._store, self._current_request = store, current_request

    def find_version(self, name: str, version: str) -> list[PkgFile]:
        """Return the files of one release. Raises a Bottle response, also if there are none."""
        project, root = canonicalize_name(name), self.roots[0]
        with http_errors(f"{short_repr(project)} cannot be looked up"):
            check_release(project, version)
            filenames = [one for one in self._store.filenames.of_project(project) if is_release(one, project, version)]
            if not filenames:
                raise NotFoundError(f"There is no {project[:80]} {version[:80]} here, so nothing was removed")
        return [PkgFile(project, version, str(root / filename), str(root), filename) for filename in filenames]

    def exists(self, _filename: str) -> bool:
        """Return False: the store checks used names. pypiserver's own message proposes options of its command line."""
        return False

    def add_package(self, filename: str, _stream: object) -> None:
        """Publish the received file. Raises a Bottle response."""
        with http_errors(f"{filename} was not published"):
            self._store.publish(self._current_request().upload)

    def remove_package(self, pkg: PkgFile) -> None:
        """Remove a file. Raises a Bottle response."""
        filename = Path(str(pkg.fn)).name
        with http_errors(f"{filename} was not removed, or is still on its page"):
            self._store.remove(self._current_request().removal, filename)


def check_release(project: str, version: str) -> None:
    """Raise NotFoundError for a project or version that no file can have, so that it is never used in a path."""
    if not is_valid_project_name(project):
        raise NotFoundError(
            f"Nothing was removed: a project name has letters, digits and ._-, at most {MAX_LENGTH} of them, "
            f"and this is {short_repr(project)}"
        )
    if len(version) > MAX_LENGTH:
        raise NotFoundError(
            f"Nothing was removed: the version has {len(version)} characters; at most {MAX_LENGTH} are allowed"
        )


def is_release(filename: str, project: str, version: str) -> bool:
    """Return whether a file belongs to a release. pypiserver's own parser finds other names for some files."""
    try:
        return parse_filename(filename) == (project, Version(version))
    except (RequestError, InvalidVersion):
        return False
