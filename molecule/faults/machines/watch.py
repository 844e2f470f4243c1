"""What Apache and the application take of memory and disk, at most, while something goes on.

Runs on a server as root, with Python alone. Usage: watch.py STOP DIRECTORY..., until the file STOP is there. Prints
JSON: by how many bytes the memory and the disk's use went up from the first look, at most. Memory is what the processes
have for themselves (RssAnon and RssShmem of proc(5)). The disk's use is that of the files below the directories, and of
files that the processes hold open and that have no name any more. A file is counted once: an upload is published with
link(2), so it has two names for a moment.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

PAUSE = 0.1
KINDS = ("RssAnon:", "RssShmem:")
UNITS = ("/apache2.service", "/pypi-")
BLOCK = 512  # stat(2): the unit of st_blocks


def processes():
    """Return the directories in /proc of the processes in the units of Apache and of the kit."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with suppress(OSError):
                if any(unit in (directory / "cgroup").read_text() for unit in UNITS):
                    yield directory


def memory(process):
    """Bytes that a process has for itself."""
    with suppress(OSError):
        lines = (line.split() for line in (process / "status").read_text().splitlines())
        return 1024 * sum(int(line[1]) for line in lines if line and line[0] in KINDS)
    return 0


def used_by(status):
    """Return {(device, inode): bytes on the disk} of a file; a file with several names is one file."""
    return {(status.st_dev, status.st_ino): status.st_blocks * BLOCK}


def nameless(process):
    """Return the open files of a process that have no name, and the bytes that each takes."""
    found = {}
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                status = descriptor.stat()
                if not status.st_nlink:
                    found |= used_by(status)
    return found


def named(top):
    """Return the files below a directory, and the bytes that each takes."""
    found = {}
    for directory, _names, names in os.walk(top):
        for name in names:
            with suppress(OSError):
                found |= used_by(Path(directory, name).lstat())
    return found


def look(directories):
    """Return the memory and the disk space used, in bytes."""
    memory_used, files = 0, {}
    for process in processes():
        memory_used += memory(process)
        files |= nameless(process)
    for directory in directories:
        files |= named(directory)
    return memory_used, sum(files.values())


def main(stop, *directories):
    """Look until it is enough."""
    first = most = look(directories)
    print("ready", flush=True)
    while not Path(stop).exists():
        time.sleep(PAUSE)
        most = tuple(map(max, most, look(directories)))
    print(json.dumps({"memory": most[0] - first[0], "disk": most[1] - first[1]}))


main(*sys.argv[1:])
