"""Tombstones of removed files."""

import re
from pathlib import Path

import pytest
from wheelhouse.errors import RequestError
from wheelhouse.storage.tombstones import Tombstone, Tombstones

ONE, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def tombstones(tmp_path: Path) -> Tombstones:
    """Return an empty table of tombstones."""
    return Tombstones(tmp_path / "tombstones.json", tmp_path / "lock")


def test_a_removed_file(tombstones: Tombstones) -> None:
    """A tombstone has the file name, the digest, the user and the date."""
    tombstones.add("Foo-1.0.tar.gz", ONE, "alice")
    found = tombstones.get("foo-1.0.tar.gz")
    assert (found.filename, found.sha256, found.user) == ("Foo-1.0.tar.gz", ONE, "alice")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.removed)
    assert tombstones.all() == [found]


@pytest.mark.parametrize(
    ("removed", "tried"),
    [
        ("Acme_Core-1.0.tar.gz", "acme-core-1.0.tar.gz"),
        ("acme_core-1.0.tar.gz", "ACME.core-1.0.tar.gz"),
        ("foo-1.0.tar.gz", "foo-1.0.0.tar.gz"),
        ("foo-1.0.tar.gz", "foo-v1.tar.gz"),
        ("foo-1.0rc1.tar.gz", "foo-1.0.RC01.tar.gz"),
        ("foo-1.0-py2.py3-none-any.whl", "Foo-1.0-PY3.py2-None-ANY.whl"),
        ("foo-1.0-1-py3-none-any.whl", "foo-1.0-01-py3-none-any.whl"),
    ],
)
def test_spellings(tombstones: Tombstones, removed: str, tried: str) -> None:
    """Other spellings are reserved too, since installers treat them as the same release."""
    for one, other in ((removed, tried), (tried, removed)):
        tombstones.add(one, ONE, "alice")
        assert tombstones.get(other).filename == one
        assert tombstones.delete(other).filename == one
        assert tombstones.get(one) is None


@pytest.mark.parametrize(
    ("removed", "tried"),
    [
        ("foo-1.0.tar.gz", "foo-1.1.tar.gz"),
        ("foo-1.0.tar.gz", "foo-1.0.zip"),
        ("foo-1.0.tar.gz", "foo-1.0-py3-none-any.whl"),
        ("foo-1.0.tar.gz", "foo-1.0+local.tar.gz"),
        ("foo-1.0.tar.gz", "foo-1.0.post1.tar.gz"),
        ("foo-1.0.tar.gz", "foo_bar-1.0.tar.gz"),
        ("foo-1.0-py3-none-any.whl", "foo-1.0-1-py3-none-any.whl"),
        ("foo-1.0-cp311-cp311-linux_x86_64.whl", "foo-1.0-cp312-cp312-linux_x86_64.whl"),
        ("foo_1-2-py3-none-any.whl", "foo-1-2-py3-none-any.whl"),
    ],
)
def test_other_names_are_available(tombstones: Tombstones, removed: str, tried: str) -> None:
    """A corrected release, and other projects, can be published after a removal."""
    tombstones.add(removed, ONE, "alice")
    assert tombstones.get(tried) is None
    assert tombstones.delete(tried) is None
    assert tombstones.get(removed)


def test_second_removal_replaces_the_tombstone(tombstones: Tombstones) -> None:
    """A name that was released, used and removed again has the digest of the last file."""
    tombstones.add("foo-1.0.tar.gz", ONE, "alice")
    tombstones.add("foo-1.0.tar.gz", OTHER, "bob")
    found = tombstones.get("foo-1.0.tar.gz")
    assert (found.sha256, found.user) == (OTHER, "bob")
    assert len(tombstones.all()) == 1


def test_delete(tombstones: Tombstones) -> None:
    """An administrator releases exactly one name."""
    tombstones.add("foo-1.0.tar.gz", ONE, "alice")
    tombstones.add("foo-2.0.tar.gz", OTHER, "alice")
    lifted = tombstones.delete("foo-1.0.tar.gz")
    assert isinstance(lifted, Tombstone)
    assert lifted.sha256 == ONE
    assert tombstones.delete("foo-1.0.tar.gz") is None
    assert [stone.filename for stone in tombstones.all()] == ["foo-2.0.tar.gz"]


@pytest.mark.parametrize("filename", ["", "foo", "../foo-1.0.tar.gz", "foo-1.0.exe", "foo-1.0.tar.gz\n"])
def test_rejects_invalid_filenames(tombstones: Tombstones, filename: str) -> None:
    """An invalid filename has no tombstone; the error says why."""
    for ask in (tombstones.get, tombstones.delete, lambda name: tombstones.add(name, ONE, "alice")):
        with pytest.raises(RequestError):
            ask(filename)
    assert tombstones.all() == []
