"""Try to connect to the index's internal sockets as an unprivileged local user.

Runs on a server as root with the standard library only; drops privileges first. Usage: reach.py PLAN, a JSON file:
user, sockets (paths of Unix sockets), ports (TCP ports that may accept). Prints JSON: sockets ({path: "connected" or
the error}), and listeners: the addresses in this network namespace that accept a connection on another port.
"""

import json
import os
import pwd
import socket
import sys
from contextlib import suppress
from pathlib import Path

LISTEN = "0A"


def listeners():
    """Return the ports with a listener in this network namespace, from proc(5)."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _number, local, _remote, state, *_rest = line.split()
            if state == LISTEN:
                found.add(int(local.rpartition(":")[2], 16))
    return found


def attempt(family, address):
    """Connect. Return "connected" or the name of the error."""
    with socket.socket(family) as client:
        client.settimeout(5)
        try:
            client.connect(address)
        except OSError as error:
            return type(error).__name__
    return "connected"


def main():
    """Try all sockets and ports."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    ports = listeners() - set(plan["ports"])
    account = pwd.getpwnam(plan["user"])
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    found = []
    for port in sorted(ports):
        with suppress(OSError):
            if attempt(socket.AF_INET, ("127.0.0.1", port)) == "connected":
                found.append(f"127.0.0.1:{port}")
    print(
        json.dumps({"sockets": {path: attempt(socket.AF_UNIX, path) for path in plan["sockets"]}, "listeners": found})
    )


main()
