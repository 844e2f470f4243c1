"""The files of the program, and its settings as Ansible writes them."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESTIC, SYSTEMCTL = "/usr/bin/restic", "/usr/bin/systemctl"
# A name and a value in double quotes, in which \ precedes \ and " (systemd.exec(5), EnvironmentFile=).
VARIABLE = re.compile(r'^([A-Za-z_][A-Za-z0-9_]*)="(.*)"$', re.MULTILINE)


class BackupError(Exception):
    """A failure with a message for the administrator."""


@dataclass(frozen=True)
class Paths:
    """The files that the program reads and writes.

    config: settings.json, environment, password and the files for SSH; state: status.json, the record of the
    repository, and the copy of the index's state; sources: the directories of a snapshot, as the unit mounts them.
    """

    config: Path
    state: Path = Path("/var/lib/pypi/backup")
    sources: Path = Path("/run/pypi-backup")

    @property
    def status(self) -> Path:
        """The results of the last backup and the last check."""
        return self.state / "status.json"

    @property
    def record(self) -> Path:
        """The repository that was found, and a digest of the credentials that it was found with."""
        return self.state / "repository.json"

    @property
    def lock(self) -> Path:
        """Locked by the program while it uses the repository."""
        return self.state / "lock"

    @property
    def packages(self) -> Path:
        """The list of packages in the copy."""
        return self.state / "copy/packages.json"


@dataclass(frozen=True)
class Settings:
    """The settings of settings.json.

    host: the name under which snapshots are stored; directory: the repository if it is a local directory, or None;
    retention: number of snapshots to keep by period, empty to keep all; options: for every call of restic;
    check_subset: the part of the data that a check reads; max_age_hours, check_max_age_hours: the ages from
    which the newest backup and the last check are too old.
    """

    host: str
    directory: Path | None
    retention: dict[str, int]
    options: list[str]
    check_subset: str
    max_age_hours: int
    check_max_age_hours: int

    @classmethod
    def load(cls, paths: Paths) -> "Settings":
        """Read the settings. Raises OSError, and ValueError, KeyError or TypeError for invalid content."""
        found: dict[str, Any] = json.loads((paths.config / "settings.json").read_text(encoding="utf-8"))
        directory = found.pop("directory")
        return cls(directory=Path(directory) if directory else None, **found)


def load_environment(paths: Paths) -> None:
    """Set the variables for restic, unless systemd has set them (EnvironmentFile=)."""
    if "RESTIC_REPOSITORY" in os.environ:
        return
    text = (paths.config / "environment").read_text(encoding="utf-8")
    os.environ.update({name: re.sub(r'\\([\\"])', r"\1", value) for name, value in VARIABLE.findall(text)})
