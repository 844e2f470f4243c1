#!/usr/bin/python
"""Ansible module: find, complete and remove builds of releases, and find the one to return to."""

import hashlib
import json
import os
import re
import shutil
import time
from itertools import count
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: pypi_release
short_description: Find, complete and remove builds of releases
description:
  - A release is a directory that is never changed once it is built. Its manifest has the digest of every file, and
    is written last, so a directory without one was not completed.
  - With state C(found), compares the builds of a release with their manifests. Returns the directory of an intact one,
    or else the name of a directory in which to build it. That is never the one that C(current) links to, so a
    damaged build stays in use until another one replaces it.
  - With state C(complete), writes the manifest of a build.
  - With state C(pruned), removes builds that were interrupted, and old ones. It keeps the named build, the one in use,
    the one that a rollback from the named build would activate, and at most C(kept) others than the named one.
  - With state C(earlier), finds the build to return to, and changes nothing. Without a name, it is the newest intact
    one that was built before the one in use.
options:
  directory: {type: path, required: true, description: The directory that has all releases.}
  name: {type: str, required: true, description: The name of the release, or of the build unless state is C(found).}
  state: {type: str, default: found, choices: [found, complete, pruned, earlier], description: What to do.}
  kept: {type: int, description: With state C(pruned), the number of builds to keep in addition to the named one.}
  settings: {type: path, description: "With state C(earlier), the application's settings file that is in use."}
"""

RETURN = r"""
build: {type: str, returned: always, description: The name of the directory of the build.}
intact: {type: bool, returned: always, description: Whether the build is complete and unchanged.}
in_use: {type: bool, returned: always, description: Whether C(current) links to the build.}
damage: {type: list, returned: always, description: Differences of the build in use from its manifest, at most ten.}
removed: {type: list, returned: with state pruned, description: The names of the builds that were removed.}
previous: {type: str, returned: with state earlier, description: The name of the build in use.}
problem: {type: str, returned: with state earlier, description: Why no build can be activated; empty if one can.}
settings:
  type: str
  returned: with state earlier, if a build can be activated
  description: The settings in use, in the form that the build reads.
"""

MANIFEST = "manifest.json"
# Names of builds: the digest of the release, and a number if an earlier build was damaged.
BUILD = re.compile(r"[0-9a-f]{12}(-[0-9]+)?")
# What a build must have for a rollback: its own command, and settings in the form that it reads.
COMMAND, SETTINGS = "bin/wheelhouse", "settings.json"
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
    """Compare a build with its manifest and its Python. Return a line for each difference; empty if it is intact."""
    try:
        wanted = json.loads((build / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return [f"{MANIFEST} is missing or damaged"]
    found = contents(build)
    added = {path for path in found.keys() - wanted.keys() if COMPILED not in Path(path).parts}
    differences = sorted(
        [f"{path} is missing" for path in wanted.keys() - found.keys()]
        + [f"{path} was added" for path in added]
        + [f"{path} was changed" for path in wanted.keys() & found.keys() if wanted[path] != found[path]]
    )
    return differences or interpreter_problems(build)


def interpreter_problems(build: Path) -> list[str]:
    """Return a line if the Python of a virtualenv was removed or replaced by another minor version.

    bin/python links to /usr/bin/python3, which Debian links to python3.x, and the packages are below lib/python3.x. An
    upgrade of Debian changes the second link, which no manifest has.
    """
    python = (build / "bin/python").resolve()
    if not python.exists():
        return [f"bin/python links to {python}, which does not exist"]
    if not (build / "lib" / python.name / "site-packages").is_dir():
        return [f"bin/python is now {python.name}, and the packages were installed for another version"]
    return []


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


def built(build: Path) -> float:
    """Return the time at which a build was completed, in seconds since the epoch; 0 if it was interrupted."""
    try:
        return (build / MANIFEST).stat().st_mtime
    except OSError:
        return 0


def builds(directory: Path) -> list[Path]:
    """Return all builds, the newest first."""
    found = [path for path in directory.glob("*") if BUILD.fullmatch(path.name) and path.is_dir()]
    return sorted((path for path in found if not path.is_symlink()), key=lambda path: (-built(path), path.name))


def unusable(build: Path) -> str:
    """Return why a rollback cannot activate a build; empty if it can."""
    if not built(build):
        return "was not completed"
    if differences := damage(build):
        return f"is damaged: {', '.join(differences[:3])}"
    if not (build / COMMAND).is_file() or not (build / SETTINGS).is_file():
        return "was built by a version of the kit that had no rollback"
    return ""


def earlier(directory: Path, name: str) -> Path | None:
    """Return the newest build from before another one that a rollback can activate; None if there is none."""
    older = [
        build for build in builds(directory) if not built(directory / name) or built(build) < built(directory / name)
    ]
    return next((build for build in older if build.name != name and not unusable(build)), None)


def superfluous(directory: Path, name: str, kept: int) -> list[Path]:
    """Return the builds to remove: see state C(pruned).

    The build in use is not removed before the named one has replaced it, as its processes may still import modules.
    """
    found, current = builds(directory), in_use(directory)
    candidates = [build for build in found if build.name not in (name, current)]
    removed = [build for build in candidates if not built(build)]
    others = [build for build in candidates if built(build)]
    room = kept - (current not in ("", name))
    if len(others) <= room:
        # The usual case, in which no digest is computed.
        return removed
    target = earlier(directory, name)
    if target in others:
        others.remove(target)
        room -= 1
    others.sort(key=lambda build: bool(damage(build)))
    return removed + others[max(room, 0) :]


def remove(build: Path) -> None:
    """Remove a build. Without its manifest, which is removed first, the next run removes the rest."""
    (build / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(build)


def adapted(form: Any, values: Any) -> Any:
    """Return values with exactly the keys of another JSON value, which has those that are missing."""
    if not isinstance(form, dict) or not isinstance(values, dict):
        return values
    return {key: adapted(default, values[key]) if key in values else default for key, default in form.items()}


def settings_for(build: Path, text: str) -> str:
    """Return the settings in use, in the form that a build reads. Raises OSError, ValueError.

    A setting that the build does not know is left out. One that only the build knows has the value of the run in which
    it was built.
    """
    values = json.loads(text)
    wanted = adapted(json.loads((build / SETTINGS).read_bytes()), values)
    return text if wanted == values else json.dumps(wanted, indent=2) + "\n"


def rollback(directory: Path, name: str, settings: Path) -> dict[str, Any]:
    """Return the result of the module with state C(earlier): see RETURN."""
    current = in_use(directory)
    result = {"build": name, "intact": False, "in_use": False, "damage": [], "previous": current, "problem": ""}
    build = directory / name if name else earlier(directory, current)
    if build is None:
        problem = f"There is no intact release that was built before the active one, {current or 'which is missing'}."
    elif build.name == current:
        problem = f"The release {name} is already active."
    elif build not in builds(directory):
        problem = f"There is no release {name!r}."
    elif reason := unusable(build):
        problem = f"The release {name} {reason}."
    else:
        try:
            text = settings_for(build, settings.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            return result | {"problem": f"{settings} cannot be read ({error}). A run of site.yml repairs it."}
        return result | {"build": build.name, "intact": True, "settings": text}
    return result | {"problem": f"{problem} Releases in {directory}: {listing(directory, current)}."}


def listing(directory: Path, current: str) -> str:
    """Return all builds with their state, the newest first."""
    lines = []
    for build in builds(directory):
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(built(build)))
        state = "is active" if build.name == current else unusable(build) or "can be activated"
        lines.append(f"{build.name} ({when if built(build) else 'interrupted'}) {state}")
    return "; ".join(lines) or "none"


def main() -> None:
    """Find, complete or remove builds."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "default": "found", "choices": ["found", "complete", "pruned", "earlier"]},
            "kept": {"type": "int"},
            "settings": {"type": "path"},
        },
        required_if=[("state", "pruned", ["kept"]), ("state", "earlier", ["settings"])],
        supports_check_mode=True,
    )
    directory, name = Path(module.params["directory"]), module.params["name"]
    match module.params["state"]:
        case "complete":
            changed = module.check_mode or complete(directory / name)
            module.exit_json(changed=changed, build=name, intact=True, in_use=False, damage=[])
        case "pruned":
            old = superfluous(directory, name, module.params["kept"])
            for build in [] if module.check_mode else old:
                remove(build)
            module.exit_json(changed=bool(old), build=name, removed=[build.name for build in old])
        case "earlier":
            module.exit_json(changed=False, **rollback(directory, name, Path(module.params["settings"])))
    module.exit_json(changed=False, **find(directory, name))


if __name__ == "__main__":
    main()
