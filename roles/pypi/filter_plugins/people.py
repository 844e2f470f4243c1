"""What can be wrong with users, groups and rights in the settings."""

import re
from collections import Counter
from datetime import date, datetime

# What htpasswd, Apache's group files and file names all take.
USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# bcrypt in the modular crypt format: variant, cost, 22 characters of salt, 31 of hash.
BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
# bcrypt looks at no more than this of a password.
PASSWORD_BYTES = 72

USERS_FILE = "inventory/group_vars/pypi_servers/users.yml"


def present(users: list[dict]) -> list[dict]:
    """Those who may sign in."""
    return [user for user in users if user.get("state", "present") == "present"]


def name_problems(users: list[dict]) -> list[str]:
    problems = []
    for user in users:
        name = user["name"]
        if ":" in name or any(ord(character) < 32 for character in name):
            problems.append(f"the user name {name!r} has a colon or a control character, which no login can carry")
        elif not USER.fullmatch(name):
            problems.append(
                f"the user name {name!r} does not fit. Take letters, digits and ._@+-, a letter or digit first, "
                "64 at most"
            )
    twice = [name for name, count in Counter(user["name"] for user in users).items() if count > 1]
    return problems + [f"the user {name!r} is there twice. Keep one of them" for name in twice]


def password_problems(users: list[dict]) -> list[str]:
    problems = []
    for user in users:
        who, password, given_hash = user["name"], user.get("password"), user.get("password_hash")
        if password is not None and given_hash is not None:
            problems.append(f"{who!r} has a password and a password_hash. Keep one of them")
        if given_hash is not None and not BCRYPT.fullmatch(given_hash):
            problems.append(f"the password_hash of {who!r} is not a bcrypt hash. Make one: make password NAME={who}")
        if password is None:
            continue
        if not password:
            problems.append(f"the password of {who!r} is empty. Leave it out to have one made up")
        elif len(password.encode()) > PASSWORD_BYTES:
            problems.append(f"the password of {who!r} has more than the {PASSWORD_BYTES} bytes that bcrypt looks at")
        elif any(ord(character) < 32 for character in password):
            problems.append(f"the password of {who!r} has a control character, which no login can carry")
    return problems


def group_problems(users: list[dict]) -> list[str]:
    named = {group for user in users for group in user.get("groups") or []}
    return [
        f"the group name {group!r} does not fit. Take letters, digits and ._-, a letter or digit first"
        for group in sorted(named)
        if not GROUP.fullmatch(group)
    ]


def is_day(value: object) -> bool:
    """Whether a value is a day: what YAML makes of 2027-01-01 without quotes, or the same as text."""
    if not isinstance(value, str):
        return isinstance(value, date) and not isinstance(value, datetime)
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def expiry_problems(users: list[dict]) -> list[str]:
    return [
        f"{user['name']!r} expires on {str(user['expires'])!r}, which is no day. Write one such as 2027-01-31"
        for user in users
        if "expires" in user and not is_day(user["expires"])
    ]


def unknown_users(names: list[str], known: set[str]) -> list[str]:
    listed = ", ".join(sorted(known)) or "nobody"
    return [f"the user {name!r} is not in pypi_users, which has {listed}" for name in names if name not in known]


def unknown_groups(names: list[str], users: list[dict]) -> list[str]:
    known = {group for user in users for group in user.get("groups") or []}
    listed = ", ".join(sorted(known)) or "no groups at all"
    return [
        f"no user is in the group {name!r}. Those of pypi_users are in {listed}" for name in names if name not in known
    ]


def right_problems(rights: list[dict], users: list[dict]) -> list[str]:
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


def people_problems(settings: dict) -> list[str]:
    """One line for each thing that is wrong: where, why, and what to write. No passwords.

    settings: all of the kit's settings by name, of the types in meta/argument_specs.yml.
    """
    users, read = present(settings["pypi_users"]), settings["pypi_read"]
    about_users = name_problems(settings["pypi_users"]) + password_problems(users) + group_problems(users)
    about_users += expiry_problems(users)
    problems = [f"pypi_users: {problem} ({USERS_FILE})." for problem in about_users]
    problems += [
        f"pypi_rights, {problem} ({USERS_FILE})." for problem in right_problems(settings["pypi_rights"], users)
    ]
    if isinstance(read, list):
        problems += [f"pypi_read: {problem}." for problem in unknown_groups(read, users)]
        if not read:
            problems.append("pypi_read: the list of groups is empty. Name one, or write login or anyone.")
    elif read not in ("login", "anyone"):
        problems.append(f"pypi_read: {read!r} is neither login nor anyone, nor a list of groups.")
    if not users and read != "anyone":
        problems.append(
            f"pypi_users: there is no user, and reading needs a login. Add one in {USERS_FILE}, or write "
            "pypi_read: anyone."
        )
    return problems


class FilterModule:
    def filters(self) -> dict:
        return {"pypi_people_problems": people_problems, "pypi_present": present}
