"""The command line. What it can do is in wheelhouse.commands."""

import argparse
import os
import signal
import sys
import traceback

from wheelhouse.commands import audit, names, pages
from wheelhouse.held import Absent, Held
from wheelhouse.settings import Settings

SUBJECTS = (pages, names, audit)

# The exit status of programs that end by SIGPIPE, as the shell tells it.
OUTPUT_CLOSED = 128 + signal.SIGPIPE


def main(words: list[str] | None = None) -> int:
    """Do what the command line says. Returns the exit status.

    0: all is well; 1: something was found; 2: a wrong call, or it could not be done.
    """
    parser = argparse.ArgumentParser(prog="wheelhouse", description="Look after a private Python package index.")
    parser.add_argument("--settings", required=True, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for subject in SUBJECTS:
        subject.add_to(commands)
    arguments = parser.parse_args(words)
    # Python itself would end with 1, and whoever asked would take it for done.
    try:
        with Held(Settings.load(arguments.settings)).at_work() as settings:
            return arguments.do(settings, arguments)
    except BrokenPipeError:
        raise
    except Absent as reason:
        print(f"wheelhouse: nothing was done. {reason}", file=sys.stderr)
        return 2
    except Exception as error:  # noqa: BLE001  (it is shown whole, and ends the program)
        traceback.print_exc()
        hint = ". To see whose files are: wheelhouse check" if isinstance(error, PermissionError) else ""
        print(f"wheelhouse: this could not be done: {error}{hint}", file=sys.stderr)
        return 2


def run() -> int:
    """Do what the command line says, and end quietly if nobody reads the output any more, as `| head` does."""
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still to be written would raise it again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    return status


if __name__ == "__main__":
    sys.exit(run())
