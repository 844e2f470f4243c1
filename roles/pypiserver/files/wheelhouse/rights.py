"""Who may publish and remove which projects."""

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from wheelhouse.watched import Watched

WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class Right:
    """One entry of the settings' pypi_rights."""

    users: frozenset[str]
    groups: frozenset[str]
    may: frozenset[str]
    projects: tuple[str, ...]


@dataclass(frozen=True)
class Rights:
    """All entries, and the groups they speak of. What none of them allows is refused."""

    entries: tuple[Right, ...] = ()
    members: dict[str, frozenset[str]] = field(default_factory=dict)

    def permit(
        self, user: str, action: str, project: str, *, owner: str | None = None, first_uploader: bool = False
    ) -> bool:
        """Whether user may do action ("upload" or "remove") to project (its name as PEP 503 normalises it).

        first_uploader: a project is its owner's, and others need a right that has its full name, not just a pattern
        that it fits. Without an owner (nobody has published it yet, or somebody did before there were owners) any
        right will do, as it does without first_uploader. The owner needs one, too.
        """
        by_full_name_only = first_uploader and owner is not None and owner != user
        return any(
            action in right.may
            and self._is_for(right, user)
            and any(covers(pattern, project, by_full_name_only) for pattern in right.projects)
            for right in self.entries
        )

    def names(self, user: str) -> bool:
        """Whether any entry is for the user."""
        return any(self._is_for(right, user) for right in self.entries)

    def _is_for(self, right: Right, user: str) -> bool:
        return user in right.users or any(user in self.members.get(group, ()) for group in right.groups)

    @classmethod
    def parse(cls, text: str) -> "Rights":
        """Read JSON: {"groups": {group: [user, ...]}, "rights": [{"users", "groups", "may", "projects"}, ...]}.

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


def covers(pattern: str, project: str, by_full_name_only: bool) -> bool:
    """Whether a pattern fits a project's name, or is that very name."""
    if by_full_name_only and WILDCARDS & set(pattern):
        return False
    return fnmatchcase(project, pattern)


class RightsFile(Watched[Rights]):
    """A file of rights. current() raises what Rights.parse and reading a file raise: whoever asks must refuse."""

    def __init__(self, path: Path):
        super().__init__(path, Rights.parse)
