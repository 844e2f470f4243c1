"""wheelhouse rebuild | check | restore-times | yank | unyank."""

import argparse
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_version

from wheelhouse.cli.audit import discontinuities, mismatch
from wheelhouse.cli.common import audited, project_name, show, version_number
from wheelhouse.config import Settings
from wheelhouse.distributions.filenames import parse_filename
from wheelhouse.pages import yanks
from wheelhouse.pages.sync import Reconciler, fingerprints_in
from wheelhouse.pages.writer import PageWriter
from wheelhouse.storage import ownership
from wheelhouse.storage.cleanup import remove_stale_files
from wheelhouse.storage.tombstones import Tombstones

# Names in a message.
MAX_NAMES = 5

if TYPE_CHECKING:
    from wheelhouse.cli.common import Subcommands


def add_commands(commands: "Subcommands") -> None:
    """Add the subcommands."""
    command = commands.add_parser("rebuild", help="rewrite the pages from the packages directory")
    command.add_argument("project", nargs="?", metavar="PROJECT", type=project_name, help="only of this project")
    command.add_argument("--changed", action="store_true", help="only of projects whose files have changed")
    command.set_defaults(run=rebuild)

    command = commands.add_parser("check", help="read every file, and report each that differs, is missing or unlisted")
    command.set_defaults(run=check)

    command = commands.add_parser(
        "restore-times", help="set the modification time of each file to its upload time, which a copy has lost"
    )
    command.set_defaults(run=restore_times)

    command = commands.add_parser("yank", help="yank a release (PEP 592)")
    command.add_argument("project", metavar="PROJECT", type=project_name)
    command.add_argument("version", metavar="VERSION", type=version_number)
    command.add_argument("--reason", default="", help="shown to people who have pinned the version")
    command.set_defaults(run=yank)

    command = commands.add_parser("unyank", help="unyank a release")
    command.add_argument("project", metavar="PROJECT", type=project_name)
    command.add_argument("version", metavar="VERSION", type=version_number)
    command.set_defaults(run=yank, reason=None)


def reconciler_of(settings: Settings) -> Reconciler:
    """Return the reconciler of the index."""
    return Reconciler(settings.paths, settings.url)


def rebuild(settings: Settings, arguments: argparse.Namespace) -> int:
    """Rewrite pages, and delete stale temporary files. Returns 1 if a file was left out."""
    remove_stale_files(settings)
    reconciler = reconciler_of(settings)
    lines = reconciler.sync_changed() if arguments.changed else reconciler.rebuild(arguments.project)
    return show(mismatch(settings) + lines)


def check(settings: Settings, _arguments: argparse.Namespace) -> int:
    """Check every file, owners and modes, the audit log's continuity, and whether the index was emptied.

    Returns 1 if there is a fault.
    """
    owners = ownership.examine(settings)
    lost, lost_files = discontinuities(settings)
    lines = owners.lines + lost
    try:
        lines += emptied(settings)
        lines += reconciler_of(settings).check(skipped=owners.files | lost_files)
    except PermissionError as error:
        lines.append(f"The files were not compared: {error.strerror}. Run the commands above first.")
    return show(lines)


def emptied(settings: Settings) -> list[str]:
    """Return a line if the index is empty, and had files that were not removed by a request. Raises OSError.

    Files that disappear from the directory disappear from pages and records, so nothing else reports them.
    """
    tombstones = Tombstones(settings.tombstones, settings.paths.locks / "tombstones").all()
    projects = PageWriter(settings.paths).used_names() - {parse_filename(one.filename)[0] for one in tombstones}
    if not projects or fingerprints_in(settings.packages):
        return []
    names = sorted(projects)
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return [
        f"{settings.packages}: the index is empty, and files of these projects were not removed by a request: "
        f"{', '.join(names[:MAX_NAMES])}{more}. Mount the file system of the data, or restore the backup"
    ]


def restore_times(settings: Settings, _arguments: argparse.Namespace) -> int:
    """Set modification times to upload times. Returns 1 if a file was skipped."""
    return show(reconciler_of(settings).restore_times())


def yank(settings: Settings, arguments: argparse.Namespace) -> int:
    """Yank or unyank a release. Returns 1 if it does not exist, or stays yanked."""
    paths = settings.paths
    project, version = arguments.project, canonicalize_version(arguments.version)
    versions = {record.version for record in PageWriter(paths).refresh(project)}
    if version not in map(canonicalize_version, versions):
        print(f"There is no {project} {arguments.version} here. There are: {', '.join(sorted(versions)) or 'none'}.")
        return 1
    event = "unyanked" if arguments.reason is None else "yanked"
    with audited(settings, event, project=project, version=arguments.version, reason=arguments.reason or None):
        yanks.change(paths.yanked, paths.locks, project, arguments.version, arguments.reason)
        PageWriter(paths).refresh(project)
    if arguments.reason is None and version in yanks.load(paths.configured_yanks).get(project, {}):
        print(f"{project} {arguments.version} stays yanked by the settings. Remove it from pypi_yanked.")
        return 1
    return 0
