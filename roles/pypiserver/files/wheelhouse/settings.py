"""The application's settings, as the kit writes them."""

import json
from dataclasses import dataclass
from pathlib import Path

from wheelhouse.pages.site import Places


@dataclass(frozen=True)
class Settings:
    """Where things are.

    data: the data directory; data_is_mount: whether it must be a file system of its own; pages: where the pages are
    written; rights: the file that says who may do what; yanked: the one that says which releases the settings yank;
    url: the index's address, with a slash at its end.
    """

    data: Path
    data_is_mount: bool
    pages: Path
    rights: Path
    yanked: Path
    url: str

    @property
    def packages(self) -> Path:
        return self.data / "packages"

    @property
    def spool(self) -> Path:
        return self.data / "spool"

    @property
    def places(self) -> Places:
        """What the pages are made from, and where they go."""
        return Places(
            packages=self.packages,
            pages=self.pages,
            names=self.data / "state" / "names.txt",
            yanked=self.data / "state" / "yanked.json",
            yanked_settings=self.yanked,
            url=self.url,
        )

    @property
    def mark(self) -> Path:
        """The file that every data directory carries."""
        return self.data / ".wheelhouse"

    @classmethod
    def load(cls, path: str | Path) -> "Settings":
        """Read a JSON file. Raises OSError, ValueError or KeyError if it does not hold what it must."""
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        paths = {name: Path(found[name]) for name in ("data", "pages", "rights", "yanked")}
        return cls(**paths, data_is_mount=bool(found["data_is_mount"]), url=found["url"])
