"""Who may do what, rights and claims together."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wheelhouse.claims import Claims
from wheelhouse.refusals import Denied, Unable
from wheelhouse.reserved import is_reserved
from wheelhouse.rights import RightsFile


class Gate:
    """Decides on uploads and removals. first_uploader: whether a new project is whose who publishes it first."""

    def __init__(self, rights: RightsFile, claims: Claims, first_uploader: bool):
        self._rights, self._claims, self._first_uploader = rights, claims, first_uploader

    def permit(self, user: str, action: str, project: str) -> None:
        """Raise Denied unless user may do action ("upload" or "remove") to project; Unable where nobody can tell."""
        with readable():
            owner = self._claims.owner_of(project) if self._first_uploader else None
            permitted = self._rights.current().permit(
                user, action, project, owner=owner, first_uploader=self._first_uploader
            )
        if not permitted:
            whose = f", which is {owner}'s" if owner not in (None, user) else ""
            raise Denied(f"{user} may not {action} {project or 'nameless projects'}{whose}")

    def has_any_right(self, user: str) -> bool:
        """Whether user may upload or remove any project at all. Raises Unable where nobody can tell."""
        with readable():
            return self._rights.current().names(user)

    def check_rights(self) -> None:
        """Raise what the rights file raises where it cannot be read."""
        self._rights.current()

    def check_claims(self) -> None:
        """Raise OSError or ValueError where the owners of projects count and cannot be read."""
        if self._first_uploader:
            self._claims.owner_of("")

    def claim(self, user: str, project: str) -> bool:
        """Make a project without files the user's, where the settings say so. Returns whether it now is and was not.

        Raises OSError, ValueError.
        """
        return self._first_uploader and not is_reserved(project) and self._claims.claim(project, user)

    def unclaim(self, project: str) -> None:
        """Take that back. Raises OSError, ValueError."""
        self._claims.give(project, None)


@contextmanager
def readable() -> Iterator[None]:
    """Raise Unable for whatever reading the rights and claims raises: without them, everything is rejected."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"wheelhouse: the rights cannot be read, so everything is rejected: {error!r}", file=sys.stderr)
        raise Unable("The rights cannot be read just now. Tell those who run this index") from None
