"""Who may publish and remove which projects."""

import json
import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path


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

    def permit(self, user: str, action: str, project: str) -> bool:
        """Whether user may do action ("upload" or "remove") to project (its name as PEP 503 normalises it)."""
        return any(
            action in right.may
            and (user in right.users or any(user in self.members.get(group, ()) for group in right.groups))
            and any(fnmatchcase(project, pattern) for pattern in right.projects)
            for right in self.entries
        )

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


class RightsFile:
    """A file of rights, read again whenever it has changed: no reload is needed after a change of users."""

    def __init__(self, path: Path):
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] | None = None
        self._rights = Rights()

    def current(self) -> Rights:
        """The rights as they are now. Raises what Rights.parse and reading a file raise: whoever asks must refuse."""
        with self._lock:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._rights = Rights.parse(self._path.read_text(encoding="utf-8"))
                self._seen = seen
            return self._rights
