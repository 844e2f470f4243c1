"""Preflight checks of users, groups and rights."""

from datetime import date, datetime

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ansible_templates, load, short

problems = load("roles/pypi/filter_plugins/users.py").user_problems

HASH = "$2y$12$" + "a" * 53
ALICE = {"name": "alice"}
FILE = "inventory/group_vars/pypi_servers/users.yml"


def user(**changed: object) -> dict:
    """Return settings with one user."""
    return {"pypi_users": [{"name": "alice"} | changed]}


def right(**changed: object) -> dict:
    """Return settings with a user, a group and one right."""
    entry = {"users": ["alice"], "may": ["upload"], "projects": ["*"]} | changed
    return {"pypi_users": [{"name": "alice", "groups": ["admins"]}], "pypi_rights": [entry]}


# Settings, and texts in the message: the place, the fault, the correction.
WRONG = [
    (user(name="al:ice"), ["pypi_users", "'al:ice'", "colon", FILE]),
    (user(name="al\nice"), ["pypi_users", "control character", FILE]),
    (user(name="../alice"), ["pypi_users", "'../alice'", "Use at most 64 characters: letters", FILE]),
    (user(name=""), ["pypi_users", "''", "Use at most 64 characters: letters"]),
    (user(name="a" * 65), ["pypi_users", "at most 64"]),
    (user(name="al ice"), ["pypi_users", "'al ice'", "Use at most 64 characters: letters"]),
    (user(name="älice"), ["pypi_users", "'älice'", "Use at most 64 characters: letters"]),
    (user(name="#alice"), ["pypi_users", "'#alice'", "the first a letter or digit"]),
    ({"pypi_users": [ALICE, ALICE]}, ["pypi_users", "'alice'", "twice", "Remove one"]),
    ({"pypi_users": [ALICE, ALICE | {"state": "absent"}]}, ["'alice'", "twice"]),
    (user(password="x", password_hash=HASH), ["'alice'", "a password and a password_hash", "Remove one"]),
    (user(password_hash="$apr1$x$y"), ["password_hash of 'alice'", "bcrypt", "make password NAME=alice"]),
    (user(password_hash=""), ["password_hash of 'alice'", "make password NAME=alice"]),
    (user(password_hash="$2y$03$" + "a" * 53), ["password_hash of 'alice'", "bcrypt"]),
    (user(password_hash="$2y$32$" + "a" * 53), ["password_hash of 'alice'", "bcrypt"]),
    (user(password_hash=HASH + "\n"), ["password_hash of 'alice'", "bcrypt"]),
    (user(password=""), ["password of 'alice'", "empty", "Omit the key"]),
    (user(password="x" * 73), ["password of 'alice'", "72 bytes"]),
    (user(password="ä" * 37), ["password of 'alice'", "72 bytes"]),
    (user(password="tab\there"), ["password of 'alice'", "control character"]),
    (
        user(expires="31.12.2026"),
        ["pypi_users", "expires of 'alice' must be a date", "'31.12.2026'", "such as 2027-01-31", FILE],
    ),
    (user(expires="2026-02-29"), ["expires of 'alice' must be a date", "'2026-02-29'"]),
    (user(expires="20261231"), ["expires of 'alice' must be a date"]),
    (user(expires="2026-W01-1"), ["expires of 'alice' must be a date"]),
    (user(expires="2026-1-1"), ["expires of 'alice' must be a date"]),
    (user(expires="2026-12-31\n"), ["expires of 'alice' must be a date"]),
    (user(expires=""), ["expires of 'alice' must be a date", "''"]),
    (user(expires="never"), ["expires of 'alice' must be a date", "'never'"]),
    (user(expires=2026), ["expires of 'alice' must be a date", "'2026'"]),
    (user(expires=datetime(2026, 12, 31, 12)), ["expires of 'alice' must be a date", "'2026-12-31 12:00:00'"]),
    (user(groups=["some people"]), ["group name 'some people'", "Use at most 64 characters: letters"]),
    (user(groups=["a:b"]), ["group name 'a:b'", "Use at most 64 characters: letters"]),
    (user(groups=[""]), ["group name ''", "Use at most 64 characters: letters"]),
    (right(users=["bob"]), ["pypi_rights, entry 1", "the user 'bob'", "not in pypi_users", "alice", FILE]),
    (right(groups=["admin"]), ["pypi_rights, entry 1", "the group 'admin'", "admins"]),
    (right(users=[]), ["entry 1", "neither users nor groups"]),
    (right(may=[]), ["entry 1", "may is empty"]),
    (right(projects=[]), ["entry 1", "projects is empty"]),
    (user() | {"pypi_read": "everyone"}, ["pypi_read", "'everyone'", "Write login, anyone, or a list"]),
    (user() | {"pypi_read": ["readers"]}, ["pypi_read", "the group 'readers'", "no groups"]),
    (user() | {"pypi_read": []}, ["pypi_read", "empty", "write login or anyone"]),
    ({"pypi_users": []}, ["pypi_users", "the list is empty", "pypi_read: anyone", FILE]),
    ({"pypi_users": [ALICE | {"state": "absent"}]}, ["pypi_users", "the list is empty"]),
]

RIGHT = [
    user(),
    user(name="a"),
    user(name="Alice.B_c@example.com+x-1"),
    user(name="a" * 64),
    user(password="x" * 72),
    user(password="ä" * 36),
    user(password="with : colon, 'quotes' and spaces "),
    user(password_hash=HASH),
    user(password_hash="$2b$04$" + "./" * 26 + "Z"),
    user(expires="2026-12-31"),
    user(expires=date(2026, 12, 31)),
    user(expires="2028-02-29"),
    user(expires="1999-01-01"),
    {"pypi_users": [ALICE, {"name": "bob", "state": "absent", "expires": "once"}]},
    user(groups=["admins", "Team.2_x-y"]),
    user(groups=None),
    {"pypi_users": [ALICE, {"name": "bob", "state": "absent"}]},
    {"pypi_users": [], "pypi_read": "anyone"},
    right(),
    right(users=[], groups=["admins"], projects=["acme-*", "foo", "*-tests", "a?c", "*"]),
    right() | {"pypi_read": ["admins"]},
]


@pytest.mark.parametrize(("given", "expected"), WRONG, ids=short)
def test_rejects_invalid_settings(given: dict, expected: list[str]) -> None:
    """The message contains the place, the fault and a correction."""
    found = problems(ansible_templates.settings(**given))
    assert len(found) == 1, found
    assert [part for part in expected if part not in found[0]] == []


@pytest.mark.parametrize("given", RIGHT, ids=short)
def test_accepts_valid_settings(given: dict) -> None:
    """Valid settings are not reported."""
    assert problems(ansible_templates.settings(**given)) == []


def test_rejects_rights_of_removed_user() -> None:
    """Rights of a removed user would apply to the next user with that name."""
    gone = right() | {"pypi_users": [ALICE | {"state": "absent"}, {"name": "bob"}]}
    (problem,) = problems(ansible_templates.settings(**gone))
    assert "the user 'alice'" in problem


def test_message_contains_entry_number() -> None:
    """The number identifies the entry in a long list."""
    entries = [right()["pypi_rights"][0], right(users=["bob"])["pypi_rights"][0]]
    (problem,) = problems(ansible_templates.settings(**right() | {"pypi_rights": entries}))
    assert "entry 2" in problem


@pytest.mark.parametrize(
    "secret",
    [
        {"password": "canary" + "x" * 80},
        {"password": "canary\t"},
        {"password": "canary", "password_hash": "canary"},
        {"password_hash": "$canary$"},
    ],
)
def test_messages_contain_no_secret(secret: dict) -> None:
    """Messages are logged, so they must not contain passwords or hashes."""
    found = problems(ansible_templates.settings(pypi_users=[{"name": "al:ice"} | secret]))
    assert len(found) > 1
    assert "canary" not in "".join(found)


def test_accepts_hash_of_bcrypt() -> None:
    """A hash made by bcrypt is valid."""
    made = bcrypt.hashpw(b"x", bcrypt.gensalt(4)).decode()
    assert problems(ansible_templates.settings(**user(password_hash=made))) == []


@given(st.text(st.characters(codec="utf-8"), max_size=80))
def test_accepted_names_are_safe(name: str) -> None:
    """A user name is used in htpasswd, in group files and as a file name."""
    if not problems({"pypi_users": [{"name": name}], "pypi_rights": [], "pypi_read": "login"}):
        assert name.isascii()
        assert not set(name) & set(":/\\ \n\r\t\0#*'\"")
        assert not name.startswith(".")
