"""The names in an archive, and where its links lead: all of it stays inside.

Stricter than what unpacks it has to be (PEP 706): a name has one meaning, on every system, and no way leads through a
link. So what is checked here is what people get, whatever they unpack it with.
"""

import itertools
import posixpath
import re

from wheelhouse.refusals import Refused

DRIVE = re.compile(r"[A-Za-z]:")
# Characters of one name (Linux's PATH_MAX), and of all names together: they are kept in memory.
MAX_NAME_LENGTH = 4096
MAX_NAMES_LENGTH = 32 << 20


def shown(name: str) -> str:
    """A member's name, for a message."""
    return ascii(name if len(name) <= 80 else f"{name[:77]}...")


def normal(name: str) -> str:
    """A member's path from the archive's root, "." for the root itself. Raises Refused if it leads elsewhere."""
    if not name or "\0" in name:
        raise Refused(f"its member {shown(name)} has no name that a file could have")
    if len(name) > MAX_NAME_LENGTH:
        raise Refused(f"its member {shown(name)} has a name of {len(name)} characters; {MAX_NAME_LENGTH} are allowed")
    if "\\" in name or name.startswith("/") or DRIVE.match(name) or ".." in name.split("/"):
        raise Refused(f"its member {shown(name)} is not inside it: names are relative, with / and without ..")
    return posixpath.normpath(name)


class Members:
    """The members seen so far.

    Names that differ in case only are allowed: on Linux, where most wheels are installed, they are two files, and all
    programs that unpack an archive there agree on it.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._directories: set[str] = set()
        self._links: set[str] = set()
        self._length = 0

    def add(self, name: str, directory: bool = False) -> str:
        """Add a file or directory, and return its path. Raises Refused."""
        path = normal(name)
        if path == "." and not directory:
            raise Refused(f"its member {shown(name)} has no name that a file could have")
        self._length += len(path)
        if self._length > MAX_NAMES_LENGTH:
            raise Refused(f"the names of its members have more than {MAX_NAMES_LENGTH} characters together")
        if path in self._names or (not directory and path in self._directories):
            raise Refused(f"it has two members named {shown(path)}")
        (self._directories if directory else self._names).add(path)
        return path

    def add_symlink(self, name: str, target: str) -> str:
        """Add a symbolic link, and return its path.

        Raises Refused where it leads outside, or where that depends on other links.
        """
        path = self.add(name)
        self._links.add(path)
        there = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        # Beyond its beginning, what .. means depends on links on the way.
        below = re.sub(r"^(\.\./|\.\.$)+", "", target)
        odd = not target or set(target) & {"\0", "\\"} or target.startswith("/") or DRIVE.match(target)
        if odd or ".." in below.split("/") or there.split("/")[0] == "..":
            raise Refused(f"its link {shown(path)} leads outside it, to {shown(target)}")
        return path

    def add_hard_link(self, name: str, target: str) -> str:
        """Add another name for a file in front of it, and return its path.

        Raises Refused where the target is outside, or comes later.
        """
        path = self.add(name)
        try:
            there = normal(target)
        except Refused:
            raise Refused(f"its link {shown(path)} leads outside it, to {shown(target)}") from None
        if there == path or there not in self._names:
            raise Refused(f"its hard link {shown(path)} is to {shown(target)}, which is not a file in front of it")
        return path

    def check(self) -> None:
        """Raise Refused where a file or link is used as a directory: what is unpacked then depends on the order."""
        # No name has a NUL, and nothing sorts before it: what is beneath a path follows it at once.
        paths = sorted(path.replace("/", "\0") for path in self._names | self._directories)
        for above, below in itertools.pairwise(paths):
            path = above.replace("\0", "/")
            if path in self._names and below.startswith(f"{above}\0"):
                what = "a link" if path in self._links else "a file"
                raise Refused(f"it has members beneath {shown(path)}, which is {what}")

    def tops(self) -> set[str]:
        """The names at the archive's root."""
        return {path.split("/")[0] for path in self._names | self._directories} - {"."}


def check_layout(tops: set[str], pkg_infos: int) -> None:
    """Refuse an sdist without its one top-level directory, and PKG-INFO in that (PEP 625, PEP 643).

    tops: the names at the archive's root; pkg_infos: how many there are.
    """
    if len(tops) != 1:
        raise Refused(f"an sdist has one directory at its top (PEP 625), and this has {len(tops)}")
    if pkg_infos != 1:
        raise Refused(f"an sdist has one PKG-INFO in its top directory, and this has {pkg_infos}. Build it again")
