"""Counts changes in the audit log. The format of its lines: wheelhouse/audit/entry.py."""

import json
from collections.abc import Callable

from wheelhouse_monitoring.counters import Counters

# As in wheelhouse/distributions/reserved.py: playbooks/verify.yml uploads and removes these projects.
RESERVED = "wheelhouse-verify-"

EVENTS: dict[str, Callable[[Counters], None]] = {
    "upload": lambda counters: counters.add("wheelhouse_uploads_total", "stored"),
    "same": lambda counters: counters.add("wheelhouse_uploads_total", "identical"),
    "removed": lambda counters: counters.add("wheelhouse_removals_total"),
    "undone": lambda counters: counters.add("wheelhouse_undone_changes_total"),
}


def count(line: bytes, counters: Counters) -> None:
    """Count a line."""
    try:
        entry = json.loads(line)
        event, project = entry["event"], entry.get("project") or ""
        is_reserved = project.startswith(RESERVED)
        add = EVENTS.get(event)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        counters.add("wheelhouse_log_lines_invalid_total", "audit")
        return
    if add and not is_reserved:
        add(counters)
