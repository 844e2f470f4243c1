"""Checks of project names and releases in the settings."""

import re
from collections import Counter
from typing import Any

from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import InvalidVersion, Version

# Normalized names (PEP 503), with wildcards.
PATTERN = re.compile(r"[a-z0-9*?]+(-[a-z0-9*?]+)*")
# A name in any spelling (core metadata, the field Name).
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")

USERS_FILE = "inventory/group_vars/pypi_servers/users.yml"


def pattern_problem(pattern: str) -> str | None:
    if PATTERN.fullmatch(pattern):
        return None
    normalized = re.sub(r"[-_.]+", "-", pattern).lower()
    if PATTERN.fullmatch(normalized):
        return f"{pattern!r} is not normalized, as project names are before they are compared. Write {normalized!r}"
    return f"{pattern!r} is not a valid pattern. Use lowercase letters, digits, hyphens, and the wildcards * and ?"


def right_problems(rights: list[dict[str, Any]]) -> list[str]:
    return [
        f"pypi_rights, entry {number}: {problem} ({USERS_FILE})."
        for number, right in enumerate(rights, start=1)
        for pattern in right["projects"]
        if (problem := pattern_problem(pattern))
    ]


def private_problems(patterns: list[str]) -> list[str]:
    return [f"pypi_private_names: {problem}." for pattern in patterns if (problem := pattern_problem(pattern))]


def is_version(text: str) -> bool:
    """Return whether a string is a valid version (PEP 440)."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def yanked_problems(releases: list[dict[str, Any]]) -> list[str]:
    problems = []
    for number, release in enumerate(releases, start=1):
        project, version = release["project"], release["version"]
        if not NAME.fullmatch(project):
            problems.append(f"entry {number}: {project!r} is not a valid project name (PEP 508)")
        if not is_version(version):
            problems.append(f"entry {number}: {version!r} is not a valid version (PEP 440). Write one such as '1.0.2'")
    meant = [(canonicalize_name(release["project"]), canonicalize_version(release["version"])) for release in releases]
    twice = [release for release, count in Counter(meant).items() if count > 1]
    problems += [f"{project} {version} is listed twice. Remove one of the entries" for project, version in twice]
    return [f"pypi_yanked, {problem}." for problem in problems]


def project_problems(settings: dict[str, Any]) -> list[str]:
    """Return one line for each problem: the setting, what is wrong, the value received, and what is allowed.

    settings: all settings of the kit by name, of the types in meta/argument_specs.yml.
    """
    return [
        *right_problems(settings["pypi_rights"]),
        *private_problems(settings["pypi_private_names"]),
        *yanked_problems(settings["pypi_yanked"]),
    ]


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"pypi_project_problems": project_problems}
