"""Processes that end abruptly, as in a power failure: Python runs no cleanup."""

import multiprocessing
import os
from collections.abc import Callable

# Timeout in seconds.
PATIENCE = 20
CRASHED = 86

forked = multiprocessing.get_context("fork")


def exit_code(work: Callable[[], object]) -> int | None:
    """Run a function in a process of its own. Returns the exit code: CRASHED, or 0 if it completed."""
    return exit_codes([work])[0]


def exit_codes(works: list[Callable[[], object]]) -> list[int | None]:
    """Run functions in concurrent processes. Returns the exit codes: the function's result if it is a number, or 0."""

    def run(work: Callable[[], object]) -> None:
        code = work()
        os._exit(code if isinstance(code, int) else 0)

    processes = [forked.Process(target=run, args=[work], daemon=True) for work in works]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    return [process.exitcode for process in processes]
