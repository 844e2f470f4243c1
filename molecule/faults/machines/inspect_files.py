"""Inspect the files on a server: digests of the packages, and stale temporary files.

Runs on a server as root with the standard library only. Usage: inspect_files.py DATA PAGES LOGS. Prints JSON: SHA-256
by name of the files in the packages directory, and the paths of stale temporary files.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

# Hidden files that are not temporary.
PERMANENT = {".wheelhouse", ".state", ".complete"}


def files(top):
    """Return all files below a directory."""
    for directory, _names, names in os.walk(top):
        yield from (Path(directory, name) for name in names)


def sha256(path):
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(data, *others):
    """Inspect the directories."""
    packages = Path(data, "packages")
    stored = {path.name: sha256(path) for path in packages.iterdir() if not path.name.startswith(".")}
    stale = [
        str(path)
        for top in (data, *others)
        for path in files(top)
        if path.name.startswith(".") and path.name not in PERMANENT
    ]
    print(json.dumps({"stored": stored, "stale": stale}))


main(*sys.argv[1:])
