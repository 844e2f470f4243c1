"""Checks of the folder of wheels that servers install from."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

HASH = re.compile(r"--hash=(\S+)")


@dataclass(frozen=True)
class Pin:
    """A pinned requirement. name: normalized (PEP 503); hashes: as in "sha256:...", any of which is accepted."""

    name: str
    version: str
    hashes: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join([f"{self.name}=={self.version}", *(f"--hash={digest}" for digest in self.hashes)])


def pins_for(requirements: str, python: str) -> list[Pin]:
    """Return the pins for a server's Python, whichever Python runs this.

    requirements: the text of a requirements file with hashes; python: a version such as 3.13.5. pip itself evaluates
    environment markers with the Python that it runs on, also for `pip download --python-version`.
    """
    environment = {
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "sys_platform": "linux",
    }
    found = []
    for line in requirements.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        requirement = Requirement(line.partition(" --hash=")[0].strip())
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (specifier,) = requirement.specifier
            version = str(Version(specifier.version))
            found.append(Pin(canonicalize_name(requirement.name), version, tuple(HASH.findall(line))))
    return found


def releases_in(folder: Path) -> set[tuple[str, str]]:
    """Return the project and version of each wheel in a folder."""
    found: set[tuple[str, str]] = set()
    for path in folder.glob("*.whl"):
        try:
            name, version, _build, _tags = parse_wheel_filename(path.name)
        except (InvalidWheelFilename, InvalidVersion):
            continue
        found.add((name, str(version)))
    return found


def wheel_problems(folder: str, requirements: str, python: str) -> list[str]:
    """Return a line with what to do if a server cannot install from a folder.

    folder: pypi_install_folder; requirements, python: as pins_for takes them.
    """
    if not folder.startswith("/"):
        return [f"pypi_install_folder: {folder!r} is not an absolute path. Write {{{{ inventory_dir }}}}/... for it."]
    if not Path(folder).is_dir():
        return [
            f"pypi_install_folder: {folder} is not a directory on the control node. "
            f"Create it with: make wheels FOLDER={folder}"
        ]
    there = releases_in(Path(folder))
    missing = [
        f"{pin.name} {pin.version}" for pin in pins_for(requirements, python) if (pin.name, pin.version) not in there
    ]
    if not missing:
        return []
    return [
        f"pypi_install_folder: {folder} has no wheel of {', '.join(missing)}, which the server's Python "
        f"{'.'.join(python.split('.')[:2])} needs. Fill it with: make wheels FOLDER={folder}"
    ]


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"pypi_wheel_problems": wheel_problems}
