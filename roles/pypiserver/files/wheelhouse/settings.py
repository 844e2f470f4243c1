"""The application's settings, as the kit writes them."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Where things are.

    data: the data directory; data_is_mount: whether it must be a file system of its own;
    rights: the file that says who may do what.
    """

    data: Path
    data_is_mount: bool
    rights: Path

    @property
    def packages(self) -> Path:
        return self.data / "packages"

    @property
    def spool(self) -> Path:
        return self.data / "spool"

    @property
    def mark(self) -> Path:
        """The file that every data directory carries."""
        return self.data / ".wheelhouse"

    @classmethod
    def load(cls, path: str | Path) -> "Settings":
        """Read a JSON file. Raises OSError, ValueError or KeyError if it does not hold what it must."""
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        return cls(Path(found["data"]), bool(found["data_is_mount"]), Path(found["rights"]))
