"""wheelhouse claims | claim | unclaim | removed | release-name."""

import argparse
from typing import TYPE_CHECKING

from wheelhouse.access.claims import Claims
from wheelhouse.access.rights import RightsFile
from wheelhouse.cli.common import audited, project_name, show_table
from wheelhouse.config import Settings
from wheelhouse.distributions.filenames import parse_filename
from wheelhouse.errors import RequestError
from wheelhouse.storage.tombstones import Tombstones

if TYPE_CHECKING:
    from wheelhouse.cli.common import Subcommands


def add_commands(commands: "Subcommands") -> None:
    """Add the subcommands."""
    command = commands.add_parser("claims", help="list the owners of projects")
    command.set_defaults(run=claims)

    command = commands.add_parser("claim", help="set the owner of a project")
    command.add_argument("project", metavar="PROJECT", type=project_name)
    command.add_argument("user", metavar="USER")
    command.set_defaults(run=claim)

    command = commands.add_parser(
        "unclaim", help="remove the owner of a project; access then depends on pypi_rights only"
    )
    command.add_argument("project", metavar="PROJECT", type=project_name)
    command.set_defaults(run=unclaim)

    command = commands.add_parser(
        "removed", help="list the removed files, whose names cannot be reused for different content"
    )
    command.add_argument("project", nargs="?", metavar="PROJECT", type=project_name, help="only of this project")
    command.set_defaults(run=removed)

    command = commands.add_parser("release-name", help="allow the name of a removed file to be reused")
    command.add_argument("filename", metavar="FILENAME")
    command.set_defaults(run=release_name)


def claims_of(settings: Settings) -> Claims:
    """Return the owners of projects."""
    return Claims(settings.claims, settings.paths.locks / "claims")


def tombstones_of(settings: Settings) -> Tombstones:
    """Return the removed files."""
    return Tombstones(settings.tombstones, settings.paths.locks / "tombstones")


def claims(settings: Settings, _arguments: argparse.Namespace) -> int:
    """List the owners of projects. Returns 0."""
    rows = ([project, claim["user"], claim["since"]] for project, claim in claims_of(settings).all().items())
    if not show_table(("PROJECT", "USER", "SINCE (UTC)"), rows):
        print("No project has an owner.")
    return 0


def claim(settings: Settings, arguments: argparse.Namespace) -> int:
    """Set the owner of a project. Returns 1 if the user has no right to upload it."""
    owners, project, user = claims_of(settings), arguments.project, arguments.user
    rights = RightsFile(settings.rights).current()
    if not rights.allows(user, "upload", project, owner=user, first_uploader=True):
        print(
            f"{user} is not allowed to upload {project}, and so cannot own it. "
            "Check the spelling of the user, or change pypi_rights."
        )
        return 1
    before = owners.owner_of(project)
    if before == user:
        print(f"{project} already belongs to {user}.")
        return 0
    with audited(settings, "claim-changed", project=project, reason=f"from {before or 'nobody'} to {user}"):
        owners.set_owner(project, user)
    return 0


def unclaim(settings: Settings, arguments: argparse.Namespace) -> int:
    """Remove the owner of a project. Returns 1 if it has none."""
    owners, project = claims_of(settings), arguments.project
    before = owners.owner_of(project)
    if before is None:
        print(f"{project} has no owner.")
        return 1
    with audited(settings, "claim-changed", project=project, reason=f"from {before} to nobody"):
        owners.set_owner(project, None)
    return 0


def removed(settings: Settings, arguments: argparse.Namespace) -> int:
    """List the tombstones of a project, or of all. Returns 0."""
    found = [
        tombstone
        for tombstone in tombstones_of(settings).all()
        if arguments.project in (None, parse_filename(tombstone.filename)[0])
    ]
    rows = ([one.filename, one.user, one.removed, one.sha256] for one in found)
    if not show_table(("FILE", "REMOVED BY", "ON (UTC)", "SHA-256"), rows):
        print("No file was removed.")
    return 0


def release_name(settings: Settings, arguments: argparse.Namespace) -> int:
    """Delete a tombstone. Returns 1 if there is none."""
    tombstones = tombstones_of(settings)
    try:
        tombstone = tombstones.get(arguments.filename)
    except RequestError as error:
        print(f"{error}.")
        return 1
    if tombstone is None:
        print(f"No file named {arguments.filename} was removed, so its name is available. See: wheelhouse removed")
        return 1
    project, version = parse_filename(tombstone.filename)
    facts = {
        "project": project,
        "version": str(version),
        "filename": tombstone.filename,
        "sha256": tombstone.sha256,
    }
    with audited(settings, "name-released", **facts):
        tombstones.delete(tombstone.filename)
    return 0
