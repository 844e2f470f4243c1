"""Smoke test of a release before it is activated: start the application and send it one request.

The settings come from standard input. The exit status is 0 if it responds. The response depends on the data directory,
which is not part of the release.
"""

import sys
from http import HTTPStatus
from typing import Any
from wsgiref.util import setup_testing_defaults

from wheelhouse.config import Settings
from wheelhouse.web.app import HEALTH, create_app

EXPECTED = (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)


def main() -> int:
    """Send a health check to the application, with the settings from standard input. Return the exit status."""
    app = create_app(Settings.parse(sys.stdin.read()))
    environ: dict[str, Any] = {"PATH_INFO": HEALTH}
    setup_testing_defaults(environ)
    statuses: list[str] = []

    def start_response(status: str, _headers: object, _error: object = None) -> Any:
        statuses.append(status)

    body = b"".join(app(environ, start_response))
    if int(statuses[-1].split()[0]) in EXPECTED:
        return 0
    print(f"The application responds to {HEALTH} with {statuses[-1]}: {body.decode(errors='replace')}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
