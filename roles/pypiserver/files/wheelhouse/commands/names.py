"""wheelhouse claims | claim | unclaim | removed | release-name."""

import argparse

from wheelhouse.claims import Claims
from wheelhouse.commands import audited, project_name, show_table
from wheelhouse.distributions import Refused, release_of
from wheelhouse.rights import RightsFile
from wheelhouse.settings import Settings
from wheelhouse.tombstones import Tombstones


def add_to(commands: argparse._SubParsersAction) -> None:
    """Say what can be asked for."""
    command = commands.add_parser("claims", help="list whose each project is")
    command.set_defaults(do=claims)

    command = commands.add_parser("claim", help="give a project to a user")
    command.add_argument("project", metavar="PROJECT", type=project_name)
    command.add_argument("user", metavar="USER")
    command.set_defaults(do=claim)

    command = commands.add_parser("unclaim", help="have a project be nobody's: the rights alone decide on it then")
    command.add_argument("project", metavar="PROJECT", type=project_name)
    command.set_defaults(do=unclaim)

    command = commands.add_parser("removed", help="list the files that were removed, whose names are not for others")
    command.add_argument("project", nargs="?", metavar="PROJECT", type=project_name, help="of this project alone")
    command.set_defaults(do=removed)

    command = commands.add_parser("release-name", help="have the name of a removed file be free for other bytes")
    command.add_argument("filename", metavar="FILENAME")
    command.set_defaults(do=release_name)


def claims_of(settings: Settings) -> Claims:
    """Whose the projects of an index are."""
    return Claims(settings.claims, settings.places.locks / "claims")


def tombstones_of(settings: Settings) -> Tombstones:
    """The removed files of an index."""
    return Tombstones(settings.tombstones, settings.places.locks / "tombstones")


def claims(settings: Settings, _arguments: argparse.Namespace) -> int:
    """List all claims."""
    rows = ([project, about["user"], about["since"]] for project, about in claims_of(settings).all().items())
    if not show_table(("PROJECT", "USER", "SINCE (UTC)"), rows):
        print("No project has been claimed.")
    return 0


def claim(settings: Settings, arguments: argparse.Namespace) -> int:
    """Give a project to a user; 1 if the user could do nothing with it."""
    known, project, user = claims_of(settings), arguments.project, arguments.user
    rights = RightsFile(settings.rights).current()
    if not rights.permit(user, "upload", project, owner=user, first_uploader=True):
        print(f"{user} may not upload {project}, and so cannot own it. Is the name right? If it is, see pypi_rights.")
        return 1
    before = known.owner_of(project)
    if before == user:
        print(f"{project} is {user}'s already.")
        return 0
    with audited(settings, "claim-changed", project=project, reason=f"from {before or 'nobody'} to {user}"):
        known.give(project, user)
    return 0


def unclaim(settings: Settings, arguments: argparse.Namespace) -> int:
    """Have a project be nobody's; 1 if it is already."""
    known, project = claims_of(settings), arguments.project
    before = known.owner_of(project)
    if before is None:
        print(f"{project} is nobody's.")
        return 1
    with audited(settings, "claim-changed", project=project, reason=f"from {before} to nobody"):
        known.give(project, None)
    return 0


def removed(settings: Settings, arguments: argparse.Namespace) -> int:
    """List the tombstones of a project, or all."""
    found = [
        stone for stone in tombstones_of(settings).all() if arguments.project in (None, release_of(stone.filename)[0])
    ]
    rows = ([stone.filename, stone.user, stone.removed, stone.sha256] for stone in found)
    if not show_table(("FILE", "REMOVED BY", "ON (UTC)", "SHA-256"), rows):
        print("No file was removed.")
    return 0


def release_name(settings: Settings, arguments: argparse.Namespace) -> int:
    """Lift a tombstone; 1 if there is none."""
    known = tombstones_of(settings)
    try:
        stone = known.of(arguments.filename)
    except Refused as reason:
        print(f"{reason}.")
        return 1
    if stone is None:
        print(f"No file named {arguments.filename} was removed, so its name is not taken. See: wheelhouse removed")
        return 1
    project, version = release_of(stone.filename)
    about = {"project": project, "version": str(version), "filename": stone.filename, "sha256": stone.sha256}
    with audited(settings, "name-released", **about):
        known.lift(stone.filename)
    return 0
