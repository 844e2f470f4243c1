"""Owners of projects."""

import re
from pathlib import Path

import pytest
from support.processes import forked
from wheelhouse.access.claims import Claims


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    """Return an empty table of owners."""
    return Claims(tmp_path / "claims.json", tmp_path / "lock")


def test_first_claim_wins(claims: Claims) -> None:
    """A second claim by any user changes neither owner nor date."""
    assert claims.owner_of("foo") is None
    assert claims.claim("foo", "alice") is True
    before = claims.all()
    assert claims.claim("foo", "bob") is False
    assert claims.claim("foo", "alice") is False
    assert claims.owner_of("foo") == "alice"
    assert claims.all() == before
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", before["foo"]["since"])


@pytest.mark.parametrize("spelling", ["Acme_Core", "acme.core", "ACME-core", "acme-_.core"])
def test_spellings(claims: Claims, spelling: str) -> None:
    """All spellings of a name are one project (PEP 503)."""
    assert claims.claim("acme-core", "alice")
    assert not claims.claim(spelling, "bob")
    assert claims.owner_of(spelling) == "alice"
    assert claims.set_owner(spelling, None) == "alice"
    assert claims.claim(spelling, "bob")
    assert list(claims.all()) == ["acme-core"]


def test_other_projects_are_not_changed(claims: Claims) -> None:
    """Projects with a common prefix are different projects."""
    claims.claim("foo", "alice")
    assert claims.claim("foo-bar", "bob")
    assert claims.claim("fo", "bob")
    claims.set_owner("foo", "carol")
    assert {project: claim["user"] for project, claim in claims.all().items()} == {
        "fo": "bob",
        "foo": "carol",
        "foo-bar": "bob",
    }


def test_set_owner(claims: Claims) -> None:
    """An administrator can replace or delete the owner."""
    assert claims.set_owner("foo", "alice") is None
    assert claims.set_owner("foo", "bob") == "alice"
    assert claims.owner_of("foo") == "bob"
    assert claims.set_owner("foo", None) == "bob"
    assert claims.owner_of("foo") is None
    assert claims.set_owner("foo", None) is None
    assert claims.all() == {}


def test_all_returns_a_copy(claims: Claims) -> None:
    """Changes of the returned copy do not change the table."""
    claims.claim("foo", "alice")
    claims.all()["foo"]["user"] = "bob"
    claims.all().clear()
    assert claims.owner_of("foo") == "alice"


def test_one_of_many_concurrent_claims_wins(claims: Claims, tmp_path: Path) -> None:
    """Two processes that publish a new name concurrently do not both own it (race)."""
    rounds, processes = 15, 4
    start, won = forked.Barrier(processes), tmp_path / "won"
    won.mkdir()

    def publish(user: str) -> None:
        for number in range(rounds):
            start.wait(60)
            if claims.claim(f"project-{number}", user):
                (won / f"{number} {user}").touch()

    crowd = [forked.Process(target=publish, args=(f"user{number}",), daemon=True) for number in range(processes)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join(60)
        assert process.exitcode == 0
    owners = {f"{project.removeprefix('project-')} {claim['user']}" for project, claim in claims.all().items()}
    assert len(owners) == rounds
    assert {path.name for path in won.iterdir()} == owners
