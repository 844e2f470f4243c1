"""Run `wheelhouse` in a terminal as an administrator does, and inspect the processes that it starts as user pypi.

Runs on a server as root with the standard library only. Usage: terminal.py PLAN, a JSON file: command, directory,
environment. Prints JSON: found (whether there was a process of user pypi), terminal (whether one of them had the
terminal), environment (the names of the given variables that one of them had), output.
"""

import json
import os
import pty
import pwd
import select
import sys
from contextlib import suppress
from pathlib import Path

USER = pwd.getpwnam("pypi").pw_uid


def children(process):
    """Return all descendants of a process."""
    found = []
    with suppress(OSError):
        for child in (Path("/proc") / str(process) / "task" / str(process) / "children").read_text().split():
            found += [int(child), *children(int(child))]
    return found


def inspect(process, variables, found):
    """Record the terminal and the environment of a process of user pypi."""
    directory = Path("/proc") / str(process)
    with suppress(OSError, IndexError):
        if int((directory / "status").read_text().split("\nUid:")[1].split()[1]) != USER:
            return
        # Between setuid(2) and execve(2) it is still the wrapper, which runs none of the user's code.
        if b"/usr/local/bin/wheelhouse" in (directory / "cmdline").read_bytes():
            return
        found["found"] = True
        # proc(5): the fifth field after the name is the controlling terminal.
        if int((directory / "stat").read_text().rpartition(")")[2].split()[4]):
            found["terminal"].add("controlling terminal")
        for descriptor in (directory / "fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()).startswith("/dev/pts/"):
                    found["terminal"].add(f"descriptor {descriptor.name}")
        environment = (directory / "environ").read_bytes().split(b"\0")
        found["environment"] |= {
            name for name in variables if any(x.startswith(f"{name}=".encode()) for x in environment)
        }


def main():
    """Run the command and inspect its processes."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(plan["directory"])
        os.execvpe("/bin/sh", ["sh", "-c", plan["command"]], os.environ | plan["environment"])  # noqa: S606
    found, output = {"found": False, "terminal": set(), "environment": set()}, b""
    while os.waitpid(process, os.WNOHANG)[0] == 0:
        if select.select([terminal], [], [], 0.001)[0]:
            with suppress(OSError):
                output += os.read(terminal, 65536)
        for child in [process, *children(process)]:
            inspect(child, plan["environment"], found)
    with suppress(OSError):
        while select.select([terminal], [], [], 0)[0] and (chunk := os.read(terminal, 65536)):
            output += chunk
    found |= {name: sorted(found[name]) for name in ("terminal", "environment")}
    print(json.dumps(found | {"output": output.decode(errors="replace")[-2000:]}))


main()
