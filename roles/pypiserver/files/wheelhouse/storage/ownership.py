"""Checks the owners and modes of all directories and files of the index, for wheelhouse check.

They are wrong if user pypi has got another uid and restored data kept the former one, or if files or directories were
copied with their owners.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from wheelhouse.config import Settings
from wheelhouse.files import permissions
from wheelhouse.files.permissions import (
    Identity,
    Status,
    fix_for_own_file,
    fix_for_served_file,
    owner,
    real_path,
)

# Faulty files of a directory that are reported one by one; more get one line.
MAX_LINES = 5


@dataclass(frozen=True)
class Directory:
    """A directory, and its required owner and mode.

    group: gid; mode: the required bits; fix: returns the command that corrects a file in it, or None; recursive: the
    mode for chmod -R that corrects all of its files, "" if it has subdirectories.
    """

    path: Path
    group: int
    mode: int
    fix: Callable[[Path, Status, Identity], str | None]
    recursive: str = ""


@dataclass
class Findings:
    """Faults. lines: for people; files: the names of faulty packages."""

    lines: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)


def examine(settings: Settings) -> Findings:
    """Check all directories and files. Raises OSError, but not for those that may not be read."""
    who, findings = permissions.identity(), Findings()
    for directory in directories_of(settings, who):
        if fault := directory_fault(directory, who):
            findings.lines.append(fault)
            continue
        faults = file_faults(directory, who)
        if directory.path == settings.packages:
            findings.files.update(faults)
        findings.lines += format_faults(directory, faults, who, short=directory.path == settings.packages)
    return findings


def directories_of(settings: Settings, who: Identity) -> list[Directory]:
    """Return all directories that the index writes, as roles/pypiserver/tasks/files.yml creates them."""
    pages, state, audit = settings.pages, settings.audit_head.parent, settings.audit.parent

    def served(path: Path) -> Directory:
        return Directory(path, who.web, 0o2750, fix_for_served_file, "u+rwX,g+rX")

    def own(path: Path) -> Directory:
        return Directory(path, who.group, 0o700, fix_for_own_file, "u+rwX")

    return [
        served(settings.packages),
        own(state),
        replace(served(pages), recursive=""),
        *(served(pages / name) for name in ("projects", "root", "metadata")),
        *(own(pages / name) for name in ("records", "locks")),
        replace(own(audit), group=who.logs, mode=0o2750),
    ]


def directory_fault(directory: Directory, who: Identity) -> str | None:
    """Return what is wrong with a directory itself, and the command that corrects it; None if nothing is wrong."""
    path = real_path(directory.path)
    try:
        status = permissions.status_of(directory.path)
    except FileNotFoundError:
        return f"{path}: missing. Run: ansible-playbook site.yml"
    except PermissionError as error:
        return f"{path}: it cannot be examined: {error.strerror}. Run as root: namei -l {path}"
    if (status.user, status.group) != (who.user, directory.group):
        whose = owner(who.user, directory.group)
        recursive = "-R " if directory.recursive else ""
        return f"{path}: owner: {status}, and not {whose}. Run as root: chown {recursive}{whose} {path}"
    if status.mode & directory.mode != directory.mode:
        mode = f"{status.permissions | directory.mode:o}"
        return f"{path}: mode: {status}, and not {directory.mode:04o}. Run as root: chmod {mode} {path}"
    return None


def file_faults(directory: Directory, who: Identity) -> dict[str, tuple[Status, str]]:
    """Return the status and the correcting command of each file with a wrong owner or mode, by name."""
    found = {}
    try:
        with os.scandir(directory.path) as files:
            # Names with a dot are temporary files.
            names = sorted(file.name for file in files if not file.name.startswith("."))
    except PermissionError:
        return {}
    for name in names:
        try:
            status = permissions.status_of(directory.path / name)
        except FileNotFoundError:
            continue  # deleted since it was listed (race)
        if not stat.S_ISREG(status.mode):
            continue
        if fix := directory.fix(real_path(directory.path) / name, status, who):
            found[name] = (status, fix)
    return found


def format_faults(
    directory: Directory, faults: dict[str, tuple[Status, str]], who: Identity, *, short: bool
) -> list[str]:
    """Return the lines about faulty files: one for each, or one for many. short: name them without their directory."""
    path = real_path(directory.path)
    if len(faults) <= MAX_LINES:
        return [
            f"{name if short else path / name}: {kind_of(fix)}: {status}. Run as root: {fix}"
            for name, (status, fix) in faults.items()
        ]
    first, (status, _fix) = next(iter(faults.items()))
    return [
        f"{path}: owner or mode of {len(faults)} files, as of {first}: {status}. Run as root: "
        f"chown -R {owner(who.user, directory.group)} {path} && chmod -R {directory.recursive} {path}"
    ]


def kind_of(fix: str) -> str:
    """Return what a command corrects: "owner" or "mode"."""
    return "owner" if fix.startswith("chown") else "mode"
