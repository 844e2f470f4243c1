"""Yanked releases (PEP 592): still there for who asks for exactly them, and chosen by nobody else."""

import json
from pathlib import Path

from packaging.utils import canonicalize_name, canonicalize_version

from wheelhouse.pages.disk import only_writer, write_atomically

# Reasons by version by project: its normalised name, and the version in the one form below.
Yanks = dict[str, dict[str, str]]


def same_for_all_spellings(version: str) -> str:
    """The form that all spellings of a version share (PEP 440), 1.0 and v1.0.0 alike; as it is, if it is none."""
    return canonicalize_version(version)


def load(*paths: Path) -> Yanks:
    """Reasons by version by project, from all files that are there; later ones win.

    Raises ValueError for other content.
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
            into.update({same_for_all_spellings(version): reason for version, reason in versions.items()})
    return yanks


def change(path: Path, locks: Path, project: str, version: str, reason: str | None) -> None:
    """Yank a release for a reason, which may be empty, or take that back (None)."""
    with only_writer(locks / "yanks"):
        yanks = load(path)
        versions = yanks.setdefault(canonicalize_name(project), {})
        versions.pop(same_for_all_spellings(version), None)
        if reason is not None:
            versions[same_for_all_spellings(version)] = reason
        kept = {name: versions for name, versions in yanks.items() if versions}
        write_atomically(path, json.dumps(kept, indent=1, sort_keys=True).encode())
