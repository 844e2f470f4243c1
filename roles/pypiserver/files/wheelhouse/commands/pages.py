"""wheelhouse rebuild | check | restore-times | yank | unyank."""

import argparse

from wheelhouse import ownership
from wheelhouse.commands import audited, project_name, show, version_number
from wheelhouse.commands.audit import discontinuities, mismatch
from wheelhouse.leftovers import clear_leftovers
from wheelhouse.pages import yanks
from wheelhouse.pages.folder import Folder
from wheelhouse.pages.site import Pages
from wheelhouse.settings import Settings


def add_to(commands: argparse._SubParsersAction) -> None:
    """Say what can be asked for."""
    command = commands.add_parser("rebuild", help="write the pages anew, from the packages directory")
    command.add_argument("project", nargs="?", metavar="PROJECT", type=project_name, help="of this project alone")
    command.add_argument("--changed", action="store_true", help="of those whose files have changed")
    command.set_defaults(do=rebuild)

    command = commands.add_parser("check", help="read every file again, and name each that is not as it should be")
    command.set_defaults(do=check)

    command = commands.add_parser(
        "restore-times", help="set each file's own time to that of its upload, which a copy has lost"
    )
    command.set_defaults(do=restore_times)

    command = commands.add_parser("yank", help="have installers pass a release over (PEP 592)")
    command.add_argument("project", metavar="PROJECT", type=project_name)
    command.add_argument("version", metavar="VERSION", type=version_number)
    command.add_argument("--reason", default="", help="shown to people who have pinned it")
    command.set_defaults(do=yank)

    command = commands.add_parser("unyank", help="take that back")
    command.add_argument("project", metavar="PROJECT", type=project_name)
    command.add_argument("version", metavar="VERSION", type=version_number)
    command.set_defaults(do=yank, reason=None)


def rebuild(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write pages anew; 1 if a file was left out. What uploads have left behind that were cut off is removed."""
    clear_leftovers(settings)
    folder = Folder(settings.places)
    lines = folder.catch_up() if arguments.changed else folder.rebuild(arguments.project)
    return show(mismatch(settings) + lines)


def check(settings: Settings, _arguments: argparse.Namespace) -> int:
    """Compare every file with what is known of it, and look whose files are; 1 if there is a fault."""
    owners = ownership.examine(settings)
    lost, lost_files = discontinuities(settings)
    lines = owners.lines + lost
    try:
        lines += Folder(settings.places).check(skipped=owners.files | lost_files)
    except PermissionError as error:
        lines.append(f"The files were not compared: {error.strerror}. Run the commands above first.")
    return show(lines)


def restore_times(settings: Settings, _arguments: argparse.Namespace) -> int:
    """Set files' times; 1 if one was left."""
    return show(Folder(settings.places).restore_times())


def yank(settings: Settings, arguments: argparse.Namespace) -> int:
    """Yank a release, or take that back; 1 if there is none."""
    places = settings.places
    project, version = arguments.project, yanks.same_for_all_spellings(arguments.version)
    versions = {entry.version for entry in Pages(places).refresh(project)}
    if version not in map(yanks.same_for_all_spellings, versions):
        print(f"There is no {project} {arguments.version} here. There are: {', '.join(sorted(versions)) or 'none'}.")
        return 1
    event = "unyanked" if arguments.reason is None else "yanked"
    with audited(settings, event, project=project, version=arguments.version, reason=arguments.reason or None):
        yanks.change(places.yanked, places.locks, project, arguments.version, arguments.reason)
        Pages(places).refresh(project)
    if arguments.reason is None and version in yanks.load(places.yanked_settings).get(project, {}):
        print(f"{project} {arguments.version} stays yanked: the settings say so. Take it out of pypi_yanked there.")
        return 1
    return 0
