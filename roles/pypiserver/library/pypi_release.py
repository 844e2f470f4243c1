#!/usr/bin/python
"""Ansible module: find an intact build of a release or a directory for a new one, or write its manifest."""

import hashlib
import json
import os
from itertools import count
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: pypi_release
short_description: Find an intact build of a release, or complete one
description:
  - A release is a directory that is never changed once it is built. Its manifest has the digest of every file, and
    is written last, so a directory without one was not completed.
  - With state C(found), compares the builds of a release with their manifests. Returns the directory of an intact one,
    or else the name of a directory in which to build it. That is never the one that C(current) links to, so a
    damaged build stays in use until another one replaces it.
  - With state C(complete), writes the manifest of a build.
options:
  directory: {type: path, required: true, description: The directory that has all releases.}
  name: {type: str, required: true, description: The name of the release, or with state C(complete) of the build.}
  state: {type: str, default: found, choices: [found, complete], description: What to do.}
"""

RETURN = r"""
build: {type: str, returned: always, description: The name of the directory of the build.}
intact: {type: bool, returned: always, description: Whether the build is complete and unchanged.}
in_use: {type: bool, returned: always, description: Whether C(current) links to the build.}
damage: {type: list, returned: always, description: Differences of the build in use from its manifest, at most ten.}
"""

MANIFEST = "manifest.json"
# Python adds these when root runs a module that has not been compiled.
COMPILED = "__pycache__"
EXAMPLES_SHOWN = 10


def contents(build: Path) -> dict[str, str]:
    """Return the digest of each file below a directory, or the target of each link: {relative path: text}."""
    found = {}
    for directory, directories, files in os.walk(build):
        for name in files + directories:
            path = Path(directory, name)
            if path.is_symlink():
                found[str(path.relative_to(build))] = f"link to {path.readlink()}"
            elif path.is_file():
                found[str(path.relative_to(build))] = hashlib.sha256(path.read_bytes()).hexdigest()
    found.pop(MANIFEST, None)
    return found


def damage(build: Path) -> list[str]:
    """Compare a build with its manifest. Return a line for each file that differs; empty if it is intact."""
    try:
        wanted = json.loads((build / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return [f"{MANIFEST} is missing or damaged"]
    found = contents(build)
    added = {path for path in found.keys() - wanted.keys() if COMPILED not in Path(path).parts}
    return sorted(
        [f"{path} is missing" for path in wanted.keys() - found.keys()]
        + [f"{path} was added" for path in added]
        + [f"{path} was changed" for path in wanted.keys() & found.keys() if wanted[path] != found[path]]
    )


def in_use(directory: Path) -> str:
    """Return the name of the build that current links to; empty if there is none."""
    try:
        return (directory / "current").readlink().name
    except OSError:
        return ""


def find(directory: Path, name: str) -> dict[str, Any]:
    """Return the result of the module for a release: see RETURN."""
    current = in_use(directory)
    builds = [name, *sorted(path.name for path in directory.glob(f"{name}-*"))]
    # The build in use first, so that nothing changes if two builds are intact.
    builds.sort(key=lambda build: build != current)
    differences = {build: damage(directory / build) for build in builds if (directory / build).is_dir()}
    found = next((build for build, different in differences.items() if not different), None)
    return {
        "build": found or unused(directory, name, current),
        "intact": found is not None,
        "in_use": found is not None and found == current,
        "damage": differences.get(current, [])[:EXAMPLES_SHOWN],
    }


def unused(directory: Path, name: str, current: str) -> str:
    """Return a name for a new build. A directory without a manifest is reused: its build was interrupted."""
    for build in (name if number == 1 else f"{name}-{number}" for number in count(1)):
        if build != current and not (directory / build / MANIFEST).exists():
            return build
    raise AssertionError("count() does not end")


def complete(build: Path) -> bool:
    """Write the manifest of a build. Return whether it was changed."""
    text = json.dumps(contents(build), indent=0, sort_keys=True)
    path = build / MANIFEST
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    temporary = path.with_suffix(".new")
    temporary.write_text(text, encoding="utf-8")
    # Sync all files before the manifest: after a power failure, it must not list files that are not on the disk.
    os.sync()
    temporary.replace(path)
    return True


def main() -> None:
    """Find or complete a build."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "default": "found", "choices": ["found", "complete"]},
        },
        supports_check_mode=True,
    )
    directory, name = Path(module.params["directory"]), module.params["name"]
    if module.params["state"] == "complete":
        changed = module.check_mode or complete(directory / name)
        module.exit_json(changed=changed, build=name, intact=True, in_use=False, damage=[])
    module.exit_json(changed=False, **find(directory, name))


if __name__ == "__main__":
    main()
