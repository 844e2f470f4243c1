"""Rights to upload and remove projects (pypi_rights)."""

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from wheelhouse.files.reloading import ReloadingFile

WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class Right:
    """One entry of pypi_rights."""

    users: frozenset[str]
    groups: frozenset[str]
    may: frozenset[str]
    projects: tuple[str, ...]


@dataclass(frozen=True)
class Rights:
    """All rights, and the members of the groups that they name. Access is denied by default."""

    entries: tuple[Right, ...] = ()
    members: dict[str, frozenset[str]] = field(default_factory=dict)

    def allows(
        self, user: str, action: str, project: str, *, owner: str | None = None, first_uploader: bool = False
    ) -> bool:
        """Return whether a user has the right to an action ("upload" or "remove") on a project.

        project: its normalized name (PEP 503). first_uploader: if the project has an owner, other users need a right
        with its full name; a pattern that matches is not enough. The owner, and everybody if there is no owner (the
        project is new, or was published before there were owners), need any right that matches.
        """
        by_full_name_only = first_uploader and owner is not None and owner != user
        return any(
            action in right.may
            and self._applies_to(right, user)
            and any(matches(pattern, project, by_full_name_only) for pattern in right.projects)
            for right in self.entries
        )

    def has_any_right(self, user: str) -> bool:
        """Return whether any right applies to a user."""
        return any(self._applies_to(right, user) for right in self.entries)

    def _applies_to(self, right: Right, user: str) -> bool:
        return user in right.users or any(user in self.members.get(group, ()) for group in right.groups)

    @classmethod
    def parse(cls, text: str) -> "Rights":
        """Parse JSON: {"groups": {group: [user, ...]}, "rights": [{"users", "groups", "may", "projects"}, ...]}.

        Raises ValueError, KeyError, TypeError or AttributeError for anything else.
        """
        found = json.loads(text)
        entries = tuple(
            Right(
                frozenset(right["users"]),
                frozenset(right["groups"]),
                frozenset(right["may"]),
                tuple(right["projects"]),
            )
            for right in found["rights"]
        )
        return cls(entries, {group: frozenset(members) for group, members in found["groups"].items()})


def matches(pattern: str, project: str, by_full_name_only: bool) -> bool:
    """Return whether a pattern matches the name of a project. by_full_name_only: ignore patterns with wildcards."""
    if by_full_name_only and WILDCARDS & set(pattern):
        return False
    return fnmatchcase(project, pattern)


class RightsFile(ReloadingFile[Rights]):
    """A file of rights. current() raises what Rights.parse and reading a file raise: callers must then deny access."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Rights.parse)
