"""What keeps the user of playbooks/verify.yml from verifying."""

from datetime import UTC, date, datetime
from fnmatch import fnmatchcase

# As wheelhouse/distributions/reserved.py has it; and examples of what the role publishes, or tries to.
RESERVED = "wheelhouse-verify-*"
EXAMPLE = "wheelhouse-verify-abcdefghij"
OTHER_EXAMPLE = f"not-{EXAMPLE}"


def is_permitted(settings: dict, user: dict, action: str, project: str) -> bool:
    """Return whether pypi_rights let a user do an action ("upload" or "remove") to a project."""
    groups = set(user.get("groups") or [])
    return any(
        action in right["may"]
        and (user["name"] in (right.get("users") or []) or groups & set(right.get("groups") or []))
        and any(fnmatchcase(project, pattern) for pattern in right["projects"])
        for right in settings["pypi_rights"]
    )


def reading_problems(settings: dict, user: dict) -> list[str]:
    """Return why the user cannot install what it has published, if it cannot."""
    read = settings["pypi_read"]
    network_is_enough = settings["pypi_access"] == "any" and settings["pypi_allowed_networks"]
    if not isinstance(read, list) or network_is_enough or set(user.get("groups") or []) & set(read):
        return []
    return [
        f"{user['name']} may not read, and could not install what it publishes (pypi_read: [{', '.join(read)}]). "
        "Add the user to one of the groups, or name another one"
    ]


def right_problems(settings: dict, user: dict) -> list[str]:
    """Return which rights the user lacks, or has too many."""
    name = user["name"]
    missing = [action for action in ("upload", "remove") if not is_permitted(settings, user, action, EXAMPLE)]
    if missing:
        return [
            f"{name} may not {' and '.join(missing)} {RESERVED}. Add to pypi_rights: "
            f'{{users: [{name}], may: [upload, remove], projects: ["{RESERVED}"]}}'
        ]
    if is_permitted(settings, user, "upload", OTHER_EXAMPLE):
        return [
            f"{name} may upload other projects than {RESERVED}, and it is to be verified that uploads without a right "
            "are rejected. Name a user who has no other rights"
        ]
    return []


def expiry_problems(user: dict) -> list[str]:
    """Return since when the user is locked out, if it is."""
    if "expires" not in user or date.fromisoformat(str(user["expires"])) > datetime.now(UTC).date():
        return []
    return [f"{user['name']} has expired ({user['expires']}). Change expires in pypi_users, or name another user"]


def permission_problems(settings: dict) -> list[str]:
    """Return one line for each thing that keeps the user pypi_verify_user from verifying, and what to change.

    settings: all of the kit's settings by name, which have passed the checks of role pypi.
    """
    name = settings["pypi_verify_user"]
    users = [user for user in settings["pypi_users"] if user.get("state", "present") == "present"]
    user = next((user for user in users if user["name"] == name), None)
    if user is None:
        found = [
            f"there is no user {name} in pypi_users. Add one who may upload and remove {RESERVED}, as in "
            "inventory/group_vars/pypi_servers/users.yml, or name another"
        ]
    else:
        found = expiry_problems(user) + reading_problems(settings, user) + right_problems(settings, user)
    return [f"pypi_verify_user: {problem}." for problem in found]


class FilterModule:
    def filters(self) -> dict:
        return {"verify_permission_problems": permission_problems}
