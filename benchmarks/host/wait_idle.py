"""Wait until the host is idle, so that earlier work does not affect the next measurement.

Usage: wait_idle.py SECONDS (the maximum). Prints the seconds that it has waited.
"""

import sys
import time
from pathlib import Path

# Idle threshold: share of idle CPU time over two seconds. Waiting for a disk counts as busy.
IDLE = 0.93


def times() -> list[int]:
    """Return the CPU times of all processors so far (proc(5), /proc/stat)."""
    return [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


def idle_share() -> float:
    """Return the share of idle CPU time in the next two seconds."""
    before = times()
    time.sleep(2)
    passed = [after - one for after, one in zip(times(), before, strict=True)]
    return passed[3] / sum(passed)


if __name__ == "__main__":
    began = time.monotonic()
    while idle_share() < IDLE and time.monotonic() - began < float(sys.argv[1]):
        pass
    print(round(time.monotonic() - began))
