"""Yanked releases (PEP 592): installers ignore them unless a version is pinned exactly."""

import json
from pathlib import Path

from packaging.utils import canonicalize_name, canonicalize_version

from wheelhouse.files.atomic import write_atomically
from wheelhouse.files.locks import exclusive_lock

# Project (canonicalize_name) -> version (canonicalize_version) -> reason, which may be empty.
Yanks = dict[str, dict[str, str]]


def load(*paths: Path) -> Yanks:
    """Return the yanked releases of all files that exist. If two files have a release, the later one wins.

    Raises OSError, and ValueError for invalid content.
    """
    yanks: Yanks = {}
    for path in paths:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        if not isinstance(found, dict) or not all(isinstance(versions, dict) for versions in found.values()):
            raise ValueError(f"{path.parent.name}/{path.name} does not say which releases are yanked")
        for project, versions in found.items():
            into = yanks.setdefault(canonicalize_name(project), {})
            into.update({canonicalize_version(version): reason for version, reason in versions.items()})
    return yanks


def change(path: Path, locks: Path, project: str, version: str, reason: str | None) -> None:
    """Yank a release for a reason, which may be empty; None unyanks it. Raises OSError, ValueError."""
    with exclusive_lock(locks / "yanks"):
        yanks = load(path)
        versions = yanks.setdefault(canonicalize_name(project), {})
        versions.pop(canonicalize_version(version), None)
        if reason is not None:
            versions[canonicalize_version(version)] = reason
        kept = {name: versions for name, versions in yanks.items() if versions}
        write_atomically(path, json.dumps(kept, indent=1, sort_keys=True).encode())
