"""wheelhouse audit verify | who | accept."""

import argparse
import sys
from collections.abc import Iterator

from wheelhouse.audit import Audit, continuity
from wheelhouse.audit.files import UNREADABLE
from wheelhouse.audit.line import ACCEPTED, Line
from wheelhouse.audit.verify import Verification
from wheelhouse.commands import caller, show, show_table
from wheelhouse.distributions import normalise
from wheelhouse.settings import Settings

HOW_TO_ACCEPT = (
    "See: wheelhouse audit verify. If it is meant, as after a restore from a backup: wheelhouse audit accept"
)
COLUMNS = ("TIME (UTC)", "EVENT", "USER", "FROM", "VERSION", "WHAT")


def add_to(commands: argparse._SubParsersAction) -> None:
    """Say what can be asked for."""
    about = commands.add_parser("audit", help="read the audit log").add_subparsers(required=True, metavar="QUESTION")

    command = about.add_parser("verify", help="find each line that was changed, dropped or added")
    command.set_defaults(do=verify)

    command = about.add_parser("who", help="list who did what to a project, when, and from where")
    command.add_argument("project", metavar="PROJECT")
    command.add_argument("--json", action="store_true", help="as the lines of the log")
    command.set_defaults(do=who)

    command = about.add_parser(
        "accept", help="say that it is meant that the data do not fit the log, as after a restore"
    )
    command.add_argument("--reason", default="", help="for those who read the log")
    command.set_defaults(do=accept)


def verify(settings: Settings, _arguments: argparse.Namespace) -> int:
    """Look at the whole log; 1 if there is a fault."""
    verification, faults = Verification(), 0
    for fault in verification.faults(Audit(settings.audit, settings.audit_head)):
        print(fault)
        faults += 1
    first, last = verification.first, verification.last
    if faults:
        print(f"Faults: {faults}, in {verification.count} lines.")
    elif first is None or last is None:
        print("Nothing was written yet.")
    else:
        print(
            f"All is whole: {verification.count} lines, number {first.number} of {first.time} "
            f"to number {last.number} of {last.time}."
        )
        if first.number > 1:
            print(f"What came before number {first.number} was rotated away, so nothing is known of it.")
    return 1 if faults else 0


def who(settings: Settings, arguments: argparse.Namespace) -> int:
    """List what was done to a project, the newest last; 1 if nothing is known of it."""
    project = normalise(arguments.project)
    audit = Audit(settings.audit, settings.audit_head)
    found = (line for line in _lines(audit) if line.facts.get("project") == project)
    if arguments.json:
        known = bool(show([line.raw.decode("ascii") for line in found]))
    else:
        known = show_table(COLUMNS, [_row(line) for line in found])
    if not known:
        print(f"The audit log knows nothing of {project}.", file=sys.stderr)
    return 0 if known else 1


def accept(settings: Settings, arguments: argparse.Namespace) -> int:
    """Have check be silent about data that do not fit the log; 1 if they do."""
    audit = Audit(settings.audit, settings.audit_head)
    if not continuity.find(audit, settings.packages):
        print("There is nothing to accept: the data directory fits the audit log.")
        return 1
    audit.write(ACCEPTED, user=caller(), address="local", reason=arguments.reason or None)
    return 0


def discontinuities(settings: Settings) -> tuple[list[str], set[str]]:
    """Return what is said of a data directory that does not fit the log: why, and each upload that it lacks.

    And the names of these files.
    """
    try:
        found = continuity.find(Audit(settings.audit, settings.audit_head), settings.packages)
    except OSError as error:
        return [f"audit log: it cannot be read: {error.strerror}"], set()
    if found is None:
        return [], set()
    missing = [
        f"{filename}: missing: by the audit log, {line.facts['user']} uploaded it at {line.time}"
        for filename, line in sorted(found.missing.items())
    ]
    return [f"audit log: {found.reason}. {HOW_TO_ACCEPT}", *missing], set(found.missing)


def mismatch(settings: Settings) -> list[str]:
    """Return the same of what does not fit just now, which takes no time; nothing where the log cannot be read."""
    try:
        reason = Audit(settings.audit, settings.audit_head).mismatch()
    except OSError:
        return []
    return [f"audit log: {reason}. {HOW_TO_ACCEPT}"] if reason else []


def _lines(audit: Audit) -> Iterator[Line]:
    """All lines that can be read. That there are others is said, once."""
    illegible = 0
    with audit.reading() as (_head, parts):
        for part in parts:
            try:
                for raw in part.lines():
                    try:
                        yield Line.parse(raw.removesuffix(b"\n"))
                    except ValueError:
                        illegible += 1
            except UNREADABLE:
                illegible += 1
    if illegible:
        print("Some of the audit log cannot be read: see wheelhouse audit verify", file=sys.stderr)


def _row(line: Line) -> list[str]:
    facts = line.facts
    what = ": ".join(filter(None, (facts.get("filename"), facts.get("reason"))))
    time = line.time.replace("T", " ").partition(".")[0]
    row = (time, line.event, facts.get("user"), facts.get("address"), facts.get("version"), what)
    return [text or "" for text in row]
