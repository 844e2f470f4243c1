"""Copies what a backup cannot read from the live index: the state, the audit log, and the list of packages.

The copy is what a crash at one moment would leave, and the index recovers from a crash. At that moment, the lock of the
audit log is held, so no entry is written. Each upload and removal writes its entry before the change, so the copied log
has the entry of each change in the copied list. Of changes in progress at that moment, which are not answered yet, the
log may have the entry without the change, as after a crash.

The packages themselves are not copied. A published file does not change, so a backup that reads it later reads what it
contained at that moment. A restore keeps only the files in the list.
"""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from wheelhouse.audit import rotation
from wheelhouse.audit.log import AuditLog
from wheelhouse.audit.rotation import LogFile
from wheelhouse.config import Settings
from wheelhouse.files.atomic import TEMPORARY_PREFIX

# The names in the directory of the copy.
STATE, AUDIT, PACKAGES = "state", "audit", "packages.json"
# Files of the state that are of no use in a copy.
NOT_COPIED = (".lock", ".reserve")
ATTEMPTS = 3
CHUNK_SIZE = 1 << 20


def write_copy(settings: Settings, directory: Path) -> None:
    """Replace the content of a directory, which must exist, by a new copy. Raises OSError."""
    for _ in range(ATTEMPTS):
        before = inodes(settings.audit)
        with suppress(FileNotFoundError):
            empty(directory)
            write_once(settings, directory)
            # logrotate takes no lock: a rotation may leave a gap, or one file under two names.
            if inodes(settings.audit) == before:
                return
    raise OSError(f"The audit log was rotated during each of {ATTEMPTS} attempts to copy it")


def write_once(settings: Settings, directory: Path) -> None:
    """Write a copy to an empty directory. Raises OSError, FileNotFoundError if the audit log is rotated meanwhile."""
    (directory / STATE).mkdir()
    (directory / AUDIT).mkdir()
    head_path = settings.audit_head
    sizes: dict[str, int] = {}

    def while_nobody_writes() -> None:
        (directory / PACKAGES).write_text(json.dumps(packages_in(settings.packages), indent=0), encoding="ascii")
        copy_state(head_path, directory / STATE)
        sizes.update({path.name: path.stat().st_size for path in rotation.rotated_files(settings.audit)})

    with AuditLog(settings.audit, head_path).reading(while_nobody_writes) as (head, files):
        if head is not None:
            (directory / STATE / head_path.name).write_bytes(head.raw + b"\n")
        for file in files:
            source, target = settings.audit.with_name(file.name), directory / AUDIT / file.name
            if not (rotation.is_compressed(source) and is_linked(source, target, file)):
                copy_log(file, min(file.size, sizes.get(file.name, file.size)), target)


def empty(directory: Path) -> None:
    """Remove everything in a directory."""
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def packages_in(directory: Path) -> list[str]:
    """Return the names of all files, sorted, without temporary files, whose names begin with a dot."""
    with os.scandir(directory) as entries:
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())


def copy_state(head: Path, target: Path) -> None:
    """Copy the files of the state. The head of the audit log is not one of them: it is written with the log."""
    for path in head.parent.iterdir():
        if path.name.startswith(TEMPORARY_PREFIX) or path.name == head.name or path.suffix in NOT_COPIED:
            continue
        with suppress(FileNotFoundError):
            shutil.copy2(path, target / path.name)


def is_linked(source: Path, target: Path, file: LogFile) -> bool:
    """Link an open, compressed file, which nobody writes any more. Return False if that is impossible.

    A link takes no space. On another file system, or after logrotate has renamed the file, the file must be copied.
    """
    try:
        target.hardlink_to(source)
    except OSError:
        return False
    if target.stat().st_ino == os.fstat(file.file.fileno()).st_ino:
        return True
    target.unlink()
    return False


def copy_log(file: LogFile, size: int, target: Path) -> None:
    """Copy an open file as it is on the disk, by its descriptor: logrotate may rename it. size: bytes."""
    descriptor, position = file.file.fileno(), 0
    with target.open("wb") as copy:
        while chunk := os.pread(descriptor, min(CHUNK_SIZE, size - position), position):
            copy.write(chunk)
            position += len(chunk)


def inodes(log: Path) -> dict[str, int]:
    """Return the inodes of the files of the audit log by name. Raises OSError."""
    files = [*rotation.rotated_files(log), log]
    return {path.name: path.stat().st_ino for path in files if path.exists()}
