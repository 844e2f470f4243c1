"""The audit context of a request: who sent it, what it is about, and whether its outcome is in the audit log."""

from dataclasses import dataclass, replace
from typing import Any

from wheelhouse.audit.log import AuditLog


@dataclass(frozen=True)
class Subject:
    """What a request is about, as far as it is known. None: unknown, and not in the entries.

    project: normalized name (PEP 503); size: bytes; sha256: hexadecimal.
    """

    project: str | None = None
    version: str | None = None
    filename: str | None = None
    size: int | None = None
    sha256: str | None = None


class AuditContext:
    """Writes the entries of one request.

    user: the authenticated user, or ""; address: the client's IP; is_logged: whether the log has an entry about
    the current subject.
    """

    def __init__(self, log: AuditLog, user: str, address: str) -> None:
        self._log = log
        self.user, self.address = user, address
        self.subject = Subject()
        self.is_logged = False

    def describe(self, **facts: Any) -> None:
        """Add facts about the subject, by the names of its fields: later entries have them."""
        self.subject = replace(self.subject, **facts)

    def write(self, event: str, reason: str | None = None) -> None:
        """Write an entry, durably, before the action is performed. Raises what AuditLog.write raises."""
        subject = self.subject
        self._log.write(
            event,
            user=self.user,
            address=self.address,
            project=subject.project,
            version=subject.version,
            filename=subject.filename,
            size=subject.size,
            sha256=subject.sha256,
            reason=reason,
        )
        self.is_logged = True
