"""The command line of the application."""

from pathlib import Path

from wheelhouse import __main__ as program


def run(settings: Path, *words: str) -> int:
    """Run the program in this process. Returns its exit status."""
    return program.main(["--settings", str(settings), *words])
