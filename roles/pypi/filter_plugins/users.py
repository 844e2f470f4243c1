"""Checks of users, groups and rights in the settings."""

import re
from collections import Counter
from datetime import date, datetime
from typing import Any

# Valid in htpasswd, in Apache's group files and as a file name.
USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# bcrypt in the modular crypt format: variant, cost, 22 characters of salt, 31 of hash.
BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
# bcrypt ignores everything after this.
PASSWORD_BYTES = 72

NOT_ALLOWED = "which HTTP Basic authentication does not allow"
USERS_FILE = "inventory/group_vars/pypi_servers/users.yml"


def present_users(users: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the users whose state is present."""
    return [user for user in users if user.get("state", "present") == "present"]


def name_problems(users: list[dict[str, Any]]) -> list[str]:
    problems = []
    for user in users:
        name = user["name"]
        if ":" in name or any(ord(character) < 32 for character in name):
            problems.append(f"the user name {name!r} has a colon or a control character, {NOT_ALLOWED}")
        elif not USER.fullmatch(name):
            problems.append(
                f"the user name {name!r} is not valid. Use at most 64 characters: letters, digits and ._@+-, the first "
                "a letter or digit"
            )
    twice = [name for name, count in Counter(user["name"] for user in users).items() if count > 1]
    return problems + [f"the user {name!r} is listed twice. Remove one of the entries" for name in twice]


def password_problems(users: list[dict[str, Any]]) -> list[str]:
    problems = []
    for user in users:
        who, password, given_hash = user["name"], user.get("password"), user.get("password_hash")
        if password is not None and given_hash is not None:
            problems.append(f"{who!r} has a password and a password_hash. Remove one of them")
        if given_hash is not None and not BCRYPT.fullmatch(given_hash):
            problems.append(
                f"the password_hash of {who!r} is not a valid bcrypt hash. Create one: make password NAME={who}"
            )
        if password is None:
            continue
        if not password:
            problems.append(f"the password of {who!r} is empty. Omit the key to generate a password")
        elif len(password.encode()) > PASSWORD_BYTES:
            problems.append(f"the password of {who!r} has more than {PASSWORD_BYTES} bytes, the limit of bcrypt")
        elif any(ord(character) < 32 for character in password):
            problems.append(f"the password of {who!r} has a control character, {NOT_ALLOWED}")
    return problems


def group_problems(users: list[dict[str, Any]]) -> list[str]:
    named = {group for user in users for group in user.get("groups") or []}
    return [
        f"the group name {group!r} is not valid. Use at most 64 characters: letters, digits and ._-, the first a "
        "letter or digit"
        for group in sorted(named)
        if not GROUP.fullmatch(group)
    ]


def is_date(value: object) -> bool:
    """Return whether a value is a date: as YAML parses 2027-01-01 without quotes, or the same as text."""
    if not isinstance(value, str):
        return isinstance(value, date) and not isinstance(value, datetime)
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def expiry_problems(users: list[dict[str, Any]]) -> list[str]:
    return [
        f"expires of {user['name']!r} must be a date such as 2027-01-31 (got {str(user['expires'])!r})"
        for user in users
        if "expires" in user and not is_date(user["expires"])
    ]


def unknown_users(names: list[str], known: set[str]) -> list[str]:
    listed = ", ".join(sorted(known)) or "no user"
    return [f"the user {name!r} is not in pypi_users, which lists {listed}" for name in names if name not in known]


def unknown_groups(names: list[str], users: list[dict[str, Any]]) -> list[str]:
    known = {group for user in users for group in user.get("groups") or []}
    listed = ", ".join(sorted(known)) or "no groups"
    return [
        f"the group {name!r} has no members. The users in pypi_users have {listed}"
        for name in names
        if name not in known
    ]


def right_problems(rights: list[dict[str, Any]], users: list[dict[str, Any]]) -> list[str]:
    names = {user["name"] for user in users}
    problems = []
    for number, right in enumerate(rights, start=1):
        here = []
        if not right.get("users") and not right.get("groups"):
            here.append("it names neither users nor groups")
        here += [f"{key} is empty" for key in ("may", "projects") if not right[key]]
        here += unknown_users(right.get("users") or [], names)
        here += unknown_groups(right.get("groups") or [], users)
        problems += [f"entry {number}: {problem}" for problem in here]
    return problems


def user_problems(settings: dict[str, Any]) -> list[str]:
    """Return one line for each problem: the setting, what is wrong, the value received, and what is allowed.

    settings: all settings of the kit by name, of the types in meta/argument_specs.yml. No line has a password or hash.
    """
    users, read = present_users(settings["pypi_users"]), settings["pypi_read"]
    about_users = name_problems(settings["pypi_users"]) + password_problems(users) + group_problems(users)
    about_users += expiry_problems(users)
    problems = [f"pypi_users: {problem} ({USERS_FILE})." for problem in about_users]
    problems += [
        f"pypi_rights, {problem} ({USERS_FILE})." for problem in right_problems(settings["pypi_rights"], users)
    ]
    if isinstance(read, list):
        problems += [f"pypi_read: {problem}." for problem in unknown_groups(read, users)]
        if not read:
            problems.append("pypi_read: the list of groups is empty. Name a group, or write login or anyone.")
    elif read not in ("login", "anyone"):
        problems.append(f"pypi_read: {read!r} is not valid. Write login, anyone, or a list of groups.")
    if not users and read != "anyone":
        problems.append(
            f"pypi_users: the list is empty, and reading needs a login. Add a user in {USERS_FILE}, or write "
            "pypi_read: anyone."
        )
    return problems


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"pypi_user_problems": user_problems, "pypi_present_users": present_users}
