"""Wait until the processes of the index hardly use the processor.

Runs on a server as root with the standard library only. Usage: idle.py PLAN, a JSON file: seconds, the longest to wait.
Prints JSON: the seconds waited.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from memory import processes_of_the_index

MOST = 0.1  # seconds of processor time in a second


def used():
    """Return the processor time of each process so far, in seconds: {process: seconds}."""
    found = {}
    for process in processes_of_the_index():
        with suppress(OSError, IndexError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            found[process.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def main():
    """Wait."""
    begin, plan = time.monotonic(), json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    before = used()
    while time.monotonic() - begin < plan["seconds"]:
        time.sleep(1)
        after = used()
        if sum(seconds - before.get(process, 0) for process, seconds in after.items()) < MOST:
            break
        before = after
    print(json.dumps(round(time.monotonic() - begin)))


main()
