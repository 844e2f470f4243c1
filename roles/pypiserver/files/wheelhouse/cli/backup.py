"""wheelhouse backup-copy."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wheelhouse.config import Settings
from wheelhouse.storage.backup_copy import write_copy

if TYPE_CHECKING:
    from wheelhouse.cli.common import Subcommands


def add_commands(commands: "Subcommands") -> None:
    """Add the subcommand."""
    command = commands.add_parser(
        "backup-copy", help="copy the state, the audit log and the list of packages, consistently, for a backup"
    )
    command.add_argument("directory", metavar="DIRECTORY", type=Path, help="its content is replaced")
    command.set_defaults(run=copy)


def copy(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write the copy. Returns 0."""
    write_copy(settings, arguments.directory)
    return 0
