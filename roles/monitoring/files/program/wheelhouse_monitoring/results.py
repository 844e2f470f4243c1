"""Status files: the result of the canary, and that of backups."""

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

from wheelhouse_monitoring.definitions import OPERATIONS, STEPS
from wheelhouse_monitoring.samples import Samples
from wheelhouse_monitoring.settings import Settings

# Bytes of a status file.
MAX_SIZE = 1 << 16


def read_status(path: Path) -> dict[str, Any]:
    """Read a JSON object; {} if the file is missing. Raises OSError or ValueError."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MAX_SIZE))
    except FileNotFoundError:
        return {}
    if not isinstance(found, dict):
        raise TypeError(f"{path} is not a JSON object")
    return found


def _set_number(samples: Samples, name: str, value: Any, label: str = "") -> None:
    """Set a gauge to a number or a boolean; None: leave it out. Raises TypeError."""
    if value is None:
        return
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{name}: not a number: {value!r:.100}")
    samples.set(name, value, label)


def collect_canary(settings: Settings, samples: Samples) -> None:
    """Read the result of the canary. Raises OSError, ValueError or TypeError."""
    found = read_status(settings.canary_file)
    _set_number(samples, "wheelhouse_canary_timestamp_seconds", found.get("timestamp"))
    _set_number(samples, "wheelhouse_canary_duration_seconds", found.get("duration"))
    _set_number(samples, "wheelhouse_canary_success", found.get("success"))
    _set_number(samples, "wheelhouse_certificate_expiry_timestamp_seconds", found.get("certificate_expiry"))
    steps = found.get("steps", {})
    for step in STEPS:
        if step in steps:
            samples.set("wheelhouse_canary_step_success", steps[step] is True, step)


def collect_backup(settings: Settings, samples: Samples) -> None:
    """Read the result of backups, as pypi-backup writes it. Without backups, there is no file.

    roles/backup/files/pypi_backup/status.py describes its content. Raises OSError, ValueError, KeyError, TypeError or
    AttributeError.
    """
    found = read_status(settings.backup_status)
    if not found:
        return
    samples.set("wheelhouse_backup_since_timestamp_seconds", _timestamp(found["since"]))
    for operation, age in zip(OPERATIONS, ("max_age_hours", "check_max_age_hours"), strict=True):
        _set_number(samples, "wheelhouse_backup_max_age_seconds", found[age] * 3600, operation)
        result = found[operation]
        if "result" in result:
            samples.set("wheelhouse_backup_success", result["result"] == "ok", operation)
        if succeeded := result.get("succeeded"):
            samples.set("wheelhouse_backup_last_success_timestamp_seconds", _timestamp(succeeded), operation)


def _timestamp(text: str) -> float:
    """Return the Unix time of a time in ISO 8601. Raises ValueError or TypeError."""
    return datetime.fromisoformat(text).timestamp()
