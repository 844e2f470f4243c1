"""The memory of Apache, Python, nginx and systemd's socket proxy on a host, as PSS: shared memory is counted once.

Runs in a container that shares the PID namespace of the host.

Usage: memory.py SECONDS. Measures every half second; prints the median and the maximum in bytes.
"""

import os
import statistics
import sys
import time
from pathlib import Path

COUNTED = ("apache2", "python", "nginx", "systemd-socket-proxyd")


def pss() -> int:
    """Return the sum over all processes except this one, in bytes."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program = (process / "exe").readlink().name
            if program.startswith(COUNTED) and process.name != str(os.getpid()):
                lines = (process / "smaps_rollup").read_text().splitlines()
                total += 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


if __name__ == "__main__":
    end = time.monotonic() + float(sys.argv[1])
    samples = [pss()]
    while time.monotonic() < end:
        time.sleep(0.5)
        samples.append(pss())
    print(statistics.median(samples), max(samples))
