"""The command line: wheelhouse rebuild | check | yank | unyank."""

import argparse
import sys
import traceback

from wheelhouse import health
from wheelhouse.distributions import normalise
from wheelhouse.pages import yanks
from wheelhouse.pages.folder import Folder
from wheelhouse.pages.site import Pages, Places
from wheelhouse.settings import Settings


def show(lines: list[str]) -> int:
    """Print lines, and return the exit status that they mean: 0 if there are none."""
    for line in lines:
        print(line)
    return 1 if lines else 0


def rebuild(places: Places, arguments: argparse.Namespace) -> int:
    """Write pages anew; 1 if a file was left out."""
    folder = Folder(places)
    if arguments.changed:
        return show(folder.catch_up())
    return show(folder.rebuild(normalise(arguments.project) if arguments.project else None))


def check(places: Places, _arguments: argparse.Namespace) -> int:
    """Compare every file with what is known of it; 1 if one differs, is missing, torn, or unlisted."""
    return show(Folder(places).check())


def yank(places: Places, arguments: argparse.Namespace) -> int:
    """Yank a release, or take that back; 1 if there is none."""
    project, version = normalise(arguments.project), yanks.same_for_all_spellings(arguments.version)
    versions = {entry.version for entry in Pages(places).refresh(project)}
    if version not in map(yanks.same_for_all_spellings, versions):
        print(f"There is no {project} {arguments.version} here. There are: {', '.join(sorted(versions)) or 'none'}.")
        return 1
    yanks.change(places.yanked, places.locks, project, arguments.version, arguments.reason)
    Pages(places).refresh(project)
    if arguments.reason is None and version in yanks.load(places.yanked_settings).get(project, {}):
        print(f"{project} {arguments.version} stays yanked: the settings say so. Take it out of pypi_yanked there.")
        return 1
    return 0


def main(words: list[str] | None = None) -> int:
    """Do what the command line says. Returns the exit status.

    0: all is well; 1: something was found; 2: a wrong call, or it could not be done.
    """
    parser = argparse.ArgumentParser(prog="wheelhouse", description="Look after a private Python package index.")
    parser.add_argument("--settings", required=True, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("rebuild", help="write the pages anew, from the packages directory")
    command.add_argument("project", nargs="?", metavar="PROJECT", help="of this project alone")
    command.add_argument("--changed", action="store_true", help="of those whose files have changed")
    command.set_defaults(do=rebuild)

    command = commands.add_parser("check", help="read every file again, and name each that is not as it should be")
    command.set_defaults(do=check)

    command = commands.add_parser("yank", help="have installers pass a release over (PEP 592)")
    command.add_argument("project", metavar="PROJECT")
    command.add_argument("version", metavar="VERSION")
    command.add_argument("--reason", default="", help="shown to people who have pinned it")
    command.set_defaults(do=yank)

    command = commands.add_parser("unyank", help="take that back")
    command.add_argument("project", metavar="PROJECT")
    command.add_argument("version", metavar="VERSION")
    command.set_defaults(do=yank, reason=None)

    arguments = parser.parse_args(words)
    # Python itself would end with 1, and whoever asked would take it for done.
    try:
        settings = Settings.load(arguments.settings)
        # What is not mounted would be taken for empty.
        if absent := health.absence(settings):
            print(f"wheelhouse: nothing was done. {absent}", file=sys.stderr)
            return 2
        return arguments.do(settings.places, arguments)
    except Exception as error:  # noqa: BLE001  (it is shown whole, and ends the program)
        traceback.print_exc()
        print(f"wheelhouse: this could not be done: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
