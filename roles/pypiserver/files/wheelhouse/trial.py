"""Start the application once and send it a request, to try a release before it is taken into use.

The settings come from standard input. The exit status is 0 if it responds. What it responds depends on the data
directory, which is not a matter of the release.
"""

import sys
from http import HTTPStatus
from wsgiref.util import setup_testing_defaults

from wheelhouse.application import HEALTH, create
from wheelhouse.settings import Settings

EXPECTED = (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)


def main() -> int:
    """Send a health check to the application, with the settings from standard input. Return the exit status."""
    application = create(Settings.parse(sys.stdin.read()))
    environ = {"PATH_INFO": HEALTH}
    setup_testing_defaults(environ)
    statuses: list[str] = []
    body = b"".join(application(environ, lambda status, *_: statuses.append(status)))
    if int(statuses[-1].split()[0]) in EXPECTED:
        return 0
    print(f"The application responds to {HEALTH} with {statuses[-1]}: {body.decode(errors='replace')}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
