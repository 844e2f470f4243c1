"""Check of a release before it is activated: start the application with it and run the smoke test.

The settings come from standard input. The exit status is 0 if the application works. Rollbacks run this module of an
older release, so its name, its input and its exit status must not change.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from wheelhouse.config import Settings
from wheelhouse.web.smoke_test import SmokeTestError, smoke_test


def main() -> int:
    """Run the smoke test in a temporary directory, with the settings from standard input. Return the exit status."""
    settings = Settings.parse(sys.stdin.read())
    try:
        with TemporaryDirectory(prefix="wheelhouse-") as directory:
            smoke_test(settings, Path(directory))
    except SmokeTestError as error:
        print(f"The application of this release does not work. {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
