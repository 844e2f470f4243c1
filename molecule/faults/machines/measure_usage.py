"""Measure the peak memory and disk usage of Apache and the application.

Runs on a server as root with the standard library only. Usage: measure_usage.py STOP DIRECTORY... Runs until the file
STOP exists. Prints JSON: the largest increase of memory and disk usage in bytes since the start. Memory is the private
memory of the processes (RssAnon and RssShmem of proc(5)). Disk usage is that of the files below the directories, and of
deleted files that the processes hold open. A file is counted once: an upload is published with link(2), so it has two
names for a moment.
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
BLOCK = 512  # the unit of st_blocks, see stat(2)


def processes():
    """Return the directories in /proc of the processes in the units of Apache and of the kit."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with suppress(OSError):
                if any(unit in (directory / "cgroup").read_text() for unit in UNITS):
                    yield directory


def memory(process):
    """Return the private memory of a process in bytes."""
    with suppress(OSError):
        lines = (line.split() for line in (process / "status").read_text().splitlines())
        return 1024 * sum(int(line[1]) for line in lines if line and line[0] in KINDS)
    return 0


def used_by(status):
    """Return {(device, inode): bytes on the disk} of a file; a file with several names is counted once."""
    return {(status.st_dev, status.st_ino): status.st_blocks * BLOCK}


def deleted_files(process):
    """Return the deleted files that a process holds open, and the disk usage of each."""
    found = {}
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                status = descriptor.stat()
                if not status.st_nlink:
                    found |= used_by(status)
    return found


def files_below(top):
    """Return the files below a directory, and the disk usage of each."""
    found = {}
    for directory, _names, names in os.walk(top):
        for name in names:
            with suppress(OSError):
                found |= used_by(Path(directory, name).lstat())
    return found


def measure(directories):
    """Return the memory and the disk space used, in bytes."""
    memory_used, files = 0, {}
    for process in processes():
        memory_used += memory(process)
        files |= deleted_files(process)
    for directory in directories:
        files |= files_below(directory)
    return memory_used, sum(files.values())


def main(stop, *directories):
    """Measure until the stop file exists."""
    first = most = measure(directories)
    print("ready", flush=True)
    while not Path(stop).exists():
        time.sleep(PAUSE)
        most = tuple(map(max, most, measure(directories)))
    print(json.dumps({"memory": most[0] - first[0], "disk": most[1] - first[1]}))


main(*sys.argv[1:])
