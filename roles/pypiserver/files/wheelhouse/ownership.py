"""The owners and modes of all directories and files of the index, as wheelhouse check looks at them.

They are wrong where user pypi got another number and restored data kept the former one, or where somebody copied files
or directories with their owners.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wheelhouse import permissions
from wheelhouse.permissions import Identity, Status, cure_of_own_file, cure_of_served_file, owner, real
from wheelhouse.settings import Settings

# The most files of a directory that are named one by one.
NAMED = 5


@dataclass(frozen=True)
class Directory:
    """A directory, and how it must be.

    group: a number; mode: the least; cure: of a file in it; recursive: what makes all of its files readable, "" if it
    has directories in it.
    """

    path: Path
    group: int
    mode: int
    cure: Callable[[Path, Status, Identity], str | None]
    recursive: str = ""


@dataclass
class Findings:
    """What is wrong. lines: for people; files: names of the packages that the lines are about."""

    lines: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)


def examine(settings: Settings) -> Findings:
    """Look at all directories and files. Raises OSError, but not for those that may not be read."""
    who, findings = permissions.identity(), Findings()
    for directory in directories_of(settings, who):
        if fault := fault_of_directory(directory, who):
            findings.lines.append(fault)
            continue
        faults = faults_in(directory, who)
        if directory.path == settings.packages:
            findings.files.update(faults)
        findings.lines += lines_of(directory, faults, who, short=directory.path == settings.packages)
    return findings


def directories_of(settings: Settings, who: Identity) -> list[Directory]:
    """Return all directories that the index writes, as roles/pypiserver/tasks/files.yml makes them."""
    pages, state, audit = settings.pages, settings.audit_head.parent, settings.audit.parent
    served = {"group": who.web, "mode": 0o2750, "cure": cure_of_served_file, "recursive": "u+rwX,g+rX"}
    own = {"group": who.group, "mode": 0o700, "cure": cure_of_own_file, "recursive": "u+rwX"}
    return [
        Directory(settings.packages, **served),
        Directory(state, **own),
        Directory(pages, **served | {"recursive": ""}),
        *(Directory(pages / name, **served) for name in ("projects", "root", "metadata")),
        *(Directory(pages / name, **own) for name in ("records", "locks")),
        Directory(audit, **own | {"group": who.logs, "mode": 0o2750}),
    ]


def fault_of_directory(directory: Directory, who: Identity) -> str | None:
    """Return what is wrong with a directory itself, and the cure, if anything."""
    path = real(directory.path)
    try:
        status = permissions.status_of(directory.path)
    except FileNotFoundError:
        return f"{path}: missing. Run: ansible-playbook site.yml"
    except PermissionError as error:
        return f"{path}: it cannot be looked at: {error.strerror}. Run as root: namei -l {path}"
    if (status.user, status.group) != (who.user, directory.group):
        whose = owner(who.user, directory.group)
        recursive = "-R " if directory.recursive else ""
        return f"{path}: owner: {status}, and not {whose}. Run as root: chown {recursive}{whose} {path}"
    if status.mode & directory.mode != directory.mode:
        mode = f"{status.permissions | directory.mode:o}"
        return f"{path}: mode: {status}, and not {directory.mode:04o}. Run as root: chmod {mode} {path}"
    return None


def faults_in(directory: Directory, who: Identity) -> dict[str, tuple[Status, str]]:
    """Return the status and cure, by name, of each file in a directory that has the wrong owner or mode."""
    found = {}
    try:
        with os.scandir(directory.path) as files:
            # Hidden ones are being written.
            names = sorted(file.name for file in files if not file.name.startswith("."))
    except PermissionError:
        return {}
    for name in names:
        try:
            status = permissions.status_of(directory.path / name)
        except FileNotFoundError:
            continue  # gone since
        if not stat.S_ISREG(status.mode):
            continue
        if cure := directory.cure(real(directory.path) / name, status, who):
            found[name] = (status, cure)
    return found


def lines_of(directory: Directory, faults: dict[str, tuple[Status, str]], who: Identity, *, short: bool) -> list[str]:
    """Return what is said of files: a line for each, or one for many. short: name them without their directory."""
    path = real(directory.path)
    if len(faults) <= NAMED:
        return [
            f"{name if short else path / name}: {kind_of(cure)}: {status}. Run as root: {cure}"
            for name, (status, cure) in faults.items()
        ]
    first, (status, _cure) = next(iter(faults.items()))
    return [
        f"{path}: owner or mode of {len(faults)} files, as of {first}: {status}. Run as root: "
        f"chown -R {owner(who.user, directory.group)} {path} && chmod -R {directory.recursive} {path}"
    ]


def kind_of(cure: str) -> str:
    """Return what is wrong with a file, by the cure."""
    return "owner" if cure.startswith("chown") else "mode"
