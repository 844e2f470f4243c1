"""Rights to upload and remove projects."""

import json
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from support.files import keep_time, replace
from support.web import RIGHTS
from wheelhouse.access.claims import Claims
from wheelhouse.access.rights import Rights, RightsFile

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
def test_allows(user: str, action: str, project: str, permitted: bool) -> None:
    """Rights apply to exactly the users, actions and projects that they name."""
    assert Rights.parse(json.dumps(RIGHTS)).allows(user, action, project) is permitted


def test_denies_by_default() -> None:
    """Access is denied by default."""
    assert not Rights().allows("alice", "upload", "foo")
    assert not Rights.parse('{"groups": {}, "rights": []}').allows("alice", "upload", "foo")


# A company with pypi_new_projects: first_uploader. Everybody may publish acme-*; erin and the group core may also
# maintain projects that an entry names without a wildcard.
OWNED = {
    "groups": {"all": ["alice", "bob", "carol", "erin"], "core": ["carol"]},
    "rights": [
        {"users": [], "groups": ["all"], "may": ["upload", "remove"], "projects": ["acme-*", "acm?-core", "*-core"]},
        {"users": ["erin"], "groups": ["core"], "may": ["upload"], "projects": ["acme-core", "else"]},
        {"users": ["frank"], "groups": [], "may": ["upload", "remove"], "projects": ["acme-cor*"]},
    ],
}


@pytest.mark.parametrize(
    ("user", "action", "project", "owner", "permitted"),
    [
        # Without an owner: access depends on the rights only.
        ("bob", "upload", "acme-core", None, True),
        ("bob", "remove", "acme-core", None, True),
        ("dave", "upload", "acme-core", None, False),
        # The owner, if a right allows it.
        ("alice", "upload", "acme-core", "alice", True),
        ("alice", "remove", "acme-core", "alice", True),
        ("alice", "upload", "foo", "alice", False),
        ("dave", "upload", "acme-core", "dave", False),
        ("frank", "remove", "acme-core", "frank", True),
        # Another user's project: a matching pattern is not sufficient.
        ("bob", "upload", "acme-core", "alice", False),
        ("bob", "remove", "acme-core", "alice", False),
        ("frank", "upload", "acme-core", "alice", False),
        ("dave", "upload", "acme-core", "alice", False),
        # The full name is sufficient, for the actions of that entry only.
        ("erin", "upload", "acme-core", "alice", True),
        ("erin", "remove", "acme-core", "alice", False),
        ("carol", "upload", "acme-core", "alice", True),
        ("erin", "upload", "acme-base", "alice", False),
        ("erin", "upload", "acme-core-extra", "alice", False),
        ("erin", "upload", "core", "alice", False),
        # User names are case-sensitive.
        ("Alice", "upload", "acme-core", "alice", False),
        ("alice ", "upload", "acme-core", "alice", False),
        ("alice", "upload", "acme-core", "Alice", False),
        ("\N{CYRILLIC SMALL LETTER A}lice", "upload", "acme-core", "alice", False),
        ("core", "upload", "acme-core", "alice", False),
        ("", "upload", "acme-core", "alice", False),
        ("", "upload", "acme-core", "", False),
        # An owner "" in the table is another user.
        ("bob", "upload", "acme-core", "", False),
    ],
)
def test_first_uploader(user: str, action: str, project: str, owner: str | None, permitted: bool) -> None:
    """A project belongs to its owner, and to users of entries with its full name; a right is always needed."""
    rights = Rights.parse(json.dumps(OWNED))
    assert rights.allows(user, action, project, owner=owner, first_uploader=True) is permitted


@pytest.mark.parametrize(
    "spelling",
    [
        "acme-core",
        "Acme_Core",
        "ACME.CORE",
        "acme-_.core",
        "acme--core",
        "-acme-core",
        "acme-core-",
        "../acme-core",
        "./acme-core",
        "acme-core/",
        "acme-core/../foo",
        "acme-core\0",
        "acme-core\n",
        " acme-core",
        "acme-core\t",
        "acme-c\N{CYRILLIC SMALL LETTER O}re",
        "acme\N{NON-BREAKING HYPHEN}core",
        "acme-\N{FULLWIDTH LATIN SMALL LETTER C}ore",
        "acme-cor\N{ZERO WIDTH SPACE}e",
        "acme-*",
        "acme-[c]ore",
        "acme-cor?",
        "*",
        "",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("user", ["bob", "erin"])
def test_similar_names_are_other_projects(tmp_path: Path, user: str, spelling: str) -> None:
    """All spellings of a name are alice's project and match erin's entry; similar names do neither."""
    claims = Claims(tmp_path / "claims.json", tmp_path / "lock")
    claims.claim("acme-core", "alice")
    project = canonicalize_name(spelling)
    is_same = project == "acme-core"
    owner = claims.owner_of(spelling)
    assert owner == ("alice" if is_same else None)
    rights = Rights.parse(json.dumps(OWNED))
    assert rights.allows(user, "upload", project, owner="alice", first_uploader=True) is (is_same and user == "erin")


def test_owners_count_where_the_settings_say_so() -> None:
    """With by_rights, owners have no effect on access."""
    rights = Rights.parse(json.dumps(OWNED))
    for user, permitted in {"bob": True, "frank": True, "dave": False}.items():
        for owner in (None, "alice", "dave"):
            assert rights.allows(user, "upload", "acme-core", owner=owner) is permitted


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
    """Access is allowed if a single entry allows it: two entries never combine to a third right."""
    allowing = [
        right
        for right in rights
        if action in right["may"]
        and (user in right["users"] or [group for group in right["groups"] if user in groups.get(group, [])])
        and [pattern for pattern in right["projects"] if fnmatchcase(project, pattern)]
    ]
    parsed = Rights.parse(json.dumps({"groups": groups, "rights": rights}))
    assert parsed.allows(user, action, project) is bool(allowing)


@given(
    st.dictionaries(st.sampled_from(GROUPS), lists(st.sampled_from(USERS), max_size=3)),
    lists(entries, max_size=4),
    st.sampled_from(USERS),
    st.sampled_from(ACTIONS),
    st.sampled_from(PROJECTS),
    st.none() | st.sampled_from(USERS),
)
def test_owners_need_a_right(
    groups: dict, rights: list, user: str, action: str, project: str, owner: str | None
) -> None:
    """An owner needs a right as well: ownership restricts others and grants nothing."""
    parsed = Rights.parse(json.dumps({"groups": groups, "rights": rights}))
    by_rights = parsed.allows(user, action, project)
    owned = parsed.allows(user, action, project, owner=owner, first_uploader=True)
    assert by_rights or not owned
    if owner in (user, None):
        assert owned is by_rights


MALFORMED = {
    "empty": "",
    "no JSON": "rights: []",
    "truncated": json.dumps(RIGHTS)[:-10],
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
def test_rejects_malformed_rights(text: str) -> None:
    """A malformed file grants no rights and raises an error that callers handle."""
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        Rights.parse(text)


@pytest.mark.parametrize("how", [replace, Path.write_text], ids=["replaced", "in place"])
def test_reloads_a_changed_file(tmp_path: Path, how) -> None:
    """A revoked right applies to the next request, without a restart."""
    path = tmp_path / "rights.json"
    path.write_text(json.dumps(RIGHTS))
    rights = RightsFile(path)
    assert rights.current().allows("alice", "upload", "foo")
    how(path, json.dumps(RIGHTS | {"rights": []}))
    assert not rights.current().allows("alice", "upload", "foo")


def test_reloads_a_change_of_the_same_size_and_second(tmp_path: Path) -> None:
    """Backups and copies keep times, so the modification time alone does not detect a change."""
    path = tmp_path / "rights.json"
    path.write_text(json.dumps(RIGHTS))
    rights = RightsFile(path)
    assert rights.current().allows("alice", "upload", "foo")
    keep_time(path, json.dumps(RIGHTS).replace("alice", "carol"))
    assert not rights.current().allows("alice", "upload", "foo")


def test_caches_an_unchanged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every upload reads the rights, and the file rarely changes."""
    path = tmp_path / "rights.json"
    path.write_text(json.dumps(RIGHTS))
    rights = RightsFile(path)
    first = rights.current()
    monkeypatch.setattr(Path, "read_text", None)
    assert rights.current() is first


def test_fails_closed_after_corruption(tmp_path: Path) -> None:
    """Cached rights are not used while the file is corrupt (fail closed), and apply again once it is valid."""
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
    assert rights.current().allows("alice", "upload", "foo")
