"""wheelhouse audit verify | who | accept."""

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from wheelhouse.audit import continuity
from wheelhouse.audit.entry import ACCEPTED, AuditEntry
from wheelhouse.audit.log import AuditLog
from wheelhouse.audit.rotation import READ_ERRORS
from wheelhouse.audit.verify import Verification
from wheelhouse.cli.common import caller, show, show_table
from wheelhouse.config import Settings

if TYPE_CHECKING:
    from wheelhouse.cli.common import Subcommands

HOW_TO_ACCEPT = (
    "See: wheelhouse audit verify. If it is intended, as after a restore from a backup: wheelhouse audit accept"
)
COLUMNS = ("TIME (UTC)", "EVENT", "USER", "FROM", "VERSION", "WHAT")


def add_commands(commands: "Subcommands") -> None:
    """Add the subcommands."""
    about = commands.add_parser("audit", help="read the audit log").add_subparsers(required=True, metavar="QUESTION")

    command = about.add_parser("verify", help="report each modified, deleted or inserted entry")
    command.set_defaults(run=verify)

    command = about.add_parser("who", help="list who did what to a project, when, and from where")
    command.add_argument("project", metavar="PROJECT")
    command.add_argument("--json", action="store_true", help="print the entries as they are in the log")
    command.set_defaults(run=who)

    command = about.add_parser("accept", help="accept that data and log do not match, as after a restore")
    command.add_argument("--reason", default="", help="for the audit log")
    command.set_defaults(run=accept)


def log_of(settings: Settings) -> AuditLog:
    """Return the audit log of the index."""
    return AuditLog(settings.audit, settings.audit_head)


def verify(settings: Settings, _arguments: argparse.Namespace) -> int:
    """Verify the whole log. Returns 1 if there is a fault."""
    verification, faults = Verification(), 0
    for fault in verification.faults(log_of(settings)):
        print(fault)
        faults += 1
    first, last = verification.first, verification.last
    if faults:
        print(f"Faults: {faults}, in {verification.count} entries.")
    elif first is None or last is None:
        print("The audit log is empty.")
    else:
        print(
            f"OK: {verification.count} entries verified, number {first.number} of {first.time} "
            f"to number {last.number} of {last.time}."
        )
        if first.number > 1:
            print(f"Entries before number {first.number} were deleted by log rotation and cannot be verified.")
    return 1 if faults else 0


def who(settings: Settings, arguments: argparse.Namespace) -> int:
    """List what was done to a project, the newest last. Returns 1 if there is no entry about it."""
    project = canonicalize_name(arguments.project)
    found = (entry for entry in _entries(log_of(settings)) if entry.facts.get("project") == project)
    if arguments.json:
        has_entries = bool(show([entry.raw.decode("ascii") for entry in found]))
    else:
        has_entries = show_table(COLUMNS, [_row(entry) for entry in found])
    if not has_entries:
        print(f"The audit log has no entry about {project}.", file=sys.stderr)
    return 0 if has_entries else 1


def accept(settings: Settings, arguments: argparse.Namespace) -> int:
    """Accept that data and log do not match, so that check no longer reports it. Returns 1 if they match."""
    audit = log_of(settings)
    if not continuity.find(audit, settings.packages):
        print("There is nothing to accept: the data directory matches the audit log.")
        return 1
    audit.write(ACCEPTED, user=caller(), address="local", reason=arguments.reason or None)
    return 0


def discontinuities(settings: Settings) -> tuple[list[str], set[str]]:
    """Return the messages about a data directory that does not match the log, and the names of missing files."""
    try:
        found = continuity.find(log_of(settings), settings.packages)
    except OSError as error:
        return [f"audit log: it cannot be read: {error.strerror}"], set()
    if found is None:
        return [], set()
    missing = [
        f"{filename}: missing: according to the audit log, {entry.facts['user']} uploaded it at {entry.time}"
        for filename, entry in sorted(found.missing.items())
    ]
    return [f"audit log: {found.reason}. {HOW_TO_ACCEPT}", *missing], set(found.missing)


def mismatch(settings: Settings) -> list[str]:
    """Return the message about a mismatch at this moment, which is a fast check; none if the log cannot be read."""
    try:
        reason = log_of(settings).mismatch()
    except OSError:
        return []
    return [f"audit log: {reason}. {HOW_TO_ACCEPT}"] if reason else []


def _entries(audit: AuditLog) -> Iterator[AuditEntry]:
    """Yield all valid entries. Prints a message if there are invalid ones."""
    invalid = 0
    with audit.reading() as (_head, files):
        for file in files:
            try:
                for raw in file.lines():
                    try:
                        yield AuditEntry.parse(raw.removesuffix(b"\n"))
                    except ValueError:
                        invalid += 1
            except READ_ERRORS:
                invalid += 1
    if invalid:
        print("Some of the audit log cannot be read: see wheelhouse audit verify", file=sys.stderr)


def _row(entry: AuditEntry) -> list[str]:
    facts = entry.facts
    what = ": ".join(filter(None, (facts.get("filename"), facts.get("reason"))))
    time = entry.time.replace("T", " ").partition(".")[0]
    row = (time, entry.event, facts.get("user"), facts.get("address"), facts.get("version"), what)
    return [text or "" for text in row]
