"""The readiness check: whether uploads would be accepted now. Apache itself shows whether reads work.

Anybody may call it, as often as they like. So it takes no lock that an upload may hold, uses a cached measurement of
the total size, and names only the part that is not ready: the details are in the journal.
"""

import sys
import threading
from collections.abc import Callable

from wheelhouse.access.policy import AccessPolicy
from wheelhouse.audit.log import AuditLog
from wheelhouse.config import Settings
from wheelhouse.errors import InsufficientStorageError, UnhealthyError
from wheelhouse.files.atomic import check_writable
from wheelhouse.storage.store import Store

NO_DATA = "data directory: it is missing, or not mounted"


class NotReadyError(UnhealthyError):
    """Uploads are rejected. The text names the part that is not ready."""


class Readiness:
    """Checks whether uploads would be accepted."""

    def __init__(self, settings: Settings, policy: AccessPolicy, audit: AuditLog, store: Store) -> None:
        """Take what is checked. Nothing is checked yet."""

        def check_state() -> None:
            policy.check_claims_readable()
            store.filenames.check_readable()

        # In this order: what a failure means, and what is checked.
        self._parts: tuple[tuple[str, Callable[[], None]], ...] = (
            ("data directory: it cannot be written", lambda: check_writable(settings.packages)),
            ("pages: they cannot be written", lambda: check_writable(settings.paths.projects)),
            ("free space: it is below pypi_min_free_space", store.quota.check_small_file),
            ("total size: pypi_max_total_size is reached", store.quota.check_measured_total),
            ("audit log: it cannot be written", audit.check),
            ("rights: they cannot be read", policy.check_rights_readable),
            ("state: it cannot be read", check_state),
        )
        self._lock = threading.Lock()
        self._logged = ""

    def check(self) -> None:
        """Raise NotReadyError if every upload would be rejected."""
        for part, check in self._parts:
            try:
                check()
            except InsufficientStorageError:
                self._fail(part, "")
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                self._fail(part, f": {error!r}")
        self._log("")

    def no_data(self, reason: str) -> NotReadyError:
        """Return the error for an unavailable data directory. reason: for the journal."""
        self._log(f"{NO_DATA}: {reason}")
        return NotReadyError(f"not ready: {NO_DATA}")

    def _fail(self, part: str, details: str) -> None:
        self._log(f"{part}{details}")
        raise NotReadyError(f"not ready: {part}") from None

    def _log(self, problem: str) -> None:
        """Write a line to the journal if the problem has changed. problem: "" for none."""
        with self._lock:
            has_changed, self._logged = problem != self._logged, problem
        if has_changed:
            state = f"not ready for uploads: {problem}" if problem else "ready for uploads again"
            print(f"wheelhouse: {state}", file=sys.stderr)
