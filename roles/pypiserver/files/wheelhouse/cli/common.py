"""Functions that all commands share: arguments, output, audit log entries."""

import argparse
import getpass
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from wheelhouse.audit.log import AuditLog
from wheelhouse.audit.request import AuditContext
from wheelhouse.config import Settings
from wheelhouse.distributions.filenames import MAX_LENGTH, is_valid_project_name
from wheelhouse.errors import short_repr

if TYPE_CHECKING:
    # A type for checkers only: argparse does not export the class, which is generic only there.
    Subcommands = argparse._SubParsersAction[argparse.ArgumentParser]


def project_name(text: str) -> str:
    """Return a project name from the command line, normalized (PEP 503). Raises ArgumentTypeError."""
    name = canonicalize_name(text)
    if not is_valid_project_name(name):
        raise argparse.ArgumentTypeError(
            f"{short_repr(text)} is not a valid project name: letters, digits and ._- are allowed, "
            f"at most {MAX_LENGTH} of them"
        )
    return name


def version_number(text: str) -> str:
    """Return a version from the command line, in any spelling. Raises ArgumentTypeError."""
    if len(text) > MAX_LENGTH:
        raise argparse.ArgumentTypeError(f"the version has {len(text)} characters; at most {MAX_LENGTH} are allowed")
    return text


def show(lines: list[str]) -> int:
    """Print lines. Returns the exit status: 1 if there are any, else 0."""
    for line in lines:
        print(line)
    return 1 if lines else 0


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Print a table with a header. Returns whether it has any rows."""
    table = [columns, *([printable(text) for text in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table if len(table) > 1 else ():
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return len(table) > 1


def printable(text: str) -> str:
    """Escape characters that a terminal may interpret: clients choose some of the texts."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def caller() -> str:
    """Return the invoking user: WHEELHOUSE_USER, which the wrapper sets before it drops privileges."""
    return os.environ.get("WHEELHOUSE_USER") or getpass.getuser()


@contextmanager
def audited(settings: Settings, event: str, reason: str | None = None, **facts: str | None) -> Iterator[None]:
    """Write an audit log entry before the block runs, and an entry "undone" if it fails.

    event, reason: as AuditLog.write takes them; facts: as AuditContext.describe takes them. Raises what AuditLog.write
    raises, and then the block does not run.
    """
    audit = AuditContext(AuditLog(settings.audit, settings.audit_head), caller(), "local")
    audit.describe(**facts)
    audit.write(event, reason)
    try:
        yield
    except BaseException as error:
        audit.write("undone", f"{event}: {error!r}")
        raise
