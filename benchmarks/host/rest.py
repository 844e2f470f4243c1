"""Waits until the machine is at rest: what follows a fill or a start is not to be measured with what comes after.

Usage: rest.py SECONDS, which is how long it waits at the most. Prints how long it has waited.
"""

import sys
import time
from pathlib import Path

# At rest is a machine whose processors had so much of two seconds for nothing, and that waited for no disk.
IDLE = 0.93


def times() -> list[int]:
    """What all processors have done so far: proc(5), /proc/stat."""
    return [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


def idle_share() -> float:
    """The share of the next two seconds in which nothing is done."""
    before = times()
    time.sleep(2)
    passed = [after - one for after, one in zip(times(), before, strict=True)]
    return passed[3] / sum(passed)


if __name__ == "__main__":
    began = time.monotonic()
    while idle_share() < IDLE and time.monotonic() - began < float(sys.argv[1]):
        pass
    print(round(time.monotonic() - began))
