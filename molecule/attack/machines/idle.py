"""Wait until the processes of the index are idle.

Runs on a server as root with the standard library only. Usage: idle.py PLAN, a JSON file: seconds (a timeout). Prints
JSON: the seconds waited.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from memory import processes_of_the_index

MAXIMUM = 0.1  # seconds of CPU time per second


def used():
    """Return the CPU time of each process in seconds: {process: seconds}."""
    found = {}
    for process in processes_of_the_index():
        with suppress(OSError, IndexError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            found[process.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def main():
    """Wait until the processes are idle."""
    start, plan = time.monotonic(), json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    before = used()
    while time.monotonic() - start < plan["seconds"]:
        time.sleep(1)
        after = used()
        if sum(seconds - before.get(process, 0) for process, seconds in after.items()) < MAXIMUM:
            break
        before = after
    print(json.dumps(round(time.monotonic() - start)))


main()
