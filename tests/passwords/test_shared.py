"""Right pairs are remembered for all processes: an empty file each, in a directory in memory."""

import os
import time
from pathlib import Path

import pytest
from support.files import replace
from support.passwords import ALICE, BOB, Checker, Clock, Runs, hashed, passwords
from support.processes import exit_codes

HtpasswdFile = passwords.HtpasswdFile


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory as systemd-tmpfiles makes it."""
    path = tmp_path / "pypi-passwords"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def processes(htpasswd: Path, directory: Path, clock: Clock, runs: Runs) -> list[Checker]:
    """Checkers as in several of Apache's processes."""
    assert runs.calls == []
    return [Checker(HtpasswdFile(htpasswd), directory, clock=clock, today=clock.today) for _ in range(3)]


def pairs(directory: Path) -> list[Path]:
    """Return the files of pairs."""
    return sorted(path for path in directory.iterdir() if len(path.name) == 64)


def test_one_run_for_all(processes: list[Checker], runs: Runs) -> None:
    """bcrypt runs once for a user, not once in each process."""
    for checker in processes * 2:
        assert checker.check("alice", "right") is True
    assert len(runs.calls) == 1
    for checker in processes:
        assert checker.check("alice", "wrong") is False
    assert len(runs.calls) == 4


def test_a_process_that_starts_later(processes: list[Checker], htpasswd: Path, directory: Path, clock: Clock) -> None:
    """After a reload nobody's password is checked again, and the time does not begin anew."""
    processes[0].check("alice", "right")
    clock.now += passwords.CACHE_SECONDS - 1
    later = Checker(HtpasswdFile(htpasswd), directory, clock=clock)
    later._runs = later._recent_runs = None
    assert later.check("alice", "right") is True
    clock.now += 2
    with pytest.raises(TypeError):
        later.check("alice", "right")


def test_a_new_password_counts_in_all(processes: list[Checker], htpasswd: Path) -> None:
    """Whatever is remembered anywhere is of the old password hash."""
    for checker in processes:
        assert checker.check("alice", "right") is True
    replace(htpasswd, f"alice:{hashed('new')}\nbob:{BOB}\n")
    for checker in processes:
        assert checker.check("alice", "right") is False
        assert checker.check("alice", "new") is True


def test_recent_for_all(processes: list[Checker], runs: Runs, clock: Clock) -> None:
    """A process that never saw a user knows that the pair was right within the hour, and checks it again."""
    processes[0].check("alice", "right")
    clock.now += passwords.CACHE_SECONDS + passwords.RECENT_SECONDS - 1
    processes[1]._runs = None  # the places of unknown pairs
    assert processes[1].check("alice", "right") is True
    assert len(runs.calls) == 2
    assert processes[2].check("alice", "right") is True
    assert len(runs.calls) == 2


def test_what_is_in_the_directory(processes: list[Checker], directory: Path, clock: Clock) -> None:
    """Nothing that leads to a password or a user: the names are keyed hashes, the files are empty."""
    processes[0].check("alice", "right")
    processes[1].check("bob", "word")
    key, (one, other) = directory / "key", pairs(directory)
    assert sorted(directory.iterdir()) == sorted([key, one, other])
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32
    for path in (one, other):
        assert path.stat().st_size == 0
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.stat().st_mtime == clock.now + passwords.CACHE_SECONDS


def test_a_remembered_pair_costs_no_system_call(
    processes: list[Checker], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a process knows a pair, it looks at the htpasswd file and at nothing else, without a lock."""
    checker = processes[0]
    checker.check("alice", "right")
    for path in pairs(directory):
        path.unlink()
    monkeypatch.setattr(checker, "_lock", None)
    monkeypatch.setattr(checker._log, "_lock", None)
    monkeypatch.setattr(checker, "_shared", None)
    assert checker.check("alice", "right") is True


def test_one_key_wins(tmp_path: Path, directory: Path, htpasswd: Path) -> None:
    """Processes that start together agree on a key, which is whole when the first of them sees it."""

    def start(number: int) -> None:
        checker = Checker(HtpasswdFile(htpasswd), directory)
        (tmp_path / f"seen {number}").write_bytes(checker._secret)

    assert exit_codes([lambda number=number: start(number) for number in range(8)]) == [0] * 8
    assert {path.read_bytes() for path in tmp_path.glob("seen *")} == {(directory / "key").read_bytes()}
    assert [path.name for path in directory.iterdir()] == ["key"]


def test_real_processes(directory: Path, htpasswd: Path) -> None:
    """One process has checked a password, with the real clock and the real bcrypt, and another remembers it."""

    def check(first: bool) -> int:
        checker = Checker(HtpasswdFile(htpasswd), directory)
        if not first:
            checker._runs = checker._recent_runs = None
        return 0 if checker.check("alice", "right") is True else 1

    assert exit_codes([lambda: check(first=True)]) == [0]
    assert exit_codes([lambda: check(first=False)]) == [0]


def harm_missing(directory: Path) -> None:
    """Take the directory away."""
    directory.rmdir()


def harm_mode(directory: Path) -> None:
    """Let others write."""
    directory.chmod(0o770)


def harm_key(directory: Path) -> None:
    """Leave a key that is no key."""
    (directory / "key").write_bytes(b"")


def harm_link(directory: Path) -> None:
    """Put a link in its place."""
    directory.rename(directory.with_name("elsewhere"))
    directory.symlink_to("elsewhere")


@pytest.mark.parametrize("harm", [harm_missing, harm_mode, harm_key, harm_link])
def test_a_directory_that_is_not_used(
    directory: Path, htpasswd: Path, clock: Clock, runs: Runs, capsys: pytest.CaptureFixture, harm: object
) -> None:
    """Passwords are checked all the same, each process remembers by itself, and one line says why."""
    harm(directory)
    processes = [Checker(HtpasswdFile(htpasswd), directory, clock=clock) for _ in range(2)]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert str(directory) in said[0]
    for checker in processes * 2:
        assert checker.check("alice", "right") is True
        assert checker.check("alice", "wrong") is False
    assert len(runs.calls) == 4
    assert not directory.exists() or pairs(directory) == []
    assert capsys.readouterr().err == ""


def test_of_another_user(
    directory: Path, htpasswd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A directory that somebody else made in its place is not used."""
    monkeypatch.setattr(os, "geteuid", lambda: directory.stat().st_uid + 1)
    Checker(HtpasswdFile(htpasswd), directory)
    assert "is not used: it must be a directory of uid" in capsys.readouterr().err
    assert list(directory.iterdir()) == []


def test_a_directory_that_goes_later(
    processes: list[Checker], directory: Path, runs: Runs, capsys: pytest.CaptureFixture
) -> None:
    """Each process goes on by itself, and says so."""
    (directory / "key").unlink()
    directory.rmdir()
    for checker in processes:
        assert checker.check("alice", "right") is True
        assert checker.check("alice", "right") is True
    assert len(runs.calls) == 3
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_swept(processes: list[Checker], directory: Path, clock: Clock, htpasswd: Path) -> None:
    """What is of no use any more goes, at most once a minute, and nothing else does."""
    checker = processes[0]
    checker.check("alice", "right")
    (left_over := directory / f".{'0' * 64}.1.1").touch()
    (forged := directory / ("f" * 64)).touch()
    clock.now += passwords.CACHE_SECONDS + passwords.RECENT_SECONDS + 1
    (old,) = [path for path in pairs(directory) if path != forged]
    checker.check("bob", "word")
    assert not old.exists()
    assert not forged.exists()
    assert left_over.exists(), "it may be another process's, in use at this moment"
    forged.touch()
    replace(htpasswd, f"alice:{ALICE}\nbob:{BOB}\ncarol:{ALICE}\n")
    checker.check("carol", "right")
    assert forged.exists(), "less than a minute has passed"
    assert len(pairs(directory)) == 3
    assert (directory / "key").exists()


def test_left_over(processes: list[Checker], directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a file of a process that was killed goes with the next sweep."""
    (left_over := directory / f".{'0' * 64}.1.1").touch()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100)
    processes[0].check("alice", "right")
    assert not left_over.exists()


def test_a_time_that_nobody_wrote(processes: list[Checker], directory: Path, runs: Runs) -> None:
    """A file that has the wall clock's time would be remembered for years."""
    processes[0].check("alice", "right")
    (path,) = pairs(directory)
    path.touch()
    assert processes[1].check("alice", "right") is True
    assert len(runs.calls) == 2


def test_files_are_bounded(
    processes: list[Checker], directory: Path, htpasswd: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many users sign in. The oldest make room at the next sweep; until then, no more are added."""
    monkeypatch.setattr(passwords, "SHARED_CACHE_SIZE", 10)
    htpasswd.write_text("".join(f"user{number}:{ALICE}\n" for number in range(15)))
    for number in range(15):
        clock.now += 1
        assert processes[0].check(f"user{number}", "right") is True
    before = pairs(directory)
    assert len(before) == 10
    clock.now += passwords.CLEANUP_INTERVAL
    newest = sorted(before, key=lambda path: path.stat().st_mtime)[1:]
    replace(htpasswd, htpasswd.read_text() + f"last:{ALICE}\n")
    assert processes[0].check("last", "right") is True
    assert len(pairs(directory)) == 10
    assert set(newest) < set(pairs(directory))
