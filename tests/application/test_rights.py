"""Who may publish and remove what."""

import json
import os
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.web import RIGHTS
from wheelhouse.rights import Rights, RightsFile

USERS = ["alice", "bob", "carol", "dave"]
GROUPS = ["one", "two"]
ACTIONS = ["upload", "remove"]
PROJECTS = ["acme", "acme-core", "foo", "f", ""]
PATTERNS = ["*", "acme-*", "acme", "foo", "f?o", "*-core", ""]


@pytest.mark.parametrize(
    ("user", "action", "project", "permitted"),
    [
        ("alice", "upload", "anything", True),
        ("alice", "remove", "anything", True),
        ("bob", "upload", "acme-core", True),
        ("bob", "upload", "foo", True),
        ("bob", "remove", "foo", False),
        ("bob", "upload", "acme", False),
        ("bob", "upload", "not-acme-core", False),
        ("bob", "upload", "foo-bar", False),
        ("bob", "upload", "", False),
        ("carol", "upload", "foo", False),
        ("Alice", "upload", "foo", False),
        ("publishers", "upload", "foo", False),
        ("", "upload", "foo", False),
        ("alice", "yank", "foo", False),
    ],
)
def test_permit(user: str, action: str, project: str, permitted: bool) -> None:
    """The rights of the settings hold for the users, actions and projects that they name, and for no others."""
    assert Rights.parse(json.dumps(RIGHTS)).permit(user, action, project) is permitted


def test_no_rights() -> None:
    """What nobody has allowed is refused."""
    assert not Rights().permit("alice", "upload", "foo")
    assert not Rights.parse('{"groups": {}, "rights": []}').permit("alice", "upload", "foo")


lists = st.lists
entries = st.fixed_dictionaries(
    {
        "users": lists(st.sampled_from(USERS), max_size=2),
        "groups": lists(st.sampled_from(GROUPS), max_size=2),
        "may": lists(st.sampled_from(ACTIONS), max_size=2),
        "projects": lists(st.sampled_from(PATTERNS), max_size=2),
    }
)


@given(
    st.dictionaries(st.sampled_from(GROUPS), lists(st.sampled_from(USERS), max_size=3)),
    lists(entries, max_size=4),
    st.sampled_from(USERS),
    st.sampled_from(ACTIONS),
    st.sampled_from(PROJECTS),
)
def test_nothing_without_an_entry(groups: dict, rights: list, user: str, action: str, project: str) -> None:
    """Permitted is exactly what some single entry allows: two entries never add up to a third right."""
    allowing = [
        right
        for right in rights
        if action in right["may"]
        and (user in right["users"] or [group for group in right["groups"] if user in groups.get(group, [])])
        and [pattern for pattern in right["projects"] if fnmatchcase(project, pattern)]
    ]
    parsed = Rights.parse(json.dumps({"groups": groups, "rights": rights}))
    assert parsed.permit(user, action, project) is bool(allowing)


MALFORMED = {
    "empty": "",
    "no JSON": "rights: []",
    "torn": json.dumps(RIGHTS)[:-10],
    "a list": "[]",
    "a number": "7",
    "null": "null",
    "no groups": '{"rights": []}',
    "no rights": '{"groups": {}}',
    "groups are a list": '{"groups": [], "rights": []}',
    "rights are null": '{"groups": {}, "rights": null}',
    "an entry is a word": '{"groups": {}, "rights": ["alice"]}',
    "an entry lacks a key": '{"groups": {}, "rights": [{"users": ["alice"], "groups": [], "may": ["upload"]}]}',
    "users are null": '{"groups": {}, "rights": [{"users": null, "groups": [], "may": [], "projects": []}]}',
    "members are null": '{"groups": {"one": null}, "rights": []}',
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(text: str) -> None:
    """A file that says something else than it should gives no rights, and says so in a way that callers expect."""
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        Rights.parse(text)


def replace(path: Path, text: str) -> None:
    """Write a file as Ansible does: another one takes its place."""
    other = path.with_suffix(".new")
    other.write_text(text)
    other.rename(path)


@pytest.mark.parametrize("how", [replace, Path.write_text], ids=["replaced", "in place"])
def test_a_change_is_seen_at_once(tmp_path: Path, how) -> None:
    """Whoever takes a right away wants it gone now, not at the next restart."""
    path = tmp_path / "rights.json"
    path.write_text(json.dumps(RIGHTS))
    rights = RightsFile(path)
    assert rights.current().permit("alice", "upload", "foo")
    how(path, json.dumps(RIGHTS | {"rights": []}))
    assert not rights.current().permit("alice", "upload", "foo")


def test_a_change_of_the_same_size_and_second_is_seen(tmp_path: Path) -> None:
    """Backups and copies keep times, so the time of a file alone tells too little."""
    path = tmp_path / "rights.json"
    path.write_text(json.dumps(RIGHTS))
    rights = RightsFile(path)
    assert rights.current().permit("alice", "upload", "foo")
    seen = path.stat()
    replace(path, json.dumps(RIGHTS).replace("alice", "carol"))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert not rights.current().permit("alice", "upload", "foo")


def test_unchanged_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every upload asks, and the file rarely changes."""
    path = tmp_path / "rights.json"
    path.write_text(json.dumps(RIGHTS))
    rights = RightsFile(path)
    first = rights.current()
    monkeypatch.setattr(Path, "read_text", None)
    assert rights.current() is first


def test_broken_later(tmp_path: Path) -> None:
    """Rights of yesterday do not hold on while today's cannot be read, and hold again once they can."""
    path = tmp_path / "rights.json"
    path.write_text(json.dumps(RIGHTS))
    rights = RightsFile(path)
    rights.current()
    for broken in ("{", '{"groups": {}}'):
        path.write_text(broken)
        for _ in range(2):
            with pytest.raises((ValueError, KeyError)):
                rights.current()
    path.unlink()
    with pytest.raises(OSError, match="No such file"):
        rights.current()
    path.write_text(json.dumps(RIGHTS))
    assert rights.current().permit("alice", "upload", "foo")
