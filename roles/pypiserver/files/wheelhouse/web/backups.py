"""Reports a problem with backups in the response of the health check, which stays 200.

Clients are not affected by a missing backup, and a load balancer must not remove the index because of it. The file is
written by roles/backup/files/pypi_backup/status.py, and does not exist if there are no backups.
"""

import json
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

NONE_YET = "none yet"
FAILED = "the last one failed"
OUTDATED = "the newest one is too old"
CHECK_FAILED = "the last check of the repository failed"
CHECK_OUTDATED = "the last check of the repository is too old"
UNREADABLE = "their status cannot be read"


class Backups:
    """The status of backups, for any number of threads."""

    def __init__(self, path: Path) -> None:
        """Name the status file. It is read for each health check."""
        self._path = path
        self._lock = threading.Lock()
        self._logged = ""

    def detail(self) -> bytes:
        """Return a line about a problem, preceded by a line end; empty if there is none. Anybody may read it."""
        problem = self.problem(datetime.now(UTC)) or ""
        with self._lock:
            has_changed, self._logged = problem != self._logged, problem
        if has_changed:
            print(f"wheelhouse: backups: {problem or 'no problem any more'}", file=sys.stderr)
        return f"\nbackups: {problem}\n".encode() if problem else b""

    def problem(self, now: datetime) -> str | None:
        """Return what is wrong with the backups, or None."""
        try:
            status = json.loads(self._path.read_bytes())
            return _problem(status, now)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return UNREADABLE


def _problem(status: dict[str, Any], now: datetime) -> str | None:
    """Return what is wrong according to the status file. Raises ValueError, KeyError, TypeError, AttributeError."""
    backup, check = status["backup"], status["check"]
    newest, checked = (datetime.fromisoformat(one.get("succeeded") or status["since"]) for one in (backup, check))
    if backup.get("result") == "failed":
        return FAILED
    if now - newest > timedelta(hours=status["max_age_hours"]):
        return OUTDATED
    if not backup.get("succeeded"):
        return NONE_YET
    if check.get("result") == "failed":
        return CHECK_FAILED
    return CHECK_OUTDATED if now - checked > timedelta(hours=status["check_max_age_hours"]) else None
