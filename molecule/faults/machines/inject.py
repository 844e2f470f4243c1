"""Inject a fault on a server repeatedly, at random moments.

Runs on a server as root with the standard library only. Usage: inject.py FAULT TIMES SECONDS SEED. Injects the fault
the given number of times, but at most for the given seconds, and at least once. Prints JSON: how often it was injected,
and the files that were written below the unmounted data directory.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

DATA = Path("/srv/pypi")
BACKUP = Path("/mnt/kept")
SMALL = Path("/mnt/small")
FILLER = DATA / "filler"
APPLICATION, PROXY, APACHE = "pypi-application.service", "pypi-application-proxy.service", "apache2.service"
# Timeout in seconds for a service to restart.
RESTART_TIMEOUT = 300


def run(*command):
    """Run a command; raise an error if it fails."""
    subprocess.run(command, check=True)


def processes(*units):
    """Return the IDs of the processes in systemd units."""
    found = set()
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with suppress(OSError):
                if (directory / "cgroup").read_text().strip().rpartition("/")[2] in units:
                    found.add(int(directory.name))
    return found


def kill(process_ids):
    """Kill processes with SIGKILL."""
    for process_id in process_ids:
        with suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)


def wait_for(unit, killed=frozenset()):
    """Wait until a unit has working processes: for Apache, a parent and a child. killed: IDs of killed processes."""
    end = time.monotonic() + RESTART_TIMEOUT
    while len(processes(unit) - killed) < (1 if unit == PROXY else 2):
        if time.monotonic() > end:
            sys.exit(f"{unit} is not running after {RESTART_TIMEOUT} s")
        time.sleep(0.02)


class Application:
    """Kill all processes of the application."""

    pause = (0.05, 1.2)

    def inject(self, _chance):
        wait_for(APPLICATION)
        killed = processes(APPLICATION)
        kill(killed)
        wait_for(APPLICATION, killed)


class One:
    """Kill one process of the application or of the proxy in front of it."""

    pause = (0.05, 1.2)

    def inject(self, chance):
        wait_for(APPLICATION)
        killed = {chance.choice(sorted(processes(APPLICATION, PROXY)))}
        kill(killed)
        wait_for(APPLICATION, killed)


class Apache:
    """Kill all processes of Apache and the application."""

    pause = (0.5, 2.8)

    def inject(self, _chance):
        killed = processes(APACHE, APPLICATION, PROXY)
        kill(killed)
        wait_for(APACHE, killed)
        wait_for(APPLICATION, killed)


class FullDisk:
    """Fill the disk with a file."""

    pause = (0.05, 0.5)

    def inject(self, chance):
        free = os.statvfs(DATA).f_bavail * os.statvfs(DATA).f_frsize
        # In small steps at the end, so that it is not always the upload that does not fit.
        with suppress(OSError), FILLER.open("wb", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free - chance.randrange(1 << 20)))
            file.seek(0, os.SEEK_END)
            while True:
                file.write(bytes(4096))
        time.sleep(chance.uniform(0.1, 0.8))
        FILLER.unlink()


class Inodes:
    """Use all inodes of the disk."""

    pause = (0.05, 0.5)

    def inject(self, chance):
        directory = DATA / "fillers"
        directory.mkdir(exist_ok=True)
        made = []
        with suppress(OSError):
            while True:
                path = directory / str(len(made))
                path.touch()
                made.append(path)
        time.sleep(chance.uniform(0.1, 0.8))
        for path in made:
            path.unlink()
        directory.rmdir()


class ReadOnly:
    """Remount the disk read-only, as the kernel does after an error."""

    pause = (0.1, 0.8)

    def inject(self, chance):
        # The remount fails while a file is open for writing; after an I/O error, the kernel does it regardless.
        while subprocess.run(["mount", "-o", "remount,ro", SMALL], stderr=subprocess.DEVNULL).returncode:
            time.sleep(chance.uniform(0, 0.02))
        time.sleep(chance.uniform(0.1, 1))
        run("mount", "-o", "remount,rw", SMALL)


class Unmount:
    """Unmount the disk while it is in use, and mount it again."""

    pause = (0.1, 0.8)

    def __init__(self):
        run("mkdir", "-p", BACKUP)
        if not os.path.ismount(BACKUP):
            run("mount", "--bind", DATA, BACKUP)
        self.misplaced = []

    def inject(self, chance):
        run("umount", "--lazy", DATA)
        time.sleep(chance.uniform(0.1, 1))
        # Files that exist now are below the mount point, where they would be lost.
        self.misplaced += [str(path) for path in DATA.rglob("*")]
        run("mount", "--bind", BACKUP, DATA)


FAULTS = {
    "application": Application,
    "one": One,
    "apache": Apache,
    "full": FullDisk,
    "inodes": Inodes,
    "read-only": ReadOnly,
    "unmount": Unmount,
}


def main(name, times, seconds, seed):
    """Inject a fault the given number of times, or for the given seconds."""
    chance, fault = random.Random(seed), FAULTS[name]()
    end, done = time.monotonic() + int(seconds), 0
    while done < int(times) and (not done or time.monotonic() < end):
        time.sleep(chance.uniform(*fault.pause))
        fault.inject(chance)
        done += 1
    print(json.dumps({"times": done, "misplaced": getattr(fault, "misplaced", [])}))


main(*sys.argv[1:])
