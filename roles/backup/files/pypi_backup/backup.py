"""Creates a snapshot that is consistent although uploads and removals go on; checks the repository."""

import fcntl
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pypi_backup import paths, status
from pypi_backup.paths import BackupError, Paths, Settings
from pypi_backup.restic import Restic

# The directories of a snapshot; the last one only with a certificate authority of the server's own.
PACKAGES, COPY, TLS = "packages", "copy", "tls"
COPY_SERVICE = "pypi-backup-copy.service"
# If files are removed while restic reads them, the backup is repeated, which takes little time.
ATTEMPTS = 3


@contextmanager
def locked(files: Paths) -> Iterator[None]:
    """Wait until no other instance of the program uses the repository."""
    with files.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def back_up(files: Paths, settings: Settings, restic: Restic) -> None:
    """Create a snapshot, and remove old ones. Raises BackupError, OSError."""
    with locked(files), status.recorded(files, settings, "backup") as facts:
        restic.unlock()
        facts |= create(files, restic)
        print(f"Snapshot {facts['snapshot']} of {facts['files']} files, {facts['bytes']} bytes.")
        restic.apply_retention(settings.retention)


def create(files: Paths, restic: Restic) -> dict[str, Any]:
    """Create a snapshot in which no package of the list is missing. Returns the facts for the status.

    Raises BackupError, OSError.
    """
    for attempt in range(1, ATTEMPTS + 1):
        copy_state()
        summary = restic.backup(files.sources, *sources(files))
        snapshot = str(summary["snapshot_id"])
        # restic does not fail if a file vanishes after it has listed the directory.
        missing = listed(files) - set(restic.names_in(snapshot, f"/{PACKAGES}"))
        unread = sorted(name for name in missing if (files.sources / PACKAGES / name).exists())
        if not missing or (attempt == ATTEMPTS and not unread):
            break
        # A repository may permit only additions.
        with suppress(BackupError):
            restic.forget(snapshot)
    else:
        raise BackupError(f"Files could not be read: {len(unread)}, such as {unread[0]}")
    if missing:
        print(f"Files that were removed during the backup, and are not in it: {len(missing)}")
    return {"snapshot": snapshot, "files": summary["total_files_processed"], "bytes": summary["total_bytes_processed"]}


def sources(files: Paths) -> list[str]:
    """Return the directories to back up. Raises BackupError."""
    found = [name for name in (PACKAGES, COPY, TLS) if (files.sources / name).is_dir()]
    if not {PACKAGES, COPY} <= set(found):
        raise BackupError("The data directory is missing, or not mounted")
    return found


def copy_state() -> None:
    """Copy state, audit log and list of packages, as user pypi. Raises BackupError."""
    # The files of user pypi are written by a process of that user: this one may only read them.
    done = subprocess.run([paths.SYSTEMCTL, "start", COPY_SERVICE], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupError(f"The state was not copied: see journalctl --unit {COPY_SERVICE}. {done.stderr.strip()}")


def listed(files: Paths) -> set[str]:
    """Return the names of the packages in the copy. Raises BackupError, OSError."""
    try:
        return set(json.loads(files.packages.read_bytes()))
    except PermissionError as error:
        raise BackupError(
            "The files of user pypi cannot be read: the service needs the capability CAP_DAC_READ_SEARCH"
        ) from error


def check(files: Paths, settings: Settings, restic: Restic) -> None:
    """Check the repository, and read a part of its data. Raises BackupError, OSError."""
    with locked(files), status.recorded(files, settings, "check"):
        restic.unlock()
        restic.check(settings.check_subset)
        print(f"The repository has no errors; {settings.check_subset} of its data were read.")
