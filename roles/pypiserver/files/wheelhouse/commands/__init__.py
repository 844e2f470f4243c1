"""What can be asked for on the command line: a module for each subject.

Each has add_to(commands), which says what can be asked for, and functions that do it: they take the settings and what
was asked, and return the exit status, 0 (all is well) or 1 (something was found).
"""

import argparse
import getpass
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from wheelhouse.archives.members import shown
from wheelhouse.audit import Audit
from wheelhouse.distributions import LONGEST, is_project_name, normalise
from wheelhouse.settings import Settings


def project_name(text: str) -> str:
    """Return a project name from the command line, normalised (PEP 503). Raises ArgumentTypeError."""
    name = normalise(text)
    if not is_project_name(name):
        raise argparse.ArgumentTypeError(
            f"{shown(text)} is not a valid project name: letters, digits and ._- are allowed, at most {LONGEST} of them"
        )
    return name


def version_number(text: str) -> str:
    """Return a version from the command line, in any spelling. Raises ArgumentTypeError."""
    if len(text) > LONGEST:
        raise argparse.ArgumentTypeError(f"the version has {len(text)} characters; at most {LONGEST} are allowed")
    return text


def show(lines: list[str]) -> int:
    """Print lines, and return the exit status that they mean: 0 if there are none."""
    for line in lines:
        print(line)
    return 1 if lines else 0


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Print rows beneath their columns' names. Returns whether there are any."""
    table = [columns, *([printable(text) for text in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table if len(table) > 1 else ():
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return len(table) > 1


def printable(text: str) -> str:
    """A text without what a terminal obeys: clients have chosen some of it."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def caller() -> str:
    """Who has called: the wrapper knows it, and this program runs as another user already."""
    return os.environ.get("WHEELHOUSE_USER") or getpass.getuser()


@contextmanager
def audited(settings: Settings, event: str, **facts: str | None) -> Iterator[None]:
    """Have the audit log tell of what is done within, before it is done; and again, if it failed.

    event, facts: as wheelhouse.audit.Audit.write takes them. Raises what that raises: nothing was done then.
    """
    audit = Audit(settings.audit, settings.audit_head)
    by = {"user": caller(), "address": "local"}
    audit.write(event, **by, **facts)
    try:
        yield
    except BaseException as error:
        audit.write("undone", **by, **facts | {"reason": f"{event}: {error!r}"})
        raise
