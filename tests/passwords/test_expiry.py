"""Users with an expiry date."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from support.files import keep_time, replace
from support.passwords import ALICE, BOB, Checker, Clock, Runs, hashed, passwords

HtpasswdFile = passwords.HtpasswdFile

LAST_DAY, EXPIRY_DATE = date(2026, 12, 31), date(2027, 1, 1)


@pytest.fixture
def htpasswd(tmp_path: Path) -> Path:
    """Write a password file in which alice expires on 2027-01-01, and bob does not."""
    path = tmp_path / "htpasswd"
    path.write_text(f"alice:{ALICE}:2027-01-01\nbob:{BOB}\n")
    return path


def test_user_expires(checker: Checker, clock: Clock) -> None:
    """A user is accepted until the day before the date, and rejected from then on."""
    for clock.day, answer in [
        (date(2026, 1, 1), True),
        (LAST_DAY, True),
        (EXPIRY_DATE, False),
        (date(2027, 1, 2), False),
        (date(2038, 1, 1), False),
    ]:
        assert checker.check("alice", "right") is answer
        assert checker.check("alice", "wrong") is False
        assert checker.check("bob", "word") is True
        assert checker.check("carol", "right") is None


def test_cached_password_expires_at_midnight(checker: Checker, clock: Clock, runs: Runs) -> None:
    """A cached password is rejected from midnight on, and accepted if the clock is corrected."""
    clock.day = LAST_DAY
    for _ in range(3):
        assert checker.check("alice", "right") is True
    assert len(runs.calls) == 1
    clock.day = EXPIRY_DATE
    for _ in range(3):
        assert checker.check("alice", "right") is False
    clock.day = LAST_DAY
    assert checker.check("alice", "right") is True


@pytest.mark.parametrize(
    ("now", "answer"),
    [
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), True),
        (datetime(2027, 1, 1, tzinfo=UTC), False),
    ],
    ids=str,
)
@pytest.mark.parametrize("hours", [-11, 0, 14])
def test_midnight_is_in_utc(
    htpasswd: Path, monkeypatch: pytest.MonkeyPatch, now: datetime, answer: bool, hours: int
) -> None:
    """The expiry does not depend on the server's time zone."""

    class Now(datetime):
        @classmethod
        def now(cls, tz: timezone | None = None) -> datetime:
            return now.astimezone(tz or timezone(timedelta(hours=hours)))

    monkeypatch.setattr(passwords, "datetime", Now)
    assert Checker(HtpasswdFile(htpasswd)).check("alice", "right") is answer


def test_expired_user_takes_equal_time(checker: Checker, clock: Clock, runs: Runs, htpasswd: Path) -> None:
    """Neither the time nor the number of bcrypt calls reveals that a user has expired."""
    replace(htpasswd, f"bob:{BOB}:2027-01-01\nalice:{ALICE}:2027-01-01\n")
    assert checker.check("alice", "right")
    clock.day = EXPIRY_DATE
    for user, own_hash, password in [("alice", ALICE, "right"), ("alice", ALICE, "wrong"), ("bob", BOB, "word")]:
        for runs_again in (True, False):
            runs.calls.clear()
            assert checker.check(user, password) is False
            assert len(runs.calls) == runs_again
            for _, asked in runs.calls:
                assert asked[:7].decode() == own_hash[:7]
                assert len(asked) == 60


def test_expired_user_is_rejected_whatever_bcrypt_returns(checker: Checker, clock: Clock, runs: Runs) -> None:
    """The result for an expired user does not depend on bcrypt."""
    runs.use(lambda _password, _hash: True)
    clock.day = EXPIRY_DATE
    for _ in range(2):
        assert checker.check("alice", "right") is False


@pytest.mark.parametrize("how", [replace, keep_time], ids=["replaced", "same size and time"])
def test_changed_date_takes_effect(checker: Checker, clock: Clock, htpasswd: Path, how: Callable) -> None:
    """A changed date takes effect with the next request."""
    clock.day = LAST_DAY
    assert checker.check("alice", "right") is True
    before = htpasswd.read_text()
    how(htpasswd, before.replace("2027-01-01", "2026-12-31"))
    assert checker.check("alice", "right") is False
    how(htpasswd, before.replace("2027-01-01", "2028-02-29"))
    clock.day = EXPIRY_DATE
    assert checker.check("alice", "right") is True


def test_old_password_stays_expired(checker: Checker, clock: Clock, htpasswd: Path) -> None:
    """A new password with a new date does not make the old password valid."""
    clock.day = EXPIRY_DATE
    assert checker.check("alice", "right") is False
    replace(htpasswd, f"alice:{hashed('new')}:2028-01-01\nbob:{BOB}\n")
    assert checker.check("alice", "right") is False
    assert checker.check("alice", "new") is True


@pytest.mark.parametrize(
    "day",
    [
        *("", "soon", "None", "null", "0", "2027-13-01", "2027-02-29", "20270101", "2027-W01-1", "2027-1-1"),
        *("01.01.2027", "2027-01-01T00:00", "2027-01-01:x", " 2027-01-01"),
    ],
    ids=ascii,
)
def test_rejects_all_if_date_is_invalid(checker: Checker, htpasswd: Path, day: str) -> None:
    """A damaged file rejects all logins (fail closed), and the error contains the user's name."""
    assert checker.check("bob", "word")
    good = htpasswd.read_text()
    replace(htpasswd, f"bob:{BOB}\nalice:{ALICE}:{day}\n")
    for user, password in [("alice", "right"), ("bob", "word")]:
        with pytest.raises(ValueError, match="htpasswd is corrupt at user 'alice'") as error:
            checker.check(user, password)
        assert "$2y$" not in str(error.value)
    replace(htpasswd, good)
    assert checker.check("bob", "word")
