"""Counters that continue after a restart, together with the positions in the logs up to which they count.

Both are in one file that is replaced atomically, so no line is counted twice or missed. If the file is lost or invalid,
counting begins again at 0, which Prometheus handles as a counter reset.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wheelhouse_monitoring.definitions import COUNTERS, LOGS, Definition
from wheelhouse_monitoring.files import replace
from wheelhouse_monitoring.log_reader import Position

MODE = 0o600


class Counters:
    """The counters by name and label value, and the positions by log. positions: None if there are none."""

    def __init__(self) -> None:
        self._values = {name: dict.fromkeys(one.values or ("",), 0) for name, one in COUNTERS.items()}
        self.positions: dict[str, list[Position] | None] = dict.fromkeys(LOGS)

    def add(self, name: str, label: str = "") -> None:
        """Add 1 to a counter. Raises KeyError for an unknown label value."""
        self._values[name][label] += 1

    def items(self) -> Iterator[tuple[str, Definition, dict[str, int]]]:
        """Yield name, definition and values of each counter."""
        for name, values in self._values.items():
            yield name, COUNTERS[name], values

    @classmethod
    def load(cls, path: Path) -> "Counters":
        """Read the state. If it is missing or invalid, counters are 0; an invalid one is reported."""
        try:
            found = cls()
            found._parse(json.loads(path.read_bytes()))
            return found
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            print(f"{path} cannot be used, so all counters begin at 0: {error!r}", file=sys.stderr)
            return cls()

    def _parse(self, state: Any) -> None:
        for log in LOGS:
            found = state["positions"][log]
            self.positions[log] = None if found is None else [_position(entry) for entry in found]
        # Another version may have other counters: they begin at 0, and unknown ones are dropped.
        for name, values in self._values.items():
            for label in values:
                values[label] = _natural(state["counters"].get(name, {}).get(label, 0))

    def save(self, path: Path) -> None:
        """Write the state. Raises OSError."""
        positions = {
            log: None if found is None else [asdict(one) for one in found] for log, found in self.positions.items()
        }
        replace(path, json.dumps({"positions": positions, "counters": self._values}), MODE)


def _position(entry: Any) -> Position:
    head = entry["head"]
    if not isinstance(head, str):
        raise TypeError(f"not a digest: {head!r}")
    return Position(_natural(entry["inode"]), _natural(entry["offset"]), head)


def _natural(value: Any) -> int:
    """Return a whole number from 0. Raises ValueError for anything else."""
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"not a valid number: {value!r:.100}")
    return value
