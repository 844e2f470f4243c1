"""Wrong passwords: what each costs, and that a flood of them locks out nobody whose password is known."""

import re
import threading
from pathlib import Path

import pytest
from support import ansible_templates
from support.files import replace
from support.passwords import ALICE, BOB, Checker, Clock, Runs, hashed, passwords
from support.processes import PATIENCE as TIMEOUT
from test_checker import Crowd, following, wait_until, waiting

HtpasswdFile, BusyError, TooManyFailuresError = (
    passwords.HtpasswdFile,
    passwords.BusyError,
    passwords.TooManyFailuresError,
)
PROCESSES = "templates/etc/apache2/conf-available/pypi-processes.conf.j2"


def guesses(checker: Checker, count: int, address: str, name: str = "guess") -> None:
    """Send distinct wrong passwords from an address."""
    for number in range(count):
        assert checker.check("alice", f"{name} {number}", address) is False


@pytest.mark.parametrize(("user", "password", "answer"), [("alice", "wrong", False), ("carol", "right", None)])
def test_a_wrong_pair_is_remembered(
    checker: Checker, runs: Runs, clock: Clock, user: str, password: str, answer: bool | None
) -> None:
    """A wrong password in the settings of a CI job costs one bcrypt run per minute, from however many machines."""
    for number in range(50):
        assert checker.check(user, password, f"192.0.2.{number}") is answer
    assert len(runs.calls) == 1
    clock.now += passwords.WRONG_CACHE_SECONDS + 1
    assert checker.check(user, password) is answer
    assert len(runs.calls) == 2


def test_a_wrong_pair_counts_once(htpasswd: Path, clock: Clock, runs: Runs) -> None:
    """The same wrong password, again and again, does not lock out the others at its address."""
    checker = Checker(HtpasswdFile(htpasswd), max_failures=2, clock=clock)
    for _ in range(50):
        assert checker.check("alice", "wrong") is False
    assert checker.check("alice", "right") is True
    assert checker.check("bob", "word") is True
    assert len(runs.calls) == 3


def test_a_wrong_pair_that_becomes_right(checker: Checker, htpasswd: Path) -> None:
    """A new password holds with the next request, also if it was tried a moment before."""
    assert checker.check("alice", "new") is False
    replace(htpasswd, f"alice:{hashed('new')}\nbob:{BOB}\n")
    assert checker.check("alice", "new") is True
    assert checker.check("carol", "right") is None
    replace(htpasswd, f"bob:{BOB}\ncarol:{ALICE}\n")
    assert checker.check("carol", "right") is True


def test_wrong_pairs_are_bounded(htpasswd: Path, clock: Clock, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the guesses."""
    monkeypatch.setattr(passwords, "CACHE_SIZE", 3)
    checker = Checker(HtpasswdFile(htpasswd), max_failures=100, clock=clock)
    guesses(checker, 10, "192.0.2.1")
    assert len(checker._wrong) == 3
    assert len(runs.calls) == 10


def test_failures_of_an_address(htpasswd: Path, clock: Clock, runs: Runs) -> None:
    """So many distinct wrong passwords in a minute; beyond them bcrypt does not run, until the minute is over."""
    checker = Checker(HtpasswdFile(htpasswd), max_failures=5, clock=clock)
    guesses(checker, 5, "192.0.2.1")
    for user in ("alice", "bob", "nobody"):
        with pytest.raises(TooManyFailuresError, match="pypi_max_failed_logins"):
            checker.check(user, "guess 5", "192.0.2.1")
    with pytest.raises(TooManyFailuresError):
        checker.check("bob", "word", "192.0.2.1")
    assert len(runs.calls) == 5
    assert checker.check("bob", "word", "192.0.2.2") is True
    assert checker.check("bob", "word", "192.0.2.1") is True
    clock.now += passwords.FAILURES_SECONDS - 1
    with pytest.raises(TooManyFailuresError):
        checker.check("alice", "right", "192.0.2.1")
    clock.now += 1
    assert checker.check("alice", "right", "192.0.2.1") is True
    guesses(checker, 5, "192.0.2.1", "another")
    with pytest.raises(TooManyFailuresError):
        checker.check("alice", "guess", "192.0.2.1")


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("192.0.2.1", ["192.0.2.1", "::ffff:192.0.2.1"], ["192.0.2.2", "::ffff:192.0.2.2"]),
        ("2001:db8::1", ["2001:db8::2", "2001:db8:0:0:ffff::1"], ["2001:db8:0:1::1", "192.0.2.1"]),
        ("fe80::1%eth0", ["fe80::2", "fe80::3%eth1"], ["fe81::1"]),
        ("", [""], ["192.0.2.1"]),
    ],
    ids=ascii,
)
def test_what_an_address_is(htpasswd: Path, clock: Clock, address: str, same: list[str], other: list[str]) -> None:
    """One client has a whole /64 of IPv6, and one address of IPv4, however it is written."""
    checker = Checker(HtpasswdFile(htpasswd), max_failures=1, clock=clock)
    guesses(checker, 1, address)
    for one in same:
        with pytest.raises(TooManyFailuresError):
            checker.check("alice", "another", one)
    for number, one in enumerate(other):
        assert checker.check("alice", f"another {number}", one) in (False, None)
        break


def test_addresses_are_bounded(htpasswd: Path, clock: Clock, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The addresses that were heard of least recently are forgotten; those without a failure are not even kept."""
    assert runs.calls == []
    monkeypatch.setattr(passwords, "ADDRESSES", 3)
    checker = Checker(HtpasswdFile(htpasswd), max_failures=1, clock=clock)
    checker.check("bob", "word", "198.51.100.1")
    assert len(checker._addresses) == 0
    for number in range(4):
        guesses(checker, 1, f"192.0.2.{number}", f"from {number}")
    assert len(checker._addresses) == 3
    for number in (3, 2, 1):
        with pytest.raises(TooManyFailuresError):
            checker.check("alice", "right", f"192.0.2.{number}")
    assert checker.check("alice", "right", "192.0.2.0") is True


def test_an_address_has_a_quarter_of_the_places(checker: Checker, runs: Runs) -> None:
    """One client that opens many connections leaves places for newcomers from elsewhere."""
    share = passwords.MAX_WAITING_PER_ADDRESS
    assert 0 < share <= passwords.MAX_WAITING / 4
    runs.hold.clear()
    crowd = Crowd(checker)
    crowd.comes(*[("alice", f"guess {number}", "192.0.2.1") for number in range(share)])
    wait_until(lambda: waiting(checker) == share)
    with pytest.raises(BusyError, match="MAX_WAITING_PER_ADDRESS"):
        checker.check("alice", "right", "192.0.2.1")
    crowd.comes(("alice", "right", "192.0.2.2"))
    wait_until(lambda: waiting(checker) == share + 1)
    runs.hold.set()
    assert crowd.goes() == {False: share, True: 1}
    assert checker.check("bob", "word", "192.0.2.1") is True


def test_threads_that_unknown_pairs_hold(checker: Checker, runs: Runs) -> None:
    """Requests that wait for another request's run hold threads, too, and there are always some left."""
    assert checker.check("bob", "word") is True
    runs.hold.clear()
    crowd = Crowd(checker)
    crowd.comes(("alice", "guess"), *[("alice", "wrong")] * (passwords.MAX_PENDING - 1))
    wait_until(lambda: following(checker) == passwords.MAX_PENDING - 2)
    with pytest.raises(BusyError, match="MAX_PENDING"):
        checker.check("alice", "wrong")
    assert checker.check("bob", "word") is True
    runs.hold.set()
    assert crowd.goes() == {False: passwords.MAX_PENDING}
    assert checker._pending == 0
    assert checker._waiting == 0


def test_one_new_user_may_wait_on_all_threads(checker: Checker, runs: Runs) -> None:
    """A farm of clients with one login starts at once, when no password is remembered: all are served by one run."""
    runs.hold.clear()
    crowd = Crowd(checker)
    crowd.comes(*[("alice", "right")] * (2 * passwords.MAX_PENDING))
    wait_until(lambda: following(checker) == 2 * passwords.MAX_PENDING - 1)
    runs.hold.set()
    assert crowd.goes() == {True: 2 * passwords.MAX_PENDING}
    assert len(runs.calls) == 1


def test_a_recent_pair_is_neither_limited_nor_waits(htpasswd: Path, clock: Clock, runs: Runs) -> None:
    """Whoever was in within the last hour is served, whatever others do, behind the same address, too."""
    checker = Checker(HtpasswdFile(htpasswd), max_failures=1, clock=clock)
    assert checker.check("bob", "word", "192.0.2.1") is True
    clock.now += passwords.CACHE_SECONDS + passwords.RECENT_SECONDS - 1
    runs.hold.clear()
    crowd = Crowd(checker)
    crowd.comes(*[("alice", f"guess {number}", f"192.0.2.{number}") for number in range(passwords.MAX_WAITING)])
    wait_until(lambda: waiting(checker) == passwords.MAX_WAITING)
    wait_until(lambda: runs.running == passwords.MAX_RUNS)
    newcomer = Crowd(checker)
    newcomer.comes(("bob", "word", "192.0.2.1"))
    # bcrypt itself is what is held here: a place of its own is what lets it begin at all.
    wait_until(lambda: runs.running == passwords.MAX_RUNS + 1)
    runs.hold.set()
    assert newcomer.goes() == {True: 1}
    crowd.goes()
    with pytest.raises(TooManyFailuresError):
        checker.check("alice", "right", "192.0.2.1")
    assert checker.check("bob", "word", "192.0.2.1") is True
    clock.now += passwords.CACHE_SECONDS + 10
    guesses(checker, 1, "192.0.2.1", "later")
    assert checker.check("bob", "word", "192.0.2.1") is True


def test_recent_is_not_for_ever(htpasswd: Path, clock: Clock) -> None:
    """After that hour a pair is unknown, as one that never was right; also soon after the host has started."""
    clock.now = 1.0
    checker = Checker(HtpasswdFile(htpasswd), max_failures=1, clock=clock)
    guesses(checker, 1, "192.0.2.1")
    with pytest.raises(TooManyFailuresError):
        checker.check("bob", "word", "192.0.2.1")
    assert checker.check("bob", "word", "192.0.2.2")
    clock.now += passwords.CACHE_SECONDS + passwords.RECENT_SECONDS + 1
    guesses(checker, 1, "192.0.2.1")
    with pytest.raises(TooManyFailuresError):
        checker.check("bob", "word", "192.0.2.1")


def threads_of_a_process() -> int:
    """Return how many requests one of Apache's processes handles at a time."""
    return int(re.search(r"^ThreadsPerChild (\d+)$", ansible_templates.render(PROCESSES), re.MULTILINE)[1])


def test_a_flood_on_all_processes(htpasswd: Path, tmp_path: Path, clock: Clock, runs: Runs) -> None:
    """Every thread of every process gets a wrong password, from everywhere: remembered and recent users are served.

    As in Apache, a process has so many threads and no more: what is not answered at once holds one of them.
    """
    (directory := tmp_path / "shared").mkdir(mode=0o700)
    threads = threads_of_a_process()
    assert passwords.MAX_RUNS < passwords.MAX_WAITING < passwords.MAX_PENDING < threads
    processes = [Checker(HtpasswdFile(htpasswd), directory, 20, clock) for _ in range(3)]
    assert processes[0].check("bob", "word") is True
    clock.now += passwords.CACHE_SECONDS + 1
    assert processes[0].check("alice", "right") is True
    runs.hold.clear()
    free = [threading.Semaphore(threads) for _ in processes]
    crowds = []
    for number, (checker, room) in enumerate(zip(processes, free, strict=True)):
        crowd = Process(checker, room)
        # First distinct ones, then the same ones once more on all connections, from one address each.
        crowd.comes(*[("x", f"{number} {guess}", f"10.{number}.0.{guess}") for guess in range(passwords.MAX_WAITING)])
        wait_until(lambda checker=checker: waiting(checker) == passwords.MAX_WAITING)
        crowd.comes(*[("x", f"{number} {guess % 16}", f"10.{number}.0.{guess % 16}") for guess in range(threads)])
        crowds.append(crowd)
    for checker, room in zip(processes, free, strict=True):
        wait_until(lambda checker=checker: checker._pending == passwords.MAX_PENDING)
        wait_until(lambda room=room: room._value == threads - passwords.MAX_PENDING)
        for _ in range(5):
            assert checker.check("alice", "right") is True
    recent = [Crowd(checker) for checker in processes]
    before = runs.running
    for crowd in recent:
        crowd.comes(("bob", "word"))
    wait_until(lambda: runs.running == before + len(processes))
    runs.hold.set()
    assert [crowd.goes() for crowd in recent] == [{True: 1}] * 3
    for crowd in crowds:
        assert set(crowd.goes()) <= {None, BusyError}


class Process(Crowd):
    """Requests to a process, of which each needs one of its threads."""

    def __init__(self, checker: Checker, room: threading.Semaphore):
        super().__init__(checker)
        self._room = room

    def _ask(self, *request: str) -> None:
        assert self._room.acquire(timeout=TIMEOUT)
        try:
            super()._ask(*request)
        finally:
            self._room.release()


def test_a_refusal_is_cheap(htpasswd: Path, clock: Clock) -> None:
    """mod_wsgi formats each exception: it has one frame of this module, and no other exception behind it."""
    checker = Checker(HtpasswdFile(htpasswd), max_failures=1, clock=clock)
    guesses(checker, 1, "192.0.2.1")
    caught = []
    for _ in range(3):
        with pytest.raises(TooManyFailuresError) as error:
            checker.check("alice", "right")
        caught.append(error.value)
    assert len({id(error) for error in caught}) == 3
    for error in caught:
        assert error.__context__ is error.__cause__ is None
        assert error.__traceback__.tb_next.tb_next.tb_next is None


def test_log_lines_are_bounded(htpasswd: Path, clock: Clock, capsys: pytest.CaptureFixture) -> None:
    """One line per ten seconds tells how many were turned away, and none of them goes uncounted."""
    checker = Checker(HtpasswdFile(htpasswd), max_failures=1, clock=clock)
    guesses(checker, 1, "192.0.2.1")
    for _ in range(1000):
        with pytest.raises(TooManyFailuresError):
            checker.check("alice", "right")
    (line,) = capsys.readouterr().err.splitlines()
    assert "from 192.0.2.1 " in line
    assert "right" not in line
    clock.now += passwords.LOG_INTERVAL
    with pytest.raises(TooManyFailuresError):
        checker.check("alice", "right")
    (line,) = capsys.readouterr().err.splitlines()
    assert "(999 times since the last such line)" in line
    for _ in range(7):
        with pytest.raises(TooManyFailuresError):
            checker.check("alice", "right")
    clock.now += passwords.LOG_INTERVAL
    assert checker.check("bob", "word", "192.0.2.9") is True
    (line,) = capsys.readouterr().err.splitlines()
    assert "(8 times since the last such line)" in line


def test_a_damaged_file_is_logged(
    checker: Checker, htpasswd: Path, clock: Clock, capsys: pytest.CaptureFixture
) -> None:
    """With the reason and the file's name, without a hash, in one line, whatever the user is called."""
    for text in (f"alice:{ALICE}:never\n", "alice:x\n", None):
        if text is None:
            htpasswd.unlink()
        else:
            replace(htpasswd, text)
        for _ in range(20):
            with pytest.raises((OSError, ValueError)):
                checker.check("al\nice", "right")
        (line,) = capsys.readouterr().err.splitlines()
        assert str(htpasswd) in line
        assert "$2y$" not in line
        clock.now += 100
        checker._log._kinds.clear()


def test_an_error_that_nobody_expected_is_logged(
    checker: Checker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The site's LogLevel hides what mod_wsgi would log of it."""
    monkeypatch.setattr(passwords, "matches", lambda *_arguments: {}["missing"])
    with pytest.raises(KeyError):
        checker.check("alice", "right")
    (line,) = capsys.readouterr().err.splitlines()
    assert "KeyError('missing')" in line
    assert "test_wrong_passwords.py line" in line
