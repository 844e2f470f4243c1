"""Checks of the canary's user, whose password is stored on the server."""

from datetime import UTC, date, datetime
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

USERS_FILE = "inventory/group_vars/pypi_servers/users.yml"


def right_problems(user: dict[str, Any], rights: list[dict[str, Any]]) -> list[str]:
    """Return a problem for each right that the user has, by name or by group."""
    groups = set(user.get("groups") or [])
    return [
        f"{user['name']!r} may {' and '.join(right['may'])} (pypi_rights, entry {number}), and its password is stored "
        "on the server. Use a user without rights"
        for number, right in enumerate(rights, start=1)
        if user["name"] in (right.get("users") or []) or groups & set(right.get("groups") or [])
    ]


def user_problems(user: dict[str, Any], rights: list[dict[str, Any]]) -> list[str]:
    """Return the problems of the user."""
    problems = right_problems(user, rights)
    if "password_hash" in user:
        problems.append(
            f"{user['name']!r} has a password_hash, and the canary needs the password. Write password, or remove the "
            "key to generate one"
        )
    # An invalid date is a problem of pypi_users.
    try:
        has_expired = "expires" in user and date.fromisoformat(str(user["expires"])) <= datetime.now(UTC).date()
    except ValueError:
        has_expired = False
    if has_expired:
        problems.append(f"{user['name']!r} has expired ({user['expires']}). Change or remove expires")
    return problems


def monitoring_problems(settings: dict[str, Any]) -> list[str]:
    """Return one line for each problem: the setting, what is wrong, and what to change.

    settings: all settings of the kit by name, of the types in meta/argument_specs.yml.
    """
    # On the command line (-e), booleans are given as text.
    if not boolean(settings["pypi_monitoring"]):
        return []
    name = settings["pypi_canary_user"]
    users = [user for user in settings["pypi_users"] if user.get("state", "present") == "present"]
    user = next((user for user in users if user["name"] == name), None)
    if user is None:
        problems = [f"the user {name!r} is not in pypi_users. Add it, without groups and rights: - name: {name}"]
    else:
        problems = user_problems(user, settings["pypi_rights"])
    return [f"pypi_canary_user: {problem} ({USERS_FILE})." for problem in problems]


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"pypi_monitoring_problems": monitoring_problems}
