"""The places of restored files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pypi_backup.backup import COPY, PACKAGES

STATE, AUDIT = f"{COPY}/state", f"{COPY}/audit"


@dataclass(frozen=True)
class Target:
    """Where the files of a snapshot belong.

    data, audit, pages: directories of the index; tls: the directory of the certificate authority, or None if that is
    not restored; mark_text: of the file that marks the data directory; overwrite: whether packages may be replaced.
    """

    data: Path
    audit: Path
    pages: Path
    tls: Path | None
    mark_text: str
    overwrite: bool

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Parse JSON. Raises ValueError, KeyError."""
        found: dict[str, Any] = json.loads(text)
        return cls(
            data=Path(found["data"]),
            audit=Path(found["audit"]),
            pages=Path(found["pages"]),
            tls=Path(found["tls"]) if found["tls"] else None,
            mark_text=str(found["mark_text"]),
            overwrite=bool(found["overwrite"]),
        )

    @property
    def work(self) -> Path:
        """The directory of an unfinished restore."""
        return self.data / ".restore"

    @property
    def mark(self) -> Path:
        """The file that marks the data directory as that of an index."""
        return self.data / ".wheelhouse"

    @property
    def places(self) -> dict[str, Path]:
        """The directories to fill, by their place in the snapshot."""
        return {PACKAGES: self.data / "packages", STATE: self.data / "state", AUDIT: self.audit}

    @property
    def groups(self) -> dict[str, str]:
        """The groups of the restored files, as of the directories in roles/pypiserver/tasks/files.yml."""
        return {PACKAGES: "www-data", STATE: "pypi", AUDIT: "adm"}

    def has_packages(self) -> bool:
        """Return whether the index has files, other than temporary ones."""
        packages = self.places[PACKAGES]
        return packages.is_dir() and any(not path.name.startswith(".") for path in packages.iterdir())
