"""Fixtures: a password file with two users, and a checker."""

from pathlib import Path

import bcrypt
import pytest
from support.passwords import ALICE, BOB, Checker, Clock, Runs, passwords


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Replace bcrypt.checkpw by a recorder of its calls."""
    found = Runs()
    monkeypatch.setattr(bcrypt, "checkpw", found)
    return found


@pytest.fixture
def htpasswd(tmp_path: Path) -> Path:
    """Write a password file with two users."""
    path = tmp_path / "htpasswd"
    path.write_text(f"alice:{ALICE}\nbob:{BOB}\n")
    return path


@pytest.fixture
def clock() -> Clock:
    """Return the checker's clock."""
    return Clock()


@pytest.fixture
def checker(htpasswd: Path, clock: Clock, runs: Runs) -> Checker:  # noqa: ARG001  (it must count from the start)
    """Return a checker with empty caches."""
    return Checker(passwords.HtpasswdFile(htpasswd), clock=clock, today=clock.today)
