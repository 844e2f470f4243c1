"""What there is on a server, of files that matter and of those that should not be there.

Runs on a server as root, with Python alone. Usage: look.py DATA PAGES LOGS. Prints JSON: sha256 by name of the files in
the packages directory, and the paths of what somebody has left behind.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

# What is hidden, and belongs there.
OURS = {".wheelhouse", ".state", ".complete"}


def files(top):
    """All files below a directory."""
    for directory, _names, names in os.walk(top):
        yield from (Path(directory, name) for name in names)


def sha256(path):
    """A file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(data, *others):
    """Look."""
    packages = Path(data, "packages")
    there = {path.name: sha256(path) for path in packages.iterdir() if not path.name.startswith(".")}
    litter = [
        str(path)
        for top in (data, *others)
        for path in files(top)
        if path.name.startswith(".") and path.name not in OURS
    ]
    print(json.dumps({"there": there, "litter": litter}))


main(*sys.argv[1:])
