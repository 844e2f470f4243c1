"""List resources of the application's processes that they must not have: the TLS key, Apache's logs, privileges.

Runs on a server as root with the standard library only. Usage: processes.py PLAN, a JSON file: key (path of the TLS
private key), logs (paths). Prints JSON: a list with an object for each process.
"""

import json
import os
import pwd
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from credentials import access_to, field, uid_of

BLOCK = 16 << 20
USER = pwd.getpwnam("pypi").pw_uid


def secrets_of(key):
    """Return byte strings that identify a private key: its secret numbers in both byte orders, and its PEM lines."""
    text = subprocess.run(
        ["openssl", "pkey", "-in", key, "-noout", "-text"], check=True, capture_output=True, text=True
    )
    found = []
    for name, numbers in re.findall(r"^(\w+):\n((?:    [0-9a-f:]+\n)+)", text.stdout, re.MULTILINE):
        if name in ("priv", "prime1", "prime2", "privateExponent"):
            number = bytes.fromhex(re.sub(r"[\s:]", "", numbers)).lstrip(b"\0")
            found += [number, number[::-1]]
    lines = Path(key).read_text(encoding="ascii").splitlines()
    return found + [line.encode() for line in lines[2:-2] if len(line) == 64]


def copies(process, needles):
    """Count the occurrences of byte strings in a process's writable memory."""
    count, longest = 0, max(map(len, needles))
    with (process / "mem").open("rb", buffering=0) as memory:
        for line in (process / "maps").read_text().splitlines():
            area, mode = line.split()[:2]
            start, end = (int(number, 16) for number in area.split("-"))
            if not mode.startswith("rw"):
                continue
            with suppress(OSError, ValueError, OverflowError):
                for at in range(start, end, BLOCK):
                    memory.seek(at)
                    content = memory.read(min(BLOCK + longest, end - at))
                    count += sum(content.count(needle) for needle in needles)
    return count


def writable(process, logs):
    """Return the logs that a process has open for writing."""
    found = set()
    for descriptor in (process / "fd").iterdir():
        with suppress(OSError):
            target = str(descriptor.readlink())
            flags = int((process / "fdinfo" / descriptor.name).read_text().split("flags:")[1].split()[0], 8)
            if target in logs and flags & os.O_ACCMODE != os.O_RDONLY:
                found.add(target)
    return sorted(found)


def is_application(process):
    """Return whether a process runs as user pypi or in a unit of the kit.

    A name in parentheses belongs to systemd, which is about to start a service (systemd.exec(5)): return False.
    """
    if (process / "comm").read_text().startswith("("):
        return False
    return uid_of(process) == USER or "/pypi-" in (process / "cgroup").read_text()


def main():
    """Inspect all processes of the application."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    needles, network = secrets_of(plan["key"]), Path("/proc/self/ns/net").readlink()
    found = []
    for process in Path("/proc").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            if not process.name.isdigit() or not is_application(process):
                continue
            with access_to(process):
                found.append(
                    {
                        "name": (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()[:60],
                        "key_copies": copies(process, needles),
                        "logs": writable(process, plan["logs"]),
                        "no_new_privileges": field(process, "NoNewPrivs") == ["1"],
                        "seccomp": field(process, "Seccomp") == ["2"],
                        "capabilities": int(field(process, "CapEff")[0], 16) | int(field(process, "CapBnd")[0], 16),
                        "own_network": (process / "ns/net").readlink() != network,
                    }
                )
    print(json.dumps(found))


main()
