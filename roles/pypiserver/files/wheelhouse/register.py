"""Registers: small tables in JSON files, of which no entry may ever be lost."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from wheelhouse.pages.disk import only_writer, sync_directory, write_atomically
from wheelhouse.watched import Watched

# Texts by field by key.
Entries = dict[str, dict[str, str]]


def now() -> str:
    """The time, in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Register:
    """Entries by key, each with the same fields, all of them text: {key: {field: text}}.

    A file that is not there has none. One that cannot be read, or says something else, is an error (OSError,
    ValueError) and never taken for empty.
    """

    def __init__(self, path: Path, lock: Path, fields: Iterable[str]):
        """lock: the file that its writers hold, in all processes."""
        self._path = path
        self._lock = lock
        self._fields = frozenset(fields)
        self._watched = Watched(path, self._parse, absent=dict)

    def entries(self) -> Entries:
        """All entries, as they are now. Not to be changed: see changing()."""
        return self._watched.current()

    @contextmanager
    def changing(self) -> Iterator[Entries]:
        """Hold the register, change what is given, and it is on the disk when this ends; or as before, if it raises."""
        with only_writer(self._lock):
            # Anew: what was seen a moment ago may be somebody else's yesterday.
            try:
                entries = self._parse(self._path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                entries = {}
            yield entries
            write_atomically(self._path, json.dumps(entries, indent=1, sort_keys=True).encode())
            sync_directory(self._path.parent)

    def _parse(self, text: str) -> Entries:
        found = json.loads(text)
        if not isinstance(found, dict) or not all(map(self._is_entry, found.values())):
            raise ValueError(
                f"{self._path.name} is damaged: it does not say for each {', '.join(sorted(self._fields))}"
            )
        return found

    def _is_entry(self, value: object) -> bool:
        return (
            isinstance(value, dict)
            and value.keys() == self._fields
            and all(isinstance(text, str) for text in value.values())
        )
