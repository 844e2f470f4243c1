"""The size of the drill, its files and its table."""

import os
from collections.abc import Iterable
from pathlib import Path

TABLE = Path(__file__).resolve().parents[3] / ".cache" / "backup.txt"
# Lines of the table.
RESULTS: list[str] = []
# Files of each server before its loss. make drill: thousands.
FILES = int(os.environ.get("DRILL_FILES") or 100)


def wheels(projects: str, numbers: Iterable[int], size: int = 3000, over: int = 20) -> list[dict]:
    """Return files to publish, distributed over a number of projects."""
    return [{"name": f"{projects}_{n % over}-1.{n}-py3-none-any.whl", "size": size} for n in numbers]
