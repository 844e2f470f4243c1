"""Measure the memory of the index's processes on a server until the stop file exists.

Runs on a server as root with the standard library only. Usage: memory.py PLAN. Prints JSON: the proportional set size
(PSS of proc(5)) of all processes in the units of Apache and of the kit, in bytes: before, the peak of samples at most
0.1 s apart, and how many samples there were.
"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

from credentials import field

PAUSE = 0.1
UNITS = ("/apache2.service", "/pypi-")


def pss(process):
    """Return a process's proportional set size in bytes; 0 if it has ended.

    If the kernel does not permit that, return its anonymous memory.
    """
    with suppress(OSError, StopIteration):
        lines = (process / "smaps_rollup").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    with suppress(OSError, StopIteration):
        return 1024 * (int(field(process, "RssAnon")[0]) + int(field(process, "RssShmem")[0]))
    return 0


def processes_of_the_index():
    """Return the directories in /proc of all processes in the units of Apache and of the kit."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                if any(unit in (process / "cgroup").read_text() for unit in UNITS):
                    yield process


def total():
    """Return the memory of all processes of the index."""
    return sum(map(pss, processes_of_the_index()))


def main():
    """Measure until the stop file exists."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    before = peak = total()
    samples = 1
    Path(plan["ready"]).touch()
    while not Path(plan["stop"]).exists():
        time.sleep(PAUSE)
        peak, samples = max(peak, total()), samples + 1
    print(json.dumps({"before": before, "peak": peak, "samples": samples}))


if __name__ == "__main__":
    main()
