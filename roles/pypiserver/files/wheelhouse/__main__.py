"""The entry point of the command line (python -m wheelhouse). The commands are in wheelhouse.cli."""

import argparse
import os
import signal
import sys
import traceback

from wheelhouse.cli import audit, backup, pages, projects
from wheelhouse.config import Settings
from wheelhouse.storage.data_directory import DataDirectory, DataDirectoryError

SUBJECTS = (pages, projects, audit, backup)

# The exit status that a shell reports for programs that SIGPIPE has ended.
OUTPUT_CLOSED = 128 + signal.SIGPIPE


def main(words: list[str] | None = None) -> int:
    """Run a command. words: its arguments, sys.argv by default. Returns the exit status.

    0: nothing was found; 1: something was found; 2: invalid arguments, or the command failed.
    """
    parser = argparse.ArgumentParser(prog="wheelhouse", description="Manage a private Python package index.")
    parser.add_argument("--settings", required=True, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for subject in SUBJECTS:
        subject.add_commands(commands)
    arguments = parser.parse_args(words)
    # An uncaught exception would end Python with status 1, which means that the command has succeeded.
    try:
        with DataDirectory(Settings.load(arguments.settings)).opened() as settings:
            return int(arguments.run(settings, arguments))
    except BrokenPipeError:
        raise
    except DataDirectoryError as error:
        print(f"wheelhouse: nothing was done. {error}", file=sys.stderr)
        return 2
    except Exception as error:  # noqa: BLE001  (it is printed with its traceback, and ends the program)
        traceback.print_exc()
        hint = ". To check owners and modes: wheelhouse check" if isinstance(error, PermissionError) else ""
        print(f"wheelhouse: the command failed: {error}{hint}", file=sys.stderr)
        return 2


def run() -> int:
    """Run the command of sys.argv. Returns the exit status, also if the reader closes the pipe (head)."""
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout when it ends, which would raise the error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUTPUT_CLOSED
    return status


if __name__ == "__main__":
    sys.exit(run())
