"""The cache that processes share: an empty file for each correct password, in a directory in memory."""

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
    """Create the directory as systemd-tmpfiles does."""
    path = tmp_path / "pypi-passwords"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def processes(htpasswd: Path, directory: Path, clock: Clock, runs: Runs) -> list[Checker]:
    """Return checkers as in several processes of Apache."""
    assert runs.calls == []
    return [Checker(HtpasswdFile(htpasswd), directory, clock=clock, today=clock.today) for _ in range(3)]


def pairs(directory: Path) -> list[Path]:
    """Return the files of cached passwords."""
    return sorted(path for path in directory.iterdir() if len(path.name) == 64)


def test_processes_share_one_check(processes: list[Checker], runs: Runs) -> None:
    """A user's password is checked by bcrypt once, not once in each process."""
    for checker in processes * 2:
        assert checker.check("alice", "right") is True
    assert len(runs.calls) == 1
    for checker in processes:
        assert checker.check("alice", "wrong") is False
    assert len(runs.calls) == 4


def test_new_process_uses_cache(processes: list[Checker], htpasswd: Path, directory: Path, clock: Clock) -> None:
    """After a reload, cached passwords are valid for their remaining time."""
    processes[0].check("alice", "right")
    clock.now += passwords.CACHE_SECONDS - 1
    later = Checker(HtpasswdFile(htpasswd), directory, clock=clock)
    later._runs = later._recent_runs = None
    assert later.check("alice", "right") is True
    clock.now += 2
    with pytest.raises(TypeError):
        later.check("alice", "right")


def test_changed_password_invalidates_cache_in_all_processes(processes: list[Checker], htpasswd: Path) -> None:
    """Cache entries depend on the password hash."""
    for checker in processes:
        assert checker.check("alice", "right") is True
    replace(htpasswd, f"alice:{hashed('new')}\nbob:{BOB}\n")
    for checker in processes:
        assert checker.check("alice", "right") is False
        assert checker.check("alice", "new") is True


def test_processes_share_recent_passwords(processes: list[Checker], runs: Runs, clock: Clock) -> None:
    """A process knows that a password was correct within the last hour, and checks it again."""
    processes[0].check("alice", "right")
    clock.now += passwords.CACHE_SECONDS + passwords.RECENT_SECONDS - 1
    processes[1]._runs = None  # the places of unknown pairs
    assert processes[1].check("alice", "right") is True
    assert len(runs.calls) == 2
    assert processes[2].check("alice", "right") is True
    assert len(runs.calls) == 2


def test_directory_contains_no_secrets(processes: list[Checker], directory: Path, clock: Clock) -> None:
    """The file names are keyed hashes, and the files are empty."""
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


def test_cached_password_needs_no_lock(
    processes: list[Checker], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cached password is accepted without a lock or access to the directory."""
    checker = processes[0]
    checker.check("alice", "right")
    for path in pairs(directory):
        path.unlink()
    monkeypatch.setattr(checker, "_lock", None)
    monkeypatch.setattr(checker._log, "_lock", None)
    monkeypatch.setattr(checker, "_shared", None)
    assert checker.check("alice", "right") is True


def test_concurrent_processes_use_one_key(tmp_path: Path, directory: Path, htpasswd: Path) -> None:
    """Processes that start concurrently use the same complete key."""

    def start(number: int) -> None:
        checker = Checker(HtpasswdFile(htpasswd), directory)
        (tmp_path / f"seen {number}").write_bytes(checker._secret)

    assert exit_codes([lambda number=number: start(number) for number in range(8)]) == [0] * 8
    assert {path.read_bytes() for path in tmp_path.glob("seen *")} == {(directory / "key").read_bytes()}
    assert [path.name for path in directory.iterdir()] == ["key"]


def test_real_processes(directory: Path, htpasswd: Path) -> None:
    """A process uses the cache of another one, with the real clock and bcrypt."""

    def check(first: bool) -> int:
        checker = Checker(HtpasswdFile(htpasswd), directory)
        if not first:
            checker._runs = checker._recent_runs = None
        return 0 if checker.check("alice", "right") is True else 1

    assert exit_codes([lambda: check(first=True)]) == [0]
    assert exit_codes([lambda: check(first=False)]) == [0]


def damage_missing(directory: Path) -> None:
    """Delete the directory."""
    directory.rmdir()


def damage_mode(directory: Path) -> None:
    """Make the directory writable for the group."""
    directory.chmod(0o770)


def damage_key(directory: Path) -> None:
    """Write an invalid key."""
    (directory / "key").write_bytes(b"")


def damage_link(directory: Path) -> None:
    """Replace the directory by a symbolic link."""
    directory.rename(directory.with_name("elsewhere"))
    directory.symlink_to("elsewhere")


@pytest.mark.parametrize("damage", [damage_missing, damage_mode, damage_key, damage_link])
def test_insecure_directory_is_not_used(
    directory: Path, htpasswd: Path, clock: Clock, runs: Runs, capsys: pytest.CaptureFixture, damage: object
) -> None:
    """Passwords are checked without the shared cache, and one log line contains the reason."""
    damage(directory)
    processes = [Checker(HtpasswdFile(htpasswd), directory, clock=clock) for _ in range(2)]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert str(directory) in lines[0]
    for checker in processes * 2:
        assert checker.check("alice", "right") is True
        assert checker.check("alice", "wrong") is False
    assert len(runs.calls) == 4
    assert not directory.exists() or pairs(directory) == []
    assert capsys.readouterr().err == ""


def test_directory_of_another_user_is_not_used(
    directory: Path, htpasswd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A directory that another user has created is not used."""
    monkeypatch.setattr(os, "geteuid", lambda: directory.stat().st_uid + 1)
    Checker(HtpasswdFile(htpasswd), directory)
    assert "is not used: it must be a directory of uid" in capsys.readouterr().err
    assert list(directory.iterdir()) == []


def test_directory_deleted_at_runtime(
    processes: list[Checker], directory: Path, runs: Runs, capsys: pytest.CaptureFixture
) -> None:
    """Each process continues without the shared cache, and logs it."""
    (directory / "key").unlink()
    directory.rmdir()
    for checker in processes:
        assert checker.check("alice", "right") is True
        assert checker.check("alice", "right") is True
    assert len(runs.calls) == 3
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_deletes_stale_files(processes: list[Checker], directory: Path, clock: Clock, htpasswd: Path) -> None:
    """Expired entries are deleted at most once a minute; other files are kept."""
    checker = processes[0]
    checker.check("alice", "right")
    (stale := directory / f".{'0' * 64}.1.1").touch()
    (forged := directory / ("f" * 64)).touch()
    clock.now += passwords.CACHE_SECONDS + passwords.RECENT_SECONDS + 1
    (old,) = [path for path in pairs(directory) if path != forged]
    checker.check("bob", "word")
    assert not old.exists()
    assert not forged.exists()
    assert stale.exists(), "it may be another process's, in use at this moment"
    forged.touch()
    replace(htpasswd, f"alice:{ALICE}\nbob:{BOB}\ncarol:{ALICE}\n")
    checker.check("carol", "right")
    assert forged.exists(), "less than a minute has passed"
    assert len(pairs(directory)) == 3
    assert (directory / "key").exists()


def test_deletes_stale_temporary_files(
    processes: list[Checker], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Temporary files of a killed process are deleted."""
    (stale := directory / f".{'0' * 64}.1.1").touch()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100)
    processes[0].check("alice", "right")
    assert not stale.exists()


def test_ignores_entry_with_invalid_time(processes: list[Checker], directory: Path, runs: Runs) -> None:
    """An entry with a time too far in the future is ignored."""
    processes[0].check("alice", "right")
    (path,) = pairs(directory)
    path.touch()
    assert processes[1].check("alice", "right") is True
    assert len(runs.calls) == 2


def test_files_are_bounded(
    processes: list[Checker], directory: Path, htpasswd: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of files is limited; the oldest ones are deleted with the next sweep."""
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
