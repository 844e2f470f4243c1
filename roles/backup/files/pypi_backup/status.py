"""The status file: the results of the last backup and of the last check of the repository.

Everybody may read it. The health check of the index (wheelhouse.web.backups) and the exporter of metrics
(wheelhouse_monitoring.results) read it:

    {"max_age_hours": 48, "check_max_age_hours": 336, "since": TIME, "backup": RESULT, "check": RESULT}

The ages are those from which the last successful backup and check are too old. since: when backups were switched on.
RESULT is empty before the first run, and then has: result ("ok" or "failed"), finished (TIME), seconds, reason (of a
failure, else ""), succeeded (TIME of the last success, or null). That of a backup also has, of the last success:
snapshot (ID), files, bytes. TIME is ISO 8601, UTC.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pypi_backup.paths import Paths, Settings


def now() -> str:
    """Return the time."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read(paths: Paths, settings: Settings) -> dict[str, Any]:
    """Return the status. A new one if the file is missing or corrupt."""
    status: dict[str, Any] = {"since": now(), "backup": {}, "check": {}}
    with suppress(OSError, ValueError, TypeError):
        status |= json.loads(paths.status.read_bytes())
    return status | {"max_age_hours": settings.max_age_hours, "check_max_age_hours": settings.check_max_age_hours}


def write(path: Path, content: object, mode: int = 0o644) -> None:
    """Replace a JSON file atomically."""
    temporary = path.with_name(f".{path.name}")
    with temporary.open("w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        json.dump(content, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def refresh(paths: Paths, settings: Settings) -> None:
    """Write the file if it is missing or its settings have changed."""
    try:
        before = json.loads(paths.status.read_bytes())
    except (OSError, ValueError):
        before = None
    status = read(paths, settings)
    if status != before:
        write(paths.status, status)


@contextmanager
def recorded(paths: Paths, settings: Settings, kind: str) -> Iterator[dict[str, Any]]:
    """Record the result of the block. kind: backup or check. Yields facts about a success, to be completed.

    An exception is recorded and raised again. A success remains known if a later run fails.
    """
    begin, reason = time.monotonic(), ""
    facts: dict[str, Any] = {}
    try:
        yield facts
    except BaseException as error:
        reason = str(error) or repr(error)
        raise
    finally:
        status, finished = read(paths, settings), now()
        result = {
            "result": "failed" if reason else "ok",
            "finished": finished,
            "seconds": round(time.monotonic() - begin, 1),
            "reason": reason,
            # With facts, there is a snapshot, and what came after it has failed.
            "succeeded": finished if facts or not reason else status[kind].get("succeeded"),
        }
        status[kind] = status[kind] | facts | result
        write(paths.status, status)
