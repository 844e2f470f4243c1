"""Converts exceptions to HTTP responses with an error message."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pypiserver

from wheelhouse.errors import InsufficientStorageError, RequestError, ServiceUnavailableError, UnauthenticatedError
from wheelhouse.files.atomic import DISK_FULL_ERRNOS
from wheelhouse.storage.quota import DISK_FULL_MESSAGE

# pypiserver contains a copy of Bottle, in a module that has been renamed before.
bottle: Any = sys.modules[pypiserver.Bottle.__module__]

MAX_REASON_LENGTH = 300


def status_line(error: RequestError) -> tuple[str, dict[str, str]]:
    """Return the status line of an error response with the message, which twine shows, and its headers."""
    printable = "".join(character if " " <= character <= "~" else "?" for character in str(error)[:MAX_REASON_LENGTH])
    headers = {}
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Basic realm="Python package index"'
    elif isinstance(error, ServiceUnavailableError):
        headers["Retry-After"] = str(error.retry_after)
    return f"{error.status} {printable}", headers


def to_response(error: RequestError) -> Any:
    """Return the Bottle response of an error. Its body also has the message, which uv shows."""
    line, headers = status_line(error)
    response = bottle.HTTPError(line, line.partition(" ")[2])
    for name, value in headers.items():
        response.set_header(name, value)
    return response


@contextmanager
def http_errors(failure: str) -> Iterator[None]:
    """Convert exceptions to HTTP errors. failure: the message for unexpected exceptions, whose details are logged."""
    try:
        yield
    except bottle.HTTPResponse:
        raise
    except RequestError as error:
        raise to_response(error) from None
    except Exception as error:  # noqa: BLE001  (any exception rejects the request, without details for the client)
        print(f"wheelhouse: {failure}: {error!r}", file=sys.stderr)
        if isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS:
            raise to_response(InsufficientStorageError(DISK_FULL_MESSAGE)) from None
        if not isinstance(error, (OSError, ValueError)):
            traceback.print_exc()
        raise to_response(
            ServiceUnavailableError(f"{failure}. Contact the index administrator, or try again in some minutes")
        ) from None


def plain_text(error: Any) -> str:
    """Return the body of an error response, for Bottle: the message without HTML, because clients show it unchanged."""
    bottle.response.content_type = "text/plain; charset=utf-8"
    return f"{error.body}\n"
