"""Removals through the whole application."""

import pytest
from support.web import Index, Part

RELEASE = {"My_Proj-1.0-py3-none-any.whl", "my-proj-1.0.tar.gz"}
OTHERS = {"my_proj-1.1.tar.gz", "my_proj_extra-1.0.tar.gz", "my-1.0.tar.gz", "other-1.0.tar.gz"}


@pytest.fixture
def full(index: Index) -> Index:
    """Upload a release of two files, and similar releases."""
    for filename in RELEASE | OTHERS:
        assert index.upload(filename).code == 200
    return index


@pytest.mark.parametrize(
    ("name", "version"),
    [("my-proj", "1.0"), ("My_Proj", "1.0"), ("MY.proj", "1.0.0"), ("my--proj", "v1"), ("my_proj", "1")],
)
def test_removes_a_release(full: Index, name: str, version: str) -> None:
    """All spellings of a release remove its wheel and its sdist, and no other file."""
    assert full.remove(name, version).code == 200
    assert full.stored().keys() == OTHERS


@pytest.mark.parametrize(
    ("name", "version", "code"),
    [
        ("my-proj", "2.0", 404),
        ("my-proj", "1.0.post1", 404),
        ("my-proj", "*", 404),
        ("my-*", "1.0", 404),
        ("nobody-s", "1.0", 404),
        ("my-proj", "", 400),
        ("", "1.0", 400),
        ("../my-proj", "1.0", 404),
        ("my-proj\r\nx", "1.0", 404),
        ("x" * 241, "1.0", 404),
        ("x" * 255, "1.0", 404),
        ("x" * 4096, "1.0", 404),
        ("é" * 130, "1.0", 404),
        ("my-proj\0", "1.0", 404),
        ("my-proj", "1" * 255, 404),
        ("my-proj", "1" * 4096, 404),
        ("x" * 240, "1" * 240, 404),
    ],
)
def test_rejects_missing_releases(full: Index, name: str, version: str, code: int) -> None:
    """A removal that matches no release is rejected and removes nothing."""
    answer = full.remove(name, version)
    assert answer.code == code, answer
    assert "nothing was removed" in answer.reason.lower()
    assert answer.status.isprintable()
    assert full.stored().keys() == RELEASE | OTHERS


@pytest.mark.parametrize(
    ("user", "status"),
    [
        ("bob", "403 bob is not allowed to remove acme-core"),
        ("carol", "403 carol is not allowed to upload or remove anything here (pypi_rights)"),
        (None, "401 Log in with a user and a password of this index"),
    ],
)
def test_rejects_users_without_the_right(full: Index, user: str | None, status: str) -> None:
    """The right to upload does not include the right to remove."""
    assert full.remove("acme-core", "1.0", user).status == status
    assert full.stored().keys() == RELEASE | OTHERS


def test_accepts_urlencoded_forms(full: Index) -> None:
    """A removal has no file, so curl sends an urlencoded form."""
    kind = "application/x-www-form-urlencoded"
    body = b":action=remove_pkg&name=my.proj&version=1.0"
    assert full.request("POST", "/", "alice", body, CONTENT_TYPE=kind).code == 200
    assert full.stored().keys() == OTHERS


def test_removed_file_can_be_restored(full: Index) -> None:
    """Files that were removed by mistake can be uploaded again."""
    full.remove("my-proj", "1.0")
    assert full.upload("my-proj-1.0.tar.gz").code == 200


@pytest.mark.parametrize("missing", ["name", "version"])
def test_field_is_missing(full: Index, missing: str) -> None:
    """A form without the name or the version removes nothing."""
    fields = {":action": "remove_pkg", "name": "my-proj", "version": "1.0"}
    form = [Part(name, value.encode()) for name, value in fields.items() if name != missing]
    assert full.post(form).code == 400
    assert full.stored().keys() == RELEASE | OTHERS


def test_another_projects_file(index: Index) -> None:
    """The right to remove from foo does not include foo-3d."""
    index.upload("foo-3d-1.0.tar.gz")
    index.rights.write_text(
        '{"groups": {}, "rights": [{"users": ["bob"], "groups": [], "may": ["remove"], "projects": ["foo"]}]}'
    )
    index.remove("foo", "3d-1.0", "bob")
    assert list(index.stored()) == ["foo-3d-1.0.tar.gz"]
