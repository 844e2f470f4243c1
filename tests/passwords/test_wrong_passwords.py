"""Wrong passwords: their cost, and limits that keep a flood from blocking other users."""

import re
import threading
from pathlib import Path

import pytest
from support import ansible_templates
from support.files import replace
from support.passwords import ALICE, BOB, Checker, Clock, Runs, hashed, passwords
from support.processes import PATIENCE as TIMEOUT
from test_checker import ConcurrentRequests, following, wait_until, waiting

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


@pytest.mark.parametrize(("user", "password", "expected"), [("alice", "wrong", False), ("carol", "right", None)])
def test_caches_wrong_password(
    checker: Checker, runs: Runs, clock: Clock, user: str, password: str, expected: bool | None
) -> None:
    """A repeated wrong password calls bcrypt once per minute, from any number of addresses."""
    for number in range(50):
        assert checker.check(user, password, f"192.0.2.{number}") is expected
    assert len(runs.calls) == 1
    clock.now += passwords.WRONG_CACHE_SECONDS + 1
    assert checker.check(user, password) is expected
    assert len(runs.calls) == 2


def test_repeated_wrong_password_counts_once(htpasswd: Path, clock: Clock, runs: Runs) -> None:
    """The same wrong password, repeated, does not lock out other users with the same address."""
    checker = Checker(HtpasswdFile(htpasswd), max_failures=2, clock=clock)
    for _ in range(50):
        assert checker.check("alice", "wrong") is False
    assert checker.check("alice", "right") is True
    assert checker.check("bob", "word") is True
    assert len(runs.calls) == 3


def test_changed_password_invalidates_cached_failure(checker: Checker, htpasswd: Path) -> None:
    """A new password is accepted at once, even if it was tried before."""
    assert checker.check("alice", "new") is False
    replace(htpasswd, f"alice:{hashed('new')}\nbob:{BOB}\n")
    assert checker.check("alice", "new") is True
    assert checker.check("carol", "right") is None
    replace(htpasswd, f"bob:{BOB}\ncarol:{ALICE}\n")
    assert checker.check("carol", "right") is True


def test_cache_of_failures_is_bounded(
    htpasswd: Path, clock: Clock, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of cached wrong passwords is limited."""
    monkeypatch.setattr(passwords, "CACHE_SIZE", 3)
    checker = Checker(HtpasswdFile(htpasswd), max_failures=100, clock=clock)
    guesses(checker, 10, "192.0.2.1")
    assert len(checker._wrong) == 3
    assert len(runs.calls) == 10


def test_limits_failures_of_an_address(htpasswd: Path, clock: Clock, runs: Runs) -> None:
    """After a number of distinct wrong passwords within a minute, an address gets no more bcrypt calls."""
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
def test_groups_addresses(htpasswd: Path, clock: Clock, address: str, same: list[str], other: list[str]) -> None:
    """A /64 of IPv6 counts as one client, and so does an IPv4 address in any notation."""
    checker = Checker(HtpasswdFile(htpasswd), max_failures=1, clock=clock)
    guesses(checker, 1, address)
    for one in same:
        with pytest.raises(TooManyFailuresError):
            checker.check("alice", "another", one)
    for number, one in enumerate(other):
        assert checker.check("alice", f"another {number}", one) in (False, None)
        break


def test_number_of_addresses_is_bounded(
    htpasswd: Path, clock: Clock, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The least recently used addresses are evicted; those without failures are not stored."""
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


def test_address_has_a_quarter_of_the_queue(checker: Checker, runs: Runs) -> None:
    """One client with many connections cannot fill the queue of unknown passwords."""
    share = passwords.MAX_WAITING_PER_ADDRESS
    assert 0 < share <= passwords.MAX_WAITING / 4
    runs.hold.clear()
    requests = ConcurrentRequests(checker)
    requests.start(*[("alice", f"guess {number}", "192.0.2.1") for number in range(share)])
    wait_until(lambda: waiting(checker) == share)
    with pytest.raises(BusyError, match="MAX_WAITING_PER_ADDRESS"):
        checker.check("alice", "right", "192.0.2.1")
    requests.start(("alice", "right", "192.0.2.2"))
    wait_until(lambda: waiting(checker) == share + 1)
    runs.hold.set()
    assert requests.join() == {False: share, True: 1}
    assert checker.check("bob", "word", "192.0.2.1") is True


def test_limits_threads_of_unknown_passwords(checker: Checker, runs: Runs) -> None:
    """Requests that wait for another request's check occupy threads, whose number is limited."""
    assert checker.check("bob", "word") is True
    runs.hold.clear()
    requests = ConcurrentRequests(checker)
    requests.start(("alice", "guess"), *[("alice", "wrong")] * (passwords.MAX_PENDING - 1))
    wait_until(lambda: following(checker) == passwords.MAX_PENDING - 2)
    with pytest.raises(BusyError, match="MAX_PENDING"):
        checker.check("alice", "wrong")
    assert checker.check("bob", "word") is True
    runs.hold.set()
    assert requests.join() == {False: passwords.MAX_PENDING}
    assert checker._pending == 0
    assert checker._waiting == 0


def test_one_login_may_occupy_all_threads(checker: Checker, runs: Runs) -> None:
    """Many clients with one login are served by one check, even if all of them start without a cache."""
    runs.hold.clear()
    requests = ConcurrentRequests(checker)
    requests.start(*[("alice", "right")] * (2 * passwords.MAX_PENDING))
    wait_until(lambda: following(checker) == 2 * passwords.MAX_PENDING - 1)
    runs.hold.set()
    assert requests.join() == {True: 2 * passwords.MAX_PENDING}
    assert len(runs.calls) == 1


def test_recent_password_bypasses_limits(htpasswd: Path, clock: Clock, runs: Runs) -> None:
    """A password that was correct within the last hour is checked despite floods and limits."""
    checker = Checker(HtpasswdFile(htpasswd), max_failures=1, clock=clock)
    assert checker.check("bob", "word", "192.0.2.1") is True
    clock.now += passwords.CACHE_SECONDS + passwords.RECENT_SECONDS - 1
    runs.hold.clear()
    requests = ConcurrentRequests(checker)
    requests.start(*[("alice", f"guess {number}", f"192.0.2.{number}") for number in range(passwords.MAX_WAITING)])
    wait_until(lambda: waiting(checker) == passwords.MAX_WAITING)
    wait_until(lambda: runs.running == passwords.MAX_RUNS)
    newcomer = ConcurrentRequests(checker)
    newcomer.start(("bob", "word", "192.0.2.1"))
    # Only bcrypt is blocked here: the check can start since it has a place of its own.
    wait_until(lambda: runs.running == passwords.MAX_RUNS + 1)
    runs.hold.set()
    assert newcomer.join() == {True: 1}
    requests.join()
    with pytest.raises(TooManyFailuresError):
        checker.check("alice", "right", "192.0.2.1")
    assert checker.check("bob", "word", "192.0.2.1") is True
    clock.now += passwords.CACHE_SECONDS + 10
    guesses(checker, 1, "192.0.2.1", "later")
    assert checker.check("bob", "word", "192.0.2.1") is True


def test_recent_password_expires(htpasswd: Path, clock: Clock) -> None:
    """After an hour a password is unknown again, also shortly after the host has started."""
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
    """Return the number of threads of one of Apache's processes."""
    return int(re.search(r"^ThreadsPerChild (\d+)$", ansible_templates.render(PROCESSES), re.MULTILINE)[1])


def test_flood_on_all_processes(htpasswd: Path, tmp_path: Path, clock: Clock, runs: Runs) -> None:
    """With wrong passwords on every thread of every process, users with cached or recent passwords are served.

    As in Apache, the number of threads is limited, and a request that waits occupies one of them.
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
    groups = []
    for number, (checker, semaphore) in enumerate(zip(processes, free, strict=True)):
        requests = Process(checker, semaphore)
        # First distinct passwords, then the same ones on all connections, each from one address.
        requests.start(
            *[("x", f"{number} {guess}", f"10.{number}.0.{guess}") for guess in range(passwords.MAX_WAITING)]
        )
        wait_until(lambda checker=checker: waiting(checker) == passwords.MAX_WAITING)
        requests.start(*[("x", f"{number} {guess % 16}", f"10.{number}.0.{guess % 16}") for guess in range(threads)])
        groups.append(requests)
    for checker, semaphore in zip(processes, free, strict=True):
        wait_until(lambda checker=checker: checker._pending == passwords.MAX_PENDING)
        wait_until(lambda semaphore=semaphore: semaphore._value == threads - passwords.MAX_PENDING)
        for _ in range(5):
            assert checker.check("alice", "right") is True
    recent = [ConcurrentRequests(checker) for checker in processes]
    before = runs.running
    for requests in recent:
        requests.start(("bob", "word"))
    wait_until(lambda: runs.running == before + len(processes))
    runs.hold.set()
    assert [requests.join() for requests in recent] == [{True: 1}] * 3
    for requests in groups:
        assert set(requests.join()) <= {None, BusyError}


class Process(ConcurrentRequests):
    """Requests to a process, each of which occupies one of its threads."""

    def __init__(self, checker: Checker, free_threads: threading.Semaphore):
        super().__init__(checker)
        self._free_threads = free_threads

    def _ask(self, *request: str) -> None:
        assert self._free_threads.acquire(timeout=TIMEOUT)
        try:
            super()._ask(*request)
        finally:
            self._free_threads.release()


def test_rejections_have_short_tracebacks(htpasswd: Path, clock: Clock) -> None:
    """mod_wsgi formats each exception, so it has one frame of this module and no context."""
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
    """At most one line in ten seconds is logged, with the number of rejections."""
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


def test_logs_damaged_file(checker: Checker, htpasswd: Path, clock: Clock, capsys: pytest.CaptureFixture) -> None:
    """The line contains the reason and the file's name, but no hash and no line breaks of user names."""
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


def test_logs_unexpected_error(
    checker: Checker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The error is logged by the checker, since the site's LogLevel hides that of mod_wsgi."""
    monkeypatch.setattr(passwords, "matches", lambda *_arguments: {}["missing"])
    with pytest.raises(KeyError):
        checker.check("alice", "right")
    (line,) = capsys.readouterr().err.splitlines()
    assert "KeyError('missing')" in line
    assert "test_wrong_passwords.py line" in line
