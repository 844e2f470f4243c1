"""Try what a compromised application would try, in the namespaces of its process and as its user.

Runs on a server as root with the standard library only; drops privileges first. Usage: sandbox.py PLAN, a JSON file:
process (its ID), read (paths), write (directories), connect ([host, port] pairs). Prints JSON: what succeeded, of each
kind, and the visible processes of other users.
"""

import ctypes
import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from credentials import access_to, gid_of, uid_of

NAMESPACES = ("net", "ipc", "mnt")


def enter(process):
    """Enter the namespaces of a process and change to its user."""
    user, group = uid_of(process), gid_of(process)
    with access_to(process):
        descriptors = [os.open(process / "ns" / name, os.O_RDONLY) for name in NAMESPACES]
    libc = ctypes.CDLL(None, use_errno=True)
    for descriptor in descriptors:
        if libc.setns(descriptor, 0):
            raise OSError(ctypes.get_errno(), "setns")
    os.chdir("/")
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def main():
    """Try everything."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    enter(Path("/proc", str(plan["process"])))
    done = {"read": [], "write": [], "connect": [], "processes": []}
    for path in plan["read"]:
        with suppress(OSError), Path(path).open("rb") as file:
            file.read(1)
            done["read"].append(path)
    for directory in plan["write"]:
        path = Path(directory, ".attack")
        with suppress(OSError):
            path.touch()
            path.unlink()
            done["write"].append(directory)
    for host, port in plan["connect"]:
        with suppress(OSError):
            socket.create_connection((host, port), timeout=3).close()
            done["connect"].append(f"{host}:{port}")
    # The visible processes of other users, from proc(5).
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit() and process.stat().st_uid != os.getuid():
                done["processes"].append(process.name)
    print(json.dumps(done))


main()
