"""Path traversal checks for archive members: names and link targets must stay inside the archive.

Stricter than an unpacker has to be (PEP 706): a name must have the same meaning on every system, and no path may lead
through a link. So the result of the check holds for every program that unpacks the archive.
"""

import itertools
import posixpath
import re

from wheelhouse.errors import RequestError, short_repr

DRIVE = re.compile(r"[A-Za-z]:")
# Characters of one name (Linux's PATH_MAX), and of all names together: they are kept in memory.
MAX_NAME_LENGTH = 4096
MAX_NAMES_LENGTH = 32 << 20


def normalize_path(name: str) -> str:
    """Return the path of a member from the archive's root, "." for the root. Raises RequestError if it is outside."""
    if not name or "\0" in name:
        raise RequestError(f"its member {short_repr(name)} has no name that a file could have")
    if len(name) > MAX_NAME_LENGTH:
        raise RequestError(
            f"its member {short_repr(name)} has a name of {len(name)} characters; {MAX_NAME_LENGTH} are allowed"
        )
    if "\\" in name or name.startswith("/") or DRIVE.match(name) or ".." in name.split("/"):
        raise RequestError(f"its member {short_repr(name)} is not inside it: names are relative, with / and without ..")
    return posixpath.normpath(name)


class Members:
    """The members of an archive.

    Names that differ only in case are allowed: on Linux, where most wheels are installed, they are two files, and all
    unpackers agree on it.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._directories: set[str] = set()
        self._links: set[str] = set()
        self._length = 0

    def add(self, name: str, directory: bool = False) -> str:
        """Add a file or directory, and return its path. Raises RequestError."""
        path = normalize_path(name)
        if path == "." and not directory:
            raise RequestError(f"its member {short_repr(name)} has no name that a file could have")
        self._length += len(path)
        if self._length > MAX_NAMES_LENGTH:
            raise RequestError(f"the names of its members have more than {MAX_NAMES_LENGTH} characters together")
        if path in self._names or (not directory and path in self._directories):
            raise RequestError(f"it has two members named {short_repr(path)}")
        (self._directories if directory else self._names).add(path)
        return path

    def add_symlink(self, name: str, target: str) -> str:
        """Add a symbolic link, and return its path.

        Raises RequestError if its target is outside, or depends on other links.
        """
        path = self.add(name)
        self._links.add(path)
        there = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        # After the beginning, the meaning of .. depends on links in the path.
        below = re.sub(r"^(\.\./|\.\.$)+", "", target)
        is_unsafe = not target or set(target) & {"\0", "\\"} or target.startswith("/") or DRIVE.match(target)
        if is_unsafe or ".." in below.split("/") or there.split("/")[0] == "..":
            raise RequestError(f"its link {short_repr(path)} leads outside it, to {short_repr(target)}")
        return path

    def add_hard_link(self, name: str, target: str) -> str:
        """Add a hard link, and return its path.

        Raises RequestError unless its target is a file before it in the archive.
        """
        path = self.add(name)
        try:
            there = normalize_path(target)
        except RequestError:
            raise RequestError(f"its link {short_repr(path)} leads outside it, to {short_repr(target)}") from None
        if there == path or there not in self._names:
            raise RequestError(
                f"its hard link {short_repr(path)} is to {short_repr(target)}, which is not a file in front of it"
            )
        return path

    def check(self) -> None:
        """Raise RequestError if a file or link is used as a directory: the result would depend on the order."""
        # NUL sorts before all characters of names, so paths below a path follow it immediately.
        paths = sorted(path.replace("/", "\0") for path in self._names | self._directories)
        for above, below in itertools.pairwise(paths):
            path = above.replace("\0", "/")
            if path in self._names and below.startswith(f"{above}\0"):
                what = "a link" if path in self._links else "a file"
                raise RequestError(f"it has members below {short_repr(path)}, which is {what}")

    def top_level(self) -> set[str]:
        """Return the names at the archive's root."""
        return {path.split("/")[0] for path in self._names | self._directories} - {"."}


def check_sdist_layout(top_level: set[str], pkg_infos: int) -> None:
    """Raise RequestError unless an sdist has one top-level directory, and PKG-INFO in it (PEP 625, PEP 643).

    top_level: the names at the archive's root; pkg_infos: number of PKG-INFO files.
    """
    if len(top_level) != 1:
        raise RequestError(f"an sdist has one directory at its top (PEP 625), and this has {len(top_level)}")
    if pkg_infos != 1:
        raise RequestError(f"an sdist has one PKG-INFO in its top directory, and this has {pkg_infos}. Build it again")
