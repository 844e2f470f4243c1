"""The access policy: rights and owners combined."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wheelhouse.access.claims import Claims
from wheelhouse.access.rights import RightsFile
from wheelhouse.distributions.reserved import is_reserved
from wheelhouse.errors import ForbiddenError, ServiceUnavailableError


class AccessPolicy:
    """Decides on uploads and removals. first_uploader: whether the first uploader of a project becomes its owner."""

    def __init__(self, rights: RightsFile, claims: Claims, first_uploader: bool) -> None:
        self._rights, self._claims, self._first_uploader = rights, claims, first_uploader

    def check_allowed(self, user: str, action: str, project: str) -> None:
        """Raise ForbiddenError unless a user has the right to an action ("upload" or "remove") on a project.

        Raises ServiceUnavailableError if the rights or owners cannot be read.
        """
        with fail_closed():
            owner = self._claims.owner_of(project) if self._first_uploader else None
            allowed = self._rights.current().allows(
                user, action, project, owner=owner, first_uploader=self._first_uploader
            )
        if not allowed:
            owned = f", which belongs to {owner}" if owner not in (None, user) else ""
            raise ForbiddenError(f"{user} is not allowed to {action} {project}{owned}")

    def has_any_right(self, user: str) -> bool:
        """Return whether a user may upload or remove any project. Raises ServiceUnavailableError as check_allowed."""
        with fail_closed():
            return self._rights.current().has_any_right(user)

    def check_rights_readable(self) -> None:
        """Raise what RightsFile.current raises if the rights cannot be read."""
        self._rights.current()

    def check_claims_readable(self) -> None:
        """Raise OSError or ValueError if the owners of projects are used and cannot be read."""
        if self._first_uploader:
            self._claims.owner_of("")

    def claim(self, user: str, project: str) -> bool:
        """Make a user the owner of a project without files, if the settings say so. Return whether it was done.

        Raises OSError, ValueError.
        """
        return self._first_uploader and not is_reserved(project) and self._claims.claim(project, user)

    def unclaim(self, project: str) -> None:
        """Remove the owner of a project. Raises OSError, ValueError."""
        self._claims.set_owner(project, None)


@contextmanager
def fail_closed() -> Iterator[None]:
    """Reject the request (ServiceUnavailableError) if the rights or owners cannot be read."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"wheelhouse: the rights cannot be read, so everything is rejected: {error!r}", file=sys.stderr)
        raise ServiceUnavailableError(
            "The rights cannot be read at the moment. Contact the index administrator"
        ) from None
