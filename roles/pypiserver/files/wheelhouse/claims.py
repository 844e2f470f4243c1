"""Whose a project is: the user's who published it first, or whom an admin gave it to."""

from pathlib import Path

from wheelhouse.distributions import normalise
from wheelhouse.register import Entries, Register, now


class Claims:
    """Owners by project. Names count in any spelling (PEP 503). All methods raise OSError and ValueError.

    The file: {project: {"user": its owner, "since": when it became theirs, ISO 8601, UTC}}.
    """

    def __init__(self, path: Path, lock: Path):
        self._register = Register(path, lock, ("user", "since"))

    def owner_of(self, project: str) -> str | None:
        """Who owns a project."""
        return owner(self._register.entries(), normalise(project))

    def claim(self, project: str, user: str) -> bool:
        """Make a project a user's if it is nobody's. Returns whether it was.

        Of two who ask at the same time, in whichever process, one gets it. The other one, whose right was looked up
        while it was nobody's, must have it looked up again. It is for whoever asks to know that the project has no
        files yet: one that is older than all claims would be taken from those who have been publishing it.
        """
        with self._register.changing() as entries:
            if owner(entries, normalise(project)) is not None:
                return False
            entries[normalise(project)] = {"user": user, "since": now()}
        return True

    def give(self, project: str, user: str | None) -> str | None:
        """Make a project another user's, or nobody's. Returns whose it was."""
        with self._register.changing() as entries:
            before = entries.pop(normalise(project), None)
            if user is not None:
                entries[normalise(project)] = {"user": user, "since": now()}
        return before["user"] if before else None

    def all(self) -> Entries:
        """{project: {"user", "since"}}, by project."""
        return {project: dict(claim) for project, claim in sorted(self._register.entries().items())}


def owner(entries: Entries, project: str) -> str | None:
    """A project's owner among all claims."""
    return entries[project]["user"] if project in entries else None
