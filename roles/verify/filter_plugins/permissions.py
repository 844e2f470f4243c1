"""Checks of the user that playbooks/verify.yml logs in as."""

from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from typing import Any

# The reserved names of wheelhouse/distributions/reserved.py, and examples of names that the role uploads.
RESERVED = "wheelhouse-verify-*"
EXAMPLE = "wheelhouse-verify-abcdefghij"
OTHER_EXAMPLE = f"not-{EXAMPLE}"


def is_permitted(settings: dict[str, Any], user: dict[str, Any], action: str, project: str) -> bool:
    """Return whether pypi_rights allow a user an action ("upload" or "remove") on a project."""
    groups = set(user.get("groups") or [])
    return any(
        action in right["may"]
        and (user["name"] in (right.get("users") or []) or groups & set(right.get("groups") or []))
        and any(fnmatchcase(project, pattern) for pattern in right["projects"])
        for right in settings["pypi_rights"]
    )


def reading_problems(settings: dict[str, Any], user: dict[str, Any]) -> list[str]:
    """Return a problem if the user cannot install the test project."""
    read = settings["pypi_read"]
    network_is_enough = settings["pypi_access"] == "any" and settings["pypi_allowed_networks"]
    if not isinstance(read, list) or network_is_enough or set(user.get("groups") or []) & set(read):
        return []
    return [
        f"{user['name']} is not allowed to read (pypi_read: [{', '.join(read)}]), so it cannot install the test "
        "project. Add the user to one of the groups, or set another user"
    ]


def right_problems(settings: dict[str, Any], user: dict[str, Any]) -> list[str]:
    """Return missing and superfluous rights of the user."""
    name = user["name"]
    missing = [action for action in ("upload", "remove") if not is_permitted(settings, user, action, EXAMPLE)]
    if missing:
        return [
            f"{name} is not allowed to {' and '.join(missing)} {RESERVED}. Add to pypi_rights: "
            f'{{users: [{name}], may: [upload, remove], projects: ["{RESERVED}"]}}'
        ]
    if is_permitted(settings, user, "upload", OTHER_EXAMPLE):
        return [
            f"{name} is allowed to upload other projects than {RESERVED}, so the rejection of uploads without a right "
            "cannot be verified. Set a user without other rights"
        ]
    return []


def expiry_problems(user: dict[str, Any]) -> list[str]:
    """Return a problem if the user has expired."""
    if "expires" not in user or date.fromisoformat(str(user["expires"])) > datetime.now(UTC).date():
        return []
    return [f"{user['name']} has expired ({user['expires']}). Change expires in pypi_users, or set another user"]


def permission_problems(settings: dict[str, Any]) -> list[str]:
    """Return one line for each problem of the user pypi_verify_user, with what to change.

    settings: all settings of the kit by name, already checked by role pypi.
    """
    name = settings["pypi_verify_user"]
    users = [user for user in settings["pypi_users"] if user.get("state", "present") == "present"]
    user = next((user for user in users if user["name"] == name), None)
    if user is None:
        found = [
            f"the user {name} is not in pypi_users. Add it with the right to upload and remove {RESERVED}, as in "
            "inventory/group_vars/pypi_servers/users.yml, or set another user"
        ]
    else:
        found = expiry_problems(user) + reading_problems(settings, user) + right_problems(settings, user)
    return [f"pypi_verify_user: {problem}." for problem in found]


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"verify_permission_problems": permission_problems}
