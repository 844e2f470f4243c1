"""Inject a fault on a server, at random moments, again and again.

Runs on a server as root, with Python alone. Usage: strike.py WHAT TIMES SECONDS SEED: so many times, but not after so
many seconds, in which it is done once at least. Prints, as JSON, how often it was done, and what was written to where
the disk was not.
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
APPLICATION, PROXY, APACHE = "pypi-application.service", "pypi-application-proxy.service", "apache2.service"
# Seconds for which a service may be away. Only one that does not come back at all is away for that long.
LONGEST = 300


def run(*command):
    """Run a command, or fail."""
    subprocess.run(command, check=True)


def processes(*units):
    """Return the numbers of the processes in units of systemd."""
    found = set()
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with suppress(OSError):
                if (directory / "cgroup").read_text().strip().rpartition("/")[2] in units:
                    found.add(int(directory.name))
    return found


def kill(numbers):
    """End processes as a loss of power would: without a chance to react."""
    for number in numbers:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def wait_for(unit, killed=frozenset()):
    """Wait until a unit has processes that work: a parent and a child, for Apache. killed: the ones from before."""
    end = time.monotonic() + LONGEST
    while len(processes(unit) - killed) < (1 if unit == PROXY else 2):
        if time.monotonic() > end:
            sys.exit(f"{unit} is not back after {LONGEST} s")
        time.sleep(0.02)


class Application:
    """All processes of the application."""

    pause = (0.05, 1.2)

    def strike(self, _chance):
        wait_for(APPLICATION)
        killed = processes(APPLICATION)
        kill(killed)
        wait_for(APPLICATION, killed)


class One:
    """One process of the application, or the proxy in front of it."""

    pause = (0.05, 1.2)

    def strike(self, chance):
        wait_for(APPLICATION)
        killed = {chance.choice(sorted(processes(APPLICATION, PROXY)))}
        kill(killed)
        wait_for(APPLICATION, killed)


class Apache:
    """All of Apache and the application."""

    pause = (0.5, 2.8)

    def strike(self, _chance):
        killed = processes(APACHE, APPLICATION, PROXY)
        kill(killed)
        wait_for(APACHE, killed)
        wait_for(APPLICATION, killed)


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
    "application": Application,
    "one": One,
    "apache": Apache,
    "full": Full,
    "inodes": Inodes,
    "read-only": ReadOnly,
    "unmount": Unmount,
}


def main(what, times, seconds, seed):
    """Do it so many times, or for so many seconds."""
    chance, breaker = random.Random(seed), STRIKES[what]()
    end, done = time.monotonic() + int(seconds), 0
    while done < int(times) and (not done or time.monotonic() < end):
        time.sleep(chance.uniform(*breaker.pause))
        breaker.strike(chance)
        done += 1
    print(json.dumps({"times": done, "astray": getattr(breaker, "astray", [])}))


main(*sys.argv[1:])
