"""Read what proc(5) shows of other processes, also in a container without CAP_SYS_PTRACE.

Runs on a server as root with the standard library only. Other programs in this directory import it.
"""

import os
from contextlib import contextmanager


def field(process, name):
    """Return a field of proc(5)'s status file, split at whitespace. process: its directory in /proc."""
    prefix = f"{name}:"
    lines = (process / "status").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(prefix)).removeprefix(prefix).split()


def uid_of(process):
    """Return the effective user ID of a process; its directory belongs to root if it cannot be traced."""
    return int(field(process, "Uid")[1])


def gid_of(process):
    """Return the effective group ID of a process."""
    return int(field(process, "Gid")[1])


@contextmanager
def access_to(process):
    """Make a process's files in /proc readable while the block runs, as its own user if root may not read them."""
    try:
        (process / "ns/net").readlink()
    except PermissionError:
        user, group = uid_of(process), gid_of(process)
    else:
        user = group = 0
    os.setegid(group)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
