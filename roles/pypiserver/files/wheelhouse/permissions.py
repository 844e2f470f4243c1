"""Whose files are, who may read them, and the command that cures it where that is wrong.

The index and Apache must be able to read what is served. It may belong to root, who has copied it, but to nobody else:
a number that was user pypi's on another host may be another user's here, who could change the file.
"""

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import NamedTuple

# Groups of Apache, and of those who read logs.
WEB_GROUP, LOG_GROUP = "www-data", "adm"


class Identity(NamedTuple):
    """Numbers of this process's user and group, of Apache's group, and of the group that reads logs."""

    user: int
    group: int
    web: int
    logs: int


class Status(NamedTuple):
    """Whose a file is, by number, and its mode, which says of which kind it is as well."""

    user: int
    group: int
    mode: int

    @property
    def permissions(self) -> int:
        """The mode as chmod takes it."""
        return stat.S_IMODE(self.mode)

    def __str__(self) -> str:
        return f"{owner(self.user, self.group)}, mode {self.permissions:04o}"


def identity() -> Identity:
    """Return who we are. Raises KeyError if there are no such groups."""
    web, logs = (grp.getgrnam(name).gr_gid for name in (WEB_GROUP, LOG_GROUP))
    return Identity(os.geteuid(), os.getegid(), web, logs)


def status_of(path: Path) -> Status:
    """Look at a file, not at what a symbolic link leads to. Raises OSError."""
    found = path.lstat()
    return Status(found.st_uid, found.st_gid, found.st_mode)


def owner(user: int, group: int) -> str:
    """Return a user and a group as chown takes them: by name, or by number if they have none."""
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
    """Whether a mode allows something to a user who is in one group. bit: as for others, 4 to read."""
    if user is not None and status.user == user:
        return bool(status.mode & bit << 6)
    return bool(status.mode & (bit << 3 if status.group == group else bit))


def cure_of_served_file(path: Path, status: Status, who: Identity) -> str | None:
    """Return the command that makes a file readable for us and for Apache, and no stranger's; None if it is that."""
    is_safe = status.user in (who.user, 0)
    if is_safe and allows(status, who.user, who.group, 4) and allows(status, None, who.web, 4):
        return None
    is_ours = (status.user, status.group) == (who.user, who.web)
    commands = [] if is_ours else [f"chown -h {owner(who.user, who.web)} {path}"]
    if status.mode & 0o440 != 0o440 or not commands:
        commands.append(f"chmod 640 {path}")
    return " && ".join(commands)


def cure_of_own_file(path: Path, status: Status, who: Identity) -> str | None:
    """Return the command that makes a file ours to read and to write; None if it is that."""
    commands = [] if status.user == who.user else [f"chown -h {owner(who.user, who.group)} {path}"]
    if status.mode & 0o600 != 0o600:
        commands.append(f"chmod u+rw {path}")
    return " && ".join(commands) or None


def unreadable(path: Path) -> str:
    """Return what is said of a served file that we may not read, and the cure."""
    place = real(path)
    try:
        who, status = identity(), status_of(path)
    except (OSError, KeyError):
        return "it may not be read"
    cure = cure_of_served_file(place, status, who) or f"namei -l {place}"
    return f"it may not be read: it belongs to {status}. Run as root: {cure}"


def not_permitted(path: Path) -> str:
    """Return what is said of a file whose time we may not set, and the cure."""
    who = identity()
    return f"it is another user's. Run as root: chown -h {owner(who.user, who.web)} {real(path)}"


def real(path: Path) -> Path:
    """Return a file's path for people: the data directory is held by a number (wheelhouse.held)."""
    return Path(os.path.realpath(path.parent)) / path.name
