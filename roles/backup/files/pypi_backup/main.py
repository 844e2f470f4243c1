"""The command line of pypi-backup."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from pypi_backup import backup, paths, prepare, restore
from pypi_backup.paths import BackupError, Paths, Settings
from pypi_backup.restic import Restic
from pypi_backup.target import Target


def main(config: str, words: list[str]) -> int:
    """Run a command. config: the directory of the settings. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="pypi-backup", description="Back up the package index with restic.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser("prepare", help="open the repository, or create it, if its settings have changed")
    command.add_argument("--existing", action="store_true", help="fail if it does not exist")
    commands.add_parser("run", help="create a snapshot now; use: systemctl start pypi-backup")
    commands.add_parser("check", help="check the repository now; use: systemctl start pypi-backup-check")
    command = commands.add_parser("restore", help="use playbooks/restore.yml; reads the target from stdin, as JSON")
    command.add_argument("snapshot")
    command = commands.add_parser("restic", help="run restic with the repository: pypi-backup restic snapshots")
    command.add_argument("words", nargs=argparse.REMAINDER)
    arguments = parser.parse_args(words)
    os.umask(0o077)
    # An interrupted backup is recorded as failed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("interrupted"))
    try:
        run(Paths(Path(config)), arguments)
    except (BackupError, OSError) as error:
        print(f"pypi-backup: {error}", file=sys.stderr)
        return 1
    return 0


def run(files: Paths, arguments: argparse.Namespace) -> None:
    """Run a command. Raises BackupError, OSError."""
    paths.load_environment(files)
    settings = Settings.load(files)
    restic = Restic(settings)
    match arguments.command:
        case "prepare":
            prepare.prepare(files, settings, restic, may_create=not arguments.existing)
        case "run":
            backup.back_up(files, settings, restic)
        case "check":
            backup.check(files, settings, restic)
        case "restore":
            target = Target.parse(sys.stdin.read())
            with backup.locked(files):
                print(json.dumps(restore.restore(restic, target, arguments.snapshot)))
        case "restic":
            sys.stdout.flush()
            os.execv(paths.RESTIC, [paths.RESTIC, *settings.options, *arguments.words])  # noqa: S606
