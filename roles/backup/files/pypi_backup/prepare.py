"""Opens the repository, or creates it, when a run has changed its settings.

A record keeps which repository was opened with which settings, so that runs without changes do not contact it.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from pypi_backup import status
from pypi_backup.paths import BackupError, Paths, Settings
from pypi_backup.restic import Restic

SECRETS = ("environment", "password", "ssh-key", "ssh-known-hosts")


def prepare(paths: Paths, settings: Settings, restic: Restic, may_create: bool) -> None:
    """Ensure that the repository exists and can be opened. Prints what was done. Raises BackupError, OSError.

    may_create: whether a repository that does not exist is created.
    """
    status.refresh(paths, settings)
    location, digest = digest_of([os.environ["RESTIC_REPOSITORY"].encode()]), digest_of(contents(paths))
    before = record_of(paths.record)
    if before.get("digest") == digest:
        return
    found = restic.repository_id()
    if found is None:
        if not may_create:
            raise BackupError("There is no backup repository at the location in pypi_backup_repository.")
        if before.get("location") == location:
            raise BackupError(
                "The backup repository existed before, and is missing: its file system may not be mounted. To create "
                f"a new one, remove {paths.record} on the server."
            )
        restic.run("init", "--quiet")
        found = restic.repository_id()
        print("Created the backup repository.")
    else:
        print("Opened the backup repository.")
    check_owner(settings.directory)
    status.write(paths.record, {"id": found, "location": location, "digest": digest}, 0o600)


def check_owner(directory: Path | None) -> None:
    """Raise BackupError if the service cannot write a local repository: it has no capability to ignore owners."""
    if directory and directory.stat().st_uid != os.geteuid():
        raise BackupError(f"{directory} must belong to root. Run on the server: chown -R root: {directory}")


def contents(paths: Paths) -> list[bytes]:
    """Return the contents of the files that decide which repository is opened, and how."""
    files = [paths.config / name for name in SECRETS]
    return [file.read_bytes() if file.exists() else b"" for file in files]


def digest_of(parts: list[bytes]) -> str:
    """Return the SHA-256 of some texts, in hexadecimal."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def record_of(path: Path) -> dict[str, Any]:
    """Return the record; an empty one if it is missing or corrupt."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
