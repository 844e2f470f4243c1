"""Two users, and who checks their passwords."""

from pathlib import Path

import bcrypt
import pytest
from support.passwords import ALICE, BOB, Checker, Clock, Runs, passwords


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """What bcrypt was asked."""
    found = Runs()
    monkeypatch.setattr(bcrypt, "checkpw", found)
    return found


@pytest.fixture
def htpasswd(tmp_path: Path) -> Path:
    """A file with two users."""
    path = tmp_path / "htpasswd"
    path.write_text(f"alice:{ALICE}\nbob:{BOB}\n")
    return path


@pytest.fixture
def clock() -> Clock:
    """The time as the checker sees it."""
    return Clock()


@pytest.fixture
def checker(htpasswd: Path, clock: Clock, runs: Runs) -> Checker:  # noqa: ARG001  (it must count from the start)
    """A checker that has seen nobody yet."""
    return Checker(passwords.HtpasswdFile(htpasswd), clock=clock, today=clock.today)
