"""Writes the metrics to a file, which Apache serves and node_exporter reads.

A part that cannot be collected is missing in the file, has wheelhouse_collector_success 0, and is in the journal.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from wheelhouse_monitoring import access_log, audit_log
from wheelhouse_monitoring.counters import Counters
from wheelhouse_monitoring.files import replace
from wheelhouse_monitoring.index import collect_filesystems, collect_index, collect_release
from wheelhouse_monitoring.log_reader import LogReader
from wheelhouse_monitoring.results import collect_backup, collect_canary
from wheelhouse_monitoring.samples import Samples, exposition
from wheelhouse_monitoring.settings import Settings

# The numbers are not secret: clients in pypi_metrics_networks read them without a login.
MODE = 0o644
DIRECTORY_MODE = 0o755


def count_access_log(settings: Settings, counters: Counters) -> None:
    """Count new requests. In the first run, what is in the log already is not counted: it may be large."""
    _count(settings.logs / "access.log", "access", access_log.count, counters, from_end=True)


def count_audit_log(settings: Settings, counters: Counters) -> None:
    """Count new entries. In the first run, from the beginning: whether files were ever published matters."""
    _count(settings.logs / "audit/audit.log", "audit", audit_log.count, counters, from_end=False)


def _count(path: Path, log: str, count: Callable[[bytes, Counters], None], counters: Counters, from_end: bool) -> None:
    reader = LogReader(path, counters.positions[log], from_end)
    try:
        for line in reader.lines():
            count(line, counters)
    finally:
        counters.positions[log] = reader.positions


def run(settings: Settings) -> int:
    """Collect and write all metrics. Returns the exit status: 1 if a part is missing. Raises OSError."""
    samples, counters = Samples(), Counters.load(settings.state_file)
    parts: dict[str, Callable[[], None]] = {
        "access_log": lambda: count_access_log(settings, counters),
        "audit_log": lambda: count_audit_log(settings, counters),
        "index": lambda: collect_index(settings, samples),
        "filesystems": lambda: collect_filesystems(settings, samples),
        "release": lambda: collect_release(settings, samples),
        "canary": lambda: collect_canary(settings, samples),
        "backup": lambda: collect_backup(settings, samples),
    }
    failed = [name for name, collect in parts.items() if not _succeeds(name, collect, samples)]
    samples.set("wheelhouse_metrics_timestamp_seconds", time.time())
    # The state first: if this is interrupted, the next run continues from it, and counts nothing twice.
    counters.save(settings.state_file)
    settings.metrics_file.parent.mkdir(exist_ok=True)
    settings.metrics_file.parent.chmod(DIRECTORY_MODE)
    replace(settings.metrics_file, exposition(samples, counters), MODE)
    return 1 if failed else 0


def _succeeds(name: str, collect: Callable[[], None], samples: Samples) -> bool:
    """Run a collector. Returns whether it succeeded; a failure is reported."""
    try:
        collect()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        print(f"{name} was not collected: {error!r}", file=sys.stderr)
        samples.set("wheelhouse_collector_success", 0, name)
        return False
    samples.set("wheelhouse_collector_success", 1, name)
    return True
