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

    def run() -> None:
        work()
        os._exit(0)

    process = forked.Process(target=run, daemon=True)
    process.start()
    process.join(PATIENCE)
    return process.exitcode
