"""Whether uploads would be accepted just now, for monitors. Whether reads work, Apache tells by itself.

Anybody may ask, as often as they like. So it takes no lock that an upload may hold, measures all files once in a while
only, and names the part that is not ready and nothing more: the details are in the journal.
"""

import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from wheelhouse.audit import Audit
from wheelhouse.gate import Gate
from wheelhouse.refusals import Full, Unhealthy
from wheelhouse.settings import Settings
from wheelhouse.store import Store

NO_DATA = "data directory: it is missing, or not mounted"


class NotReady(Unhealthy):
    """Uploads are rejected. The text names the part that is not ready."""


class Readiness:
    """Whether uploads would be accepted."""

    def __init__(self, settings: Settings, gate: Gate, audit: Audit, store: Store):
        places = settings.places
        # What is tried, in this order, and what its failure means.
        self._parts: tuple[tuple[str, Callable[[], object]], ...] = (
            ("data directory: it cannot be written", lambda: write_in(settings.packages)),
            ("pages: they cannot be written", lambda: write_in(places.projects)),
            ("free space: it is below pypi_min_free_space", store.room.check_small_file),
            ("total size: pypi_max_total_size is reached", store.room.check_measured_total),
            ("audit log: it cannot be written", audit.check),
            ("rights: they cannot be read", gate.check_rights),
            ("state: it cannot be read", lambda: (gate.check_claims(), store.names.check())),
        )
        self._lock = threading.Lock()
        self._logged = ""

    def check(self) -> None:
        """Raise NotReady where every upload would be rejected."""
        for part, attempt in self._parts:
            try:
                attempt()
            except Full:
                self._not_ready(part, "")
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                self._not_ready(part, f": {error!r}")
        self._log("")

    def no_data(self, reason: str) -> NotReady:
        """Return what check would raise, for data that is absent. reason: for the journal."""
        self._log(f"{NO_DATA}: {reason}")
        return NotReady(f"not ready: {NO_DATA}")

    def _not_ready(self, part: str, details: str) -> None:
        self._log(f"{part}{details}")
        raise NotReady(f"not ready: {part}") from None

    def _log(self, problem: str) -> None:
        """Write a line to the journal where this is news. problem: "" for none."""
        with self._lock:
            is_news, self._logged = problem != self._logged, problem
        if is_news:
            said = f"not ready for uploads: {problem}" if problem else "ready for uploads again"
            print(f"wheelhouse: {said}", file=sys.stderr)


def write_in(directory: Path) -> None:
    """Raise OSError unless a byte can be written there."""
    # Without a name, so that nothing is left behind whatever happens.
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(b"\0")
