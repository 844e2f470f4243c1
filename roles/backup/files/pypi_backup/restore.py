"""Restores a snapshot to a host whose index is not deployed yet, or is replaced.

The files are restored to a directory of the data directory, .restore, and moved to their places when they are complete.
What was in these places is moved aside, not deleted. An interrupted restore is continued by the next one: each step can
be repeated, and .restore/progress.json has the last one that was completed. The mark of the data directory is written
last, and no run deploys the index while .restore exists.
"""

import json
import os
import shutil
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pypi_backup import paths
from pypi_backup.backup import COPY, PACKAGES, TLS
from pypi_backup.paths import BackupError
from pypi_backup.restic import Restic
from pypi_backup.target import Target

USER = "pypi"
# The services that write what is replaced. Ansible starts them again.
WRITERS = ("pypi-pages.path", "pypi-pages.timer", "pypi-pages.service", "pypi-application.service")
AUTHORITY = ("ca.key", "ca.crt")
# Steps: the files are in .restore; existing files were moved aside.
RESTORED, SET_ASIDE = "restored", "set aside"
Progress = dict[str, Any]


def restore(restic: Restic, target: Target, name: str) -> Progress:
    """Restore a snapshot, "latest" or an ID. Returns facts about it. Raises BackupError, OSError.

    The facts: snapshot (ID), time, missing (listed packages that it lacks), aside (directories with previous files).
    """
    snapshot = restic.find(name)
    progress = begin(target, {"snapshot": snapshot.id, "time": snapshot.time})
    tree = target.work / "tree"
    if progress["step"] is None:
        restic.run("restore", snapshot.id, f"--target={tree}")
        save(target, progress | {"missing": prepare_files(tree, target), "step": RESTORED})
    progress = read(target)
    if progress["step"] == RESTORED:
        subprocess.run([paths.SYSTEMCTL, "stop", *WRITERS], capture_output=True, check=False)
        set_aside(target, progress["replaced"])
        save(target, progress | {"step": SET_ASIDE})
    move_in(tree, target)
    finish(target)
    return progress | {"aside": existing(target, progress["replaced"])}


def begin(target: Target, snapshot: Progress) -> Progress:
    """Create the directory of the restore, or return the progress of an interrupted one. Raises BackupError."""
    before = read(target)
    if before.get("step") != SET_ASIDE and not target.overwrite and target.has_packages():
        raise BackupError(f"{target.places[PACKAGES]} has files. To replace them: -e pypi_restore_overwrite=true")
    if before.get("snapshot") == snapshot["snapshot"]:
        return before
    if before.get("step") == SET_ASIDE:
        raise BackupError(
            f"The restore of snapshot {before['snapshot']} was interrupted after it had replaced files. Complete it: "
            f"-e pypi_restore_snapshot={before['snapshot']}"
        )
    with suppress(FileNotFoundError):
        shutil.rmtree(target.work)
    target.data.mkdir(mode=0o755, parents=True, exist_ok=True)
    target.work.mkdir(mode=0o700)
    name = f".replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    save(target, snapshot | {"replaced": name, "missing": [], "step": None})
    return read(target)


def read(target: Target) -> Progress:
    """Return the progress of an interrupted restore; empty if there is none."""
    try:
        found: Progress = json.loads((target.work / "progress.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def save(target: Target, progress: Progress) -> None:
    """Write the progress, durably, after everything that it stands for."""
    os.sync()
    temporary = target.work / "progress.new"
    temporary.write_text(json.dumps(progress), encoding="utf-8")
    temporary.replace(target.work / "progress.json")
    os.sync()


def prepare_files(tree: Path, target: Target) -> list[str]:
    """Drop packages that are not in the list, and set owners and modes. Returns the listed ones that are missing.

    Packages that were published after the list was written have no entry in the audit log of the snapshot.
    """
    if not (tree / COPY / "packages.json").is_file():
        raise BackupError("The snapshot is not a backup of an index: it has no list of packages")
    listed = set(json.loads((tree / COPY / "packages.json").read_bytes()))
    (tree / PACKAGES).mkdir(exist_ok=True)
    present = {path.name for path in (tree / PACKAGES).iterdir()}
    for name in present - listed:
        (tree / PACKAGES / name).unlink()
    for place, group in target.groups.items():
        for path in (tree / place).iterdir():
            shutil.chown(path, USER, group)
            path.chmod(0o640)
    return sorted(listed - present)


def set_aside(target: Target, name: str) -> None:
    """Move existing files away. Until the pages are rebuilt, Apache serves none of them (503)."""
    (target.pages / "projects/.complete").unlink(missing_ok=True)
    target.mark.unlink(missing_ok=True)
    for path in (target.pages / "records").glob("*"):
        path.unlink()
    for directory, aside in asides(target, name).items():
        for path in directory.iterdir() if directory.is_dir() else ():
            if not path.name.startswith(".replaced-"):
                aside.mkdir(mode=0o700, parents=True, exist_ok=True)
                move(path, aside / path.name)


def asides(target: Target, name: str) -> dict[Path, Path]:
    """Return where the files of each directory are moved, in the same file system. The index ignores these names."""
    return {
        path: path / name if path == target.audit else path.parent / name / path.name for path in target.places.values()
    }


def existing(target: Target, name: str) -> list[str]:
    """Return the directories with previous files."""
    return [str(path) for path in asides(target, name).values() if path.is_dir()]


def move_in(tree: Path, target: Target) -> None:
    """Move the restored files to their places, which may be on other file systems."""
    for place, directory in target.places.items():
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        for path in (tree / place).iterdir() if (tree / place).is_dir() else ():
            move(path, directory / path.name)
    if target.tls and (tree / TLS).is_dir():
        target.tls.parent.mkdir(mode=0o751, parents=True, exist_ok=True)
        target.tls.mkdir(mode=0o700, exist_ok=True)
        for name in AUTHORITY:
            if (tree / TLS / name).is_file() and not (target.tls / name).exists():
                move(tree / TLS / name, target.tls / name)


def move(source: Path, target: Path) -> None:
    """Move a file with its owner and times, also to another file system."""
    try:
        source.replace(target)
    except OSError:
        status = source.stat()
        temporary = target.with_name(f".restore-{target.name}")
        shutil.copy2(source, temporary)
        os.chown(temporary, status.st_uid, status.st_gid)
        temporary.replace(target)
        source.unlink()


def finish(target: Target) -> None:
    """Mark the data directory as that of an index, and remove the directory of the restore."""
    os.sync()
    target.mark.write_text(target.mark_text, encoding="utf-8")
    target.mark.chmod(0o644)
    os.sync()
    # The progress last: without it, the restore could not be completed.
    with suppress(FileNotFoundError):
        shutil.rmtree(target.work / "tree")
    shutil.rmtree(target.work)
