"""Try what a compromised application would try. Runs inside the namespaces of the service as user pypi.

Usage: sandbox.py PLAN, JSON: read (paths), write (directories), connect ([host, port] pairs). Prints JSON: what
succeeded, of each kind.
"""

import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path


def main():
    """Try everything."""
    plan = json.loads(sys.argv[1])
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
    # Other users' processes, by what proc(5) shows of them.
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdigit() and process.stat().st_uid != os.getuid():
                done["processes"].append(process.name)
    print(json.dumps(done))


main()
