"""Refusals as HTTP answers, each with its reason in words."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pypiserver

from wheelhouse.pages.disk import FULL
from wheelhouse.refusals import Full, Refused, Stranger, Unable
from wheelhouse.store.room import DISK_IS_FULL

# pypiserver brings its own copy of Bottle, at a place that has changed before.
bottle = sys.modules[pypiserver.Bottle.__module__]

LONGEST_REASON = 300


def status_line(reason: Refused) -> tuple[str, dict[str, str]]:
    """The status line of a rejection, with its reason, where twine looks for it; and the headers that belong to it."""
    text = str(reason)
    printable = "".join(character if " " <= character <= "~" else "?" for character in text[:LONGEST_REASON])
    headers = {}
    if isinstance(reason, Stranger):
        headers["WWW-Authenticate"] = 'Basic realm="Python package index"'
    elif isinstance(reason, Unable):
        headers["Retry-After"] = str(reason.retry_after)
    return f"{reason.status} {printable}", headers


def answer_to(reason: Refused) -> Exception:
    """A rejection as Bottle's answer. Its body has the reason as well, where uv looks for it."""
    line, headers = status_line(reason)
    answer = bottle.HTTPError(line, line.partition(" ")[2])
    for name, value in headers.items():
        answer.set_header(name, value)
    return answer


@contextmanager
def answering(failure: str) -> Iterator[None]:
    """Answer in words whatever happens here. failure: what did not work then; the log has the details."""
    try:
        yield
    except bottle.HTTPResponse:
        raise
    except Refused as reason:
        raise answer_to(reason) from None
    except Exception as error:  # noqa: BLE001  (whatever it is, it refuses, and the reader is not told the details)
        print(f"wheelhouse: {failure}: {error!r}", file=sys.stderr)
        if isinstance(error, OSError) and error.errno in FULL:
            raise answer_to(Full(DISK_IS_FULL)) from None
        if not isinstance(error, (OSError, ValueError)):
            traceback.print_exc()
        raise answer_to(Unable(f"{failure}. Tell those who run this index, and try again in some minutes")) from None


def plain_text(error: Exception) -> str:
    """An error's answer: its reason alone, since it is programs that show it to people."""
    bottle.response.content_type = "text/plain; charset=utf-8"
    return f"{error.body}\n"
