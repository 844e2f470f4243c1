"""Processes that come to an end in the midst of their work, as in a power cut: nothing of Python's is run then."""

import multiprocessing
import os
from collections.abc import Callable

# Seconds after which whoever still works works for ever.
PATIENCE = 20
CRASHED = 86

forked = multiprocessing.get_context("fork")


def exit_code(work: Callable[[], object]) -> int | None:
    """Have a process of its own do something. Returns how it ended: CRASHED, or 0 if it came to its end."""
    return exit_codes([work])[0]


def exit_codes(works: list[Callable[[], object]]) -> list[int | None]:
    """Have processes do something at the same time. Returns how each ended: as it said by a number, or 0."""

    def run(work: Callable[[], object]) -> None:
        code = work()
        os._exit(code if isinstance(code, int) else 0)

    processes = [forked.Process(target=run, args=[work], daemon=True) for work in works]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    return [process.exitcode for process in processes]
