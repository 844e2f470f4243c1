"""Break something on a server, at random moments, again and again.

Runs on a server as root, with Python alone. Usage: strike.py WHAT TIMES SEED, with the number of
the application's processes in PROCESSES. Prints, as JSON, how often it struck,
and what was written to where the disk was not.
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
KEPT = Path("/mnt/kept")
SMALL = Path("/mnt/small")
FILLER = DATA / "filler"
PROCESSES = json.loads(os.environ["PROCESSES"])


def run(*command):
    """Run a command, or fail."""
    subprocess.run(command, check=True)


def processes(is_meant):
    """The numbers of the processes whose command line is meant, the oldest first."""
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with suppress(OSError):
                if is_meant((directory / "cmdline").read_bytes()):
                    found.append(int(directory.name))
    return sorted(found)


def daemons():
    """The application's processes."""
    return processes(lambda line: line.startswith(b"(wsgi:pypi)"))


def apache():
    """All of Apache, the application's processes among them."""
    return processes(lambda line: line.startswith((b"(wsgi:pypi)", b"/usr/sbin/apache2")))


def kill(numbers):
    """End processes as a power cut would: none of them can do anything about it."""
    for number in filter(None, numbers):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def back(count, which):
    """Wait until so many processes are there again."""
    while len(which()) < count:
        time.sleep(0.02)


class Daemons:
    """The application's processes, all at once."""

    pause = (0.05, 1.2)

    def strike(self, _chance):
        back(PROCESSES, daemons)
        kill(daemons())
        back(PROCESSES, daemons)


class One:
    """One of the application's processes."""

    pause = (0.05, 1.2)

    def strike(self, chance):
        back(PROCESSES, daemons)
        kill([chance.choice(daemons() or [None])])
        back(PROCESSES, daemons)


class Apache:
    """All of Apache. systemd starts it again, but not more than five times in ten seconds."""

    pause = (1.5, 2.8)

    def strike(self, _chance):
        kill(apache())
        back(PROCESSES, daemons)


class Full:
    """The disk, by somebody else's file."""

    pause = (0.05, 0.5)

    def strike(self, chance):
        free = os.statvfs(DATA).f_bavail * os.statvfs(DATA).f_frsize
        # Little by little at the end, so that it is not always our file that does not fit.
        with suppress(OSError), FILLER.open("wb", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free - chance.randrange(1 << 20)))
            file.seek(0, os.SEEK_END)
            while True:
                file.write(bytes(4096))
        time.sleep(chance.uniform(0.1, 0.8))
        FILLER.unlink()


class Inodes:
    """The names that the disk has room for."""

    pause = (0.05, 0.5)

    def strike(self, chance):
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
    """The disk, as the kernel leaves it after an error."""

    pause = (0.1, 0.8)

    def strike(self, chance):
        # Refused while a file is open for writing, but only to us: a kernel that sees errors does not ask.
        while subprocess.run(["mount", "-o", "remount,ro", SMALL], stderr=subprocess.DEVNULL).returncode:
            time.sleep(chance.uniform(0, 0.02))
        time.sleep(chance.uniform(0.1, 1))
        run("mount", "-o", "remount,rw", SMALL)


class Unmount:
    """The disk, which goes away under those who use it, and comes back."""

    pause = (0.1, 0.8)

    def __init__(self):
        run("mkdir", "-p", KEPT)
        if not os.path.ismount(KEPT):
            run("mount", "--bind", DATA, KEPT)
        self.astray = []

    def strike(self, chance):
        run("umount", "--lazy", DATA)
        time.sleep(chance.uniform(0.1, 1))
        # What is here now is below the mount, where nobody would ever find it.
        self.astray += [str(path) for path in DATA.rglob("*")]
        run("mount", "--bind", KEPT, DATA)


STRIKES = {
    "daemons": Daemons,
    "one": One,
    "apache": Apache,
    "full": Full,
    "inodes": Inodes,
    "read-only": ReadOnly,
    "unmount": Unmount,
}


def main(what, times, seed):
    """Strike so many times."""
    chance, breaker = random.Random(seed), STRIKES[what]()
    for _ in range(int(times)):
        time.sleep(chance.uniform(*breaker.pause))
        breaker.strike(chance)
    print(json.dumps({"times": int(times), "astray": getattr(breaker, "astray", [])}))


main(*sys.argv[1:])
