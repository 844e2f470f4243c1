"""Functions of the module that writes htpasswd files."""

import bcrypt
import pytest
from support import load

module = load("roles/accounts/library/pypi_htpasswd.py")

HASH = "$2y$12$" + "a" * 53


@pytest.mark.parametrize(
    ("password_hash", "cost"),
    [
        (HASH, 12),
        ("$2b$04$" + "a" * 53, 4),
        ("$2a$31$" + "a" * 53, 31),
        ("", -1),
        ("$apr1$salt$hash", -1),
        ("{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", -1),
        ("$2y$xx$" + "a" * 53, -1),
        ("plain", -1),
    ],
)
def test_cost_of(password_hash: str, cost: int) -> None:
    """The cost of a hash that is not bcrypt is -1, so that it is replaced."""
    assert module.cost_of(password_hash) == cost


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("", {}),
        ("alice:x\nbob:y\n", {"alice": "x", "bob": "y"}),
        ("alice:x:y\n", {"alice": "x:y"}),
        ("\nno colon\nalice:x", {"alice": "x"}),
    ],
)
def test_read_ignores_invalid_lines(tmp_path, text: str, users: dict) -> None:
    """Lines without a colon are ignored."""
    path = tmp_path / "htpasswd"
    path.write_text(text)
    assert module.read(path) == users


def test_read_missing_file(tmp_path) -> None:
    """A missing file has no users."""
    assert module.read(tmp_path / "htpasswd") == {}


def test_new_hash_is_valid_for_apache() -> None:
    """The hash has the variant 2y, which Apache documents, and bcrypt accepts it."""
    made = module.new_hash("correct horse", 4)
    assert made.startswith("$2y$04$")
    assert bcrypt.checkpw(b"correct horse", made.encode())
    assert not bcrypt.checkpw(b"battery staple", made.encode())


@pytest.mark.parametrize("password_hash", ["", "$2y$04$short", "$apr1$salt$hash"])
def test_invalid_hash_matches_nothing(password_hash: str) -> None:
    """An invalid hash is replaced and does not fail the run."""
    assert module.matches("x", password_hash) is False


def test_fingerprints_are_specific(tmp_path) -> None:
    """A fingerprint is valid for one user, password, hash and key only."""
    path = tmp_path / "fingerprints"
    path.write_text("{}")
    known = module.Fingerprints(path, "key")
    known.update("alice", HASH, "secret", same_hash=False)
    path.write_text(module.json.dumps(known._after))
    again = module.Fingerprints(path, "key")
    assert again.matches("alice", HASH, "secret")
    assert not again.matches("bob", HASH, "secret")
    assert not again.matches("alice", HASH + "a", "secret")
    assert not again.matches("alice", HASH, "Secret")
    assert not module.Fingerprints(path, "another key").matches("alice", HASH, "secret")


@pytest.mark.parametrize(
    "damage",
    ["", "not JSON", "{", "[]"],
)
def test_ignores_damaged_fingerprints(tmp_path, damage: str) -> None:
    """Fingerprints are a cache: without them the run is only slower."""
    path = tmp_path / "fingerprints"
    path.write_text(damage)
    assert not module.Fingerprints(path, "key").matches("alice", HASH, "secret")
