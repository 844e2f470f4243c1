"""Owners and modes of files: which are required, and the command that corrects them.

The index and Apache must be able to read what is served. A served file may belong to root, who may have copied it, but
not to other users: a uid that was user pypi's on another host may be a different user's here, who could change it.
"""

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import NamedTuple

# The group of Apache, and the group that may read logs.
WEB_GROUP, LOG_GROUP = "www-data", "adm"


class Identity(NamedTuple):
    """The uid and gid of this process, the gid of Apache, and the gid of the group that may read logs."""

    user: int
    group: int
    web: int
    logs: int


class Status(NamedTuple):
    """The uid, gid and mode (st_mode, with the file type) of a file."""

    user: int
    group: int
    mode: int

    @property
    def permissions(self) -> int:
        """The permission bits, as chmod takes them."""
        return stat.S_IMODE(self.mode)

    def __str__(self) -> str:
        return f"{owner(self.user, self.group)}, mode {self.permissions:04o}"


def identity() -> Identity:
    """Return the identity of this process. Raises KeyError if a group does not exist."""
    web, logs = (grp.getgrnam(name).gr_gid for name in (WEB_GROUP, LOG_GROUP))
    return Identity(os.geteuid(), os.getegid(), web, logs)


def status_of(path: Path) -> Status:
    """Return the status of a file, or of a symbolic link itself. Raises OSError."""
    found = path.lstat()
    return Status(found.st_uid, found.st_gid, found.st_mode)


def owner(user: int, group: int) -> str:
    """Return a user and a group as chown takes them: by name, or by number if they have no name."""
    try:
        user_name = pwd.getpwuid(user).pw_name
    except KeyError:
        user_name = str(user)
    try:
        group_name = grp.getgrgid(group).gr_name
    except KeyError:
        group_name = str(group)
    return f"{user_name}:{group_name}"


def allows(status: Status, user: int | None, group: int, bit: int) -> bool:
    """Return whether a mode permits an access to a user with one group. bit: as for others, 4 to read."""
    if user is not None and status.user == user:
        return bool(status.mode & bit << 6)
    return bool(status.mode & (bit << 3 if status.group == group else bit))


def fix_for_served_file(path: Path, status: Status, who: Identity) -> str | None:
    """Return the command that lets the index and Apache read a file, with a safe owner; None if nothing is wrong."""
    is_safe = status.user in (who.user, 0)
    if is_safe and allows(status, who.user, who.group, 4) and allows(status, None, who.web, 4):
        return None
    is_ours = (status.user, status.group) == (who.user, who.web)
    commands = [] if is_ours else [f"chown -h {owner(who.user, who.web)} {path}"]
    if status.mode & 0o440 != 0o440 or not commands:
        commands.append(f"chmod 640 {path}")
    return " && ".join(commands)


def fix_for_own_file(path: Path, status: Status, who: Identity) -> str | None:
    """Return the command that lets the index read and write a file that it owns; None if nothing is wrong."""
    commands = [] if status.user == who.user else [f"chown -h {owner(who.user, who.group)} {path}"]
    if status.mode & 0o600 != 0o600:
        commands.append(f"chmod u+rw {path}")
    return " && ".join(commands) or None


def explain_unreadable(path: Path) -> str:
    """Return the message for a served file that this process may not read, with the command that corrects it."""
    place = real_path(path)
    try:
        who, status = identity(), status_of(path)
    except (OSError, KeyError):
        return "it may not be read"
    fix = fix_for_served_file(place, status, who) or f"namei -l {place}"
    return f"it may not be read: it belongs to {status}. Run as root: {fix}"


def explain_not_owned(path: Path) -> str:
    """Return the message for a file whose time this process may not set, with the command that corrects it."""
    who = identity()
    return f"it belongs to another user. Run as root: chown -h {owner(who.user, who.web)} {real_path(path)}"


def real_path(path: Path) -> Path:
    """Return a path to show to people: the data directory is open as /proc/self/fd/N (DataDirectory)."""
    return Path(os.path.realpath(path.parent)) / path.name
