"""The names in an archive, and where its links lead: all of it stays inside.

Stricter than what unpacks it has to be (PEP 706): a name has one meaning, on every system, and no way leads through a
link. So what is checked here is what people get, whatever they unpack it with.
"""

import posixpath
import re

from wheelhouse.refusals import Refused

DRIVE = re.compile(r"[A-Za-z]:")


def shown(name: str) -> str:
    """A member's name, for a message."""
    return ascii(name if len(name) <= 80 else f"{name[:77]}...")


def normal(name: str) -> str:
    """A member's path from the archive's root, "." for the root itself. Raises Refused if it leads elsewhere."""
    if not name or "\0" in name:
        raise Refused(f"its member {shown(name)} has no name that a file could have")
    if "\\" in name or name.startswith("/") or DRIVE.match(name) or ".." in name.split("/"):
        raise Refused(f"its member {shown(name)} is not inside it: names are relative, with / and without ..")
    return posixpath.normpath(name)


class Members:
    """The members seen so far."""

    def __init__(self):
        self._names: set[str] = set()
        self._directories: set[str] = set()
        self._links: set[str] = set()

    def add(self, name: str, directory: bool = False) -> str:
        """Add a file or directory, and return its path. Raises Refused."""
        path = normal(name)
        if path in self._names or (not directory and path in self._directories):
            raise Refused(f"it has two members named {shown(path)}")
        (self._directories if directory else self._names).add(path)
        return path

    def add_symlink(self, name: str, target: str) -> None:
        """Add a symbolic link. Raises Refused where it leads outside, or where that depends on other links."""
        path = self.add(name)
        self._links.add(path)
        there = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        # Beyond its beginning, what .. means depends on links on the way.
        below = re.sub(r"^(\.\./|\.\.$)+", "", target)
        odd = not target or set(target) & {"\0", "\\"} or target.startswith("/") or DRIVE.match(target)
        if odd or ".." in below.split("/") or there.split("/")[0] == "..":
            raise Refused(f"its link {shown(path)} leads outside it, to {shown(target)}")

    def add_hard_link(self, name: str, target: str) -> None:
        """Add another name for a member. Raises Refused where that is not inside."""
        path = self.add(name)
        try:
            normal(target)
        except Refused:
            raise Refused(f"its link {shown(path)} leads outside it, to {shown(target)}") from None

    def check(self) -> None:
        """Look at all of them together. Raises Refused."""
        for path in self._names | self._directories if self._links else ():
            while path := posixpath.dirname(path):
                if path in self._links:
                    raise Refused(f"it has members beneath {shown(path)}, which is a link")

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
