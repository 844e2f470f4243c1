"""Small tables in JSON files, changed in transactions, so that no row is lost."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from wheelhouse.files.atomic import sync_directory, write_atomically
from wheelhouse.files.locks import exclusive_lock
from wheelhouse.files.reloading import ReloadingFile

# Key -> column -> text.
Rows = dict[str, dict[str, str]]


def utc_now() -> str:
    """Return the time: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class JsonTable:
    """A table whose rows have the same columns, all of them text: {key: {column: text}}.

    A missing file is an empty table. A file that cannot be read or is corrupt is an error (OSError, ValueError), and is
    never treated as an empty table.
    """

    def __init__(self, path: Path, lock: Path, columns: Iterable[str]) -> None:
        """Name the file. lock: the file that writers lock, in all processes."""
        self._path = path
        self._lock = lock
        self._columns = frozenset(columns)
        self._cache: ReloadingFile[Rows] = ReloadingFile(path, self._parse, default=dict)

    def rows(self) -> Rows:
        """Return all rows, which must not be modified outside a transaction."""
        return self._cache.current()

    @contextmanager
    def transaction(self) -> Iterator[Rows]:
        """Lock the table, yield its rows to modify, and write them durably; or write nothing if the block raises."""
        with exclusive_lock(self._lock):
            # Re-read under the lock: the cached copy may be stale.
            try:
                rows = self._parse(self._path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                rows = {}
            yield rows
            write_atomically(self._path, json.dumps(rows, indent=1, sort_keys=True).encode())
            sync_directory(self._path.parent)

    def _parse(self, text: str) -> Rows:
        rows: object = json.loads(text)
        if not isinstance(rows, dict) or not all(map(self._is_row, rows.values())):
            raise ValueError(f"{self._path.name} is corrupt: each value must have {', '.join(sorted(self._columns))}")
        return rows

    def _is_row(self, value: object) -> bool:
        return (
            isinstance(value, dict)
            and value.keys() == self._columns
            and all(isinstance(text, str) for text in value.values())
        )
