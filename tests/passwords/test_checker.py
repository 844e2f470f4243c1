"""The password checker for Apache: results, cache, concurrency and resource limits."""

import gc
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest
from support import short
from support.files import HARM, keep_time, replace
from support.passwords import ALICE, BOB, TIMEOUT, Checker, Clock, Runs, hashed, passwords

HtpasswdFile, BusyError = passwords.HtpasswdFile, passwords.BusyError


@pytest.mark.parametrize(
    ("user", "password", "expected"),
    [
        ("alice", "right", True),
        ("bob", "word", True),
        ("alice", "wrong", False),
        ("alice", "word", False),
        ("alice", "", False),
        ("alice", "Right", False),
        ("alice", "right ", False),
        ("alice", ALICE, False),
        ("carol", "right", None),
        ("Alice", "right", None),
        ("", "", None),
        ("", "right", None),
        ("alice:", "right", None),
        ("alice\nbob", "right", None),
    ],
    ids=short,
)
def test_results(checker: Checker, user: str, password: str, expected: bool | None) -> None:
    """mod_wsgi expects True, False for a wrong password, and None for an unknown user. Cached results are the same."""
    assert checker.check(user, password) is expected
    assert checker.check(user, password) is expected


def test_caches_correct_password(checker: Checker, runs: Runs) -> None:
    """Repeated requests call bcrypt once."""
    for _ in range(5):
        assert checker.check("alice", "right") is True
    assert len(runs.calls) == 1


def test_cache_is_keyed_by_user_and_password(checker: Checker, runs: Runs) -> None:
    """A cached login does not affect other passwords or users."""
    assert checker.check("alice", "right")
    assert checker.check("alice", "wrong") is False
    assert checker.check("bob", "right") is False
    assert checker.check("carol", "right") is None
    assert checker.check("alice", "right") is True
    assert len(runs.calls) == 4


def cached_pairs(checker: Checker) -> int:
    """Return the number of cached correct passwords."""
    return len(checker._until)


def test_cache_entry_expires(checker: Checker, runs: Runs, clock: Clock) -> None:
    """A cached password is checked again after a fixed time, however often it is used."""
    checker.check("alice", "right")
    clock.now += passwords.CACHE_SECONDS - 1
    assert checker.check("alice", "right")
    assert len(runs.calls) == 1
    clock.now += 2
    assert checker.check("alice", "right")
    assert len(runs.calls) == 2
    assert passwords.CACHE_SECONDS <= 600


def test_cache_is_bounded(checker: Checker, runs: Runs, monkeypatch: pytest.MonkeyPatch, htpasswd: Path) -> None:
    """The oldest entry is evicted if the cache is full."""
    monkeypatch.setattr(passwords, "CACHE_SIZE", 3)
    users = ["a", "b", "c", "d"]
    htpasswd.write_text("".join(f"{user}:{ALICE}\n" for user in users))
    for user in users:
        assert checker.check(user, "right")
    assert cached_pairs(checker) == 3
    runs.calls.clear()
    for user in ("d", "c", "b"):
        assert checker.check(user, "right")
    assert runs.calls == []
    assert checker.check("a", "right")
    assert len(runs.calls) == 1


NEW = hashed("other")


@pytest.mark.parametrize("how", [replace, keep_time], ids=["replaced", "same size and time"])
def test_changed_password_invalidates_cache(checker: Checker, htpasswd: Path, how: Callable) -> None:
    """A changed password takes effect with the next request."""
    assert checker.check("alice", "right")
    assert checker.check("bob", "word")
    how(htpasswd, f"alice:{NEW}\nbob:{BOB}\n")
    assert checker.check("alice", "right") is False
    assert checker.check("alice", "other") is True
    assert checker.check("bob", "word") is True


def test_changed_password_keeps_other_entries(checker: Checker, htpasswd: Path, runs: Runs) -> None:
    """A changed password of one user keeps the cached ones of others."""
    checker.check("bob", "word")
    replace(htpasswd, f"alice:{NEW}\nbob:{BOB}\n")
    runs.calls.clear()
    assert checker.check("bob", "word")
    assert runs.calls == []


def test_removed_user_is_rejected(checker: Checker, htpasswd: Path) -> None:
    """A removed or restored user takes effect with the next request."""
    assert checker.check("alice", "right")
    text = htpasswd.read_text()
    replace(htpasswd, f"bob:{BOB}\n")
    assert checker.check("alice", "right") is None
    replace(htpasswd, text)
    assert checker.check("alice", "right") is True


def test_unchanged_file_is_not_read_again(checker: Checker, htpasswd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is read only if it has changed, since it may be large."""
    checker.check("alice", "right")
    monkeypatch.setattr(Path, "read_text", None)
    assert checker.check("alice", "right")
    monkeypatch.undo()
    assert htpasswd.exists()


def test_unknown_user_takes_equal_time(checker: Checker, runs: Runs, htpasswd: Path) -> None:
    """A dummy hash of equal cost prevents user enumeration by timing."""
    for cost, password_hash in ((4, ALICE), (5, BOB)):
        replace(htpasswd, f"someone:{password_hash}\n")
        runs.calls.clear()
        assert checker.check("someone", "wrong") is False
        assert checker.check("nobody", "wrong") is None
        (_, real), (_, decoy) = runs.calls
        assert real.decode() == password_hash
        assert decoy[:7] == real[:7] == f"$2y$0{cost}$".encode()
        assert len(decoy) == len(real) == 60


def test_no_users(checker: Checker, runs: Runs, htpasswd: Path) -> None:
    """Without users, every login is rejected after a check of a dummy hash."""
    runs.use(lambda _password, _hash: False)  # at the cost of 12 it would take its time
    for text in ("", "\n\n", "# alice:x\n"):
        replace(htpasswd, text)
        assert checker.check("alice", "right") is None
        assert checker.check("# alice", "x") is None
    assert {decoy[:7] for _, decoy in runs.calls} == {b"$2y$12$"}


def test_dummy_hash_matches_no_password(checker: Checker) -> None:
    """No password of an unknown user is accepted."""
    passwords_tried = ["", ".", "right", "word"]
    assert [checker.check("nobody", password) for password in passwords_tried] == [None] * 4


def test_unknown_user_is_rejected_if_dummy_hash_matches(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result for an unknown user does not depend on bcrypt."""
    monkeypatch.setattr(bcrypt, "checkpw", lambda _password, _hash: True)
    for _ in range(2):
        assert checker.check("nobody", "x") is None


@pytest.mark.parametrize(
    "password",
    ["x" * 73, "x" * 100_000, "right\0", "\0", "right\0more", "ä" * 40, "right" + "\0" * 80, "\N{SNOWMAN}" * 25],
    ids=short,
)
@pytest.mark.parametrize("user", ["alice", "nobody"])
def test_rejects_passwords_unsupported_by_bcrypt(checker: Checker, runs: Runs, user: str, password: str) -> None:
    """Passwords that are too long or contain NUL are wrong, whatever the version of bcrypt does with them."""
    assert checker.check(user, password) is (False if user == "alice" else None)
    assert len(runs.calls) == 1
    assert all(len(asked) <= 72 and b"\0" not in asked for asked, _ in runs.calls)


def test_rejects_password_with_correct_prefix(checker: Checker, htpasswd: Path) -> None:
    """Passwords are not truncated to 72 bytes, as bcrypt may do."""
    replace(htpasswd, f"alice:{hashed('x' * 72)}\n")
    assert checker.check("alice", "x" * 72) is True
    assert checker.check("alice", "x" * 73) is False
    assert checker.check("alice", "x" * 72 + "\0") is False


@pytest.mark.parametrize("kind", ["$2a$", "$2b$", "$2y$"])
def test_accepts_all_bcrypt_variants(checker: Checker, htpasswd: Path, kind: str) -> None:
    """The variants 2a, 2b and 2y are equivalent."""
    replace(htpasswd, f"alice:{ALICE.replace('$2y$', kind)}\n")
    assert checker.check("alice", "right") is True
    assert checker.check("alice", "wrong") is False


@pytest.mark.parametrize("line", ["alice:", "alice", "alice: ", ":right", "alice:\n\nalice"])
def test_rejects_user_without_hash(checker: Checker, htpasswd: Path, line: str) -> None:
    """An empty hash matches no password."""
    replace(htpasswd, f"bob:{BOB}\n{line}\n")
    assert checker.check("alice", "") is None
    assert checker.check("alice", "right") is None


@pytest.mark.parametrize("password_hash", ["right", "{SHA}x", "$apr1$x$y", "$2y$12$", "$2y$99$" + "a" * 53, "$6$x$y"])
def test_rejects_invalid_hash(checker: Checker, htpasswd: Path, password_hash: str) -> None:
    """An invalid hash raises ValueError and leaves no state."""
    replace(htpasswd, f"bob:{BOB}\nalice:{password_hash}\n")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"."):
            checker.check("alice", "right")
    assert checker.check("bob", "word") is True
    assert cached_pairs(checker) == 1


@pytest.mark.parametrize("harm", HARM)
def test_rejects_all_if_file_is_unreadable(checker: Checker, htpasswd: Path, harm: Callable) -> None:
    """While the file is unreadable, cached passwords are rejected as well (fail closed)."""
    assert checker.check("alice", "right")
    text = htpasswd.read_text()
    harm(htpasswd)
    for _ in range(2):
        with pytest.raises((OSError, ValueError)):
            checker.check("alice", "right")
    if htpasswd.is_dir():
        htpasswd.rmdir()
    htpasswd.write_text(text)
    assert checker.check("alice", "right") is True


def test_missing_file_at_start(tmp_path: Path) -> None:
    """A checker can be created without a file, and rejects every login."""
    checker = Checker(HtpasswdFile(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        checker.check("alice", "right")


class ConcurrentRequests:
    """Requests in threads, and their results."""

    def __init__(self, checker: Checker):
        self._checker = checker
        self._lock = threading.Lock()
        self.results: list[object] = []
        self.threads: list[threading.Thread] = []

    def _ask(self, *request: str) -> None:
        try:
            result: object = self._checker.check(*request)
        except Exception as error:  # noqa: BLE001  (it is what the test looks at)
            result = type(error)
        with self._lock:
            self.results.append(result)

    def start(self, *requests: tuple[str, ...]) -> None:
        """Start requests: user, password, and optionally the address."""
        for request in requests:
            self.threads.append(threading.Thread(target=self._ask, args=request, daemon=True))
            self.threads[-1].start()

    def join(self) -> Counter:
        """Wait for all results."""
        for thread in self.threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
        return Counter(self.results)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until another thread fulfils a condition."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def waiting(checker: Checker) -> int:
    """Return the number of pairs that wait for bcrypt or are being checked."""
    return len(checker._running)


def following(checker: Checker) -> int:
    """Return the number of requests that wait for another request's check."""
    return sum(len(done._cond._waiters) for done in checker._running.values())


def test_concurrent_requests_share_one_check(checker: Checker, runs: Runs) -> None:
    """Fifty concurrent requests with one password call bcrypt once, and all are accepted."""
    runs.hold.clear()
    requests = ConcurrentRequests(checker)
    requests.start(*[("alice", "right")] * 50)
    wait_until(lambda: following(checker) == 49)
    assert waiting(checker) == 1
    runs.hold.set()
    assert requests.join() == {True: 50}
    assert len(runs.calls) == 1
    assert waiting(checker) == 0


def test_concurrent_wrong_requests_share_one_check(checker: Checker, runs: Runs) -> None:
    """Fifty concurrent requests with one wrong password call bcrypt once, and all are rejected."""
    runs.hold.clear()
    requests = ConcurrentRequests(checker)
    requests.start(*[("alice", "wrong")] * 50)
    wait_until(lambda: following(checker) == 49)
    runs.hold.set()
    assert requests.join() == {False: 50}
    assert len(runs.calls) == 1


def test_rechecks_cache_before_bcrypt(checker: Checker, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that missed the cache just before another check completed starts no second check (race)."""
    remembered = checker._is_cached

    def too_early(pair: bytes) -> bool:
        found = remembered(pair)
        monkeypatch.undo()
        monkeypatch.setattr(bcrypt, "checkpw", runs)
        assert checker.check("alice", "right")
        return found

    monkeypatch.setattr(checker, "_is_cached", too_early)
    assert checker.check("alice", "right")
    assert len(runs.calls) == 1


def test_flood_does_not_block_cached_users(checker: Checker, runs: Runs) -> None:
    """In a flood of wrong passwords, a limited number is checked, and users with cached passwords are accepted."""
    assert checker.check("bob", "word")
    runs.calls.clear()
    runs.hold.clear()
    requests = ConcurrentRequests(checker)
    requests.start(*[("alice", f"guess {number}", f"192.0.2.{number}") for number in range(passwords.MAX_WAITING)])
    wait_until(lambda: waiting(checker) == passwords.MAX_WAITING)
    wait_until(lambda: runs.running == passwords.MAX_RUNS)
    for user in ("alice", "nobody"):
        with pytest.raises(BusyError):
            checker.check(user, "one more", "198.51.100.1")
    assert checker.check("bob", "word") is True
    assert len(runs.calls) == passwords.MAX_RUNS
    runs.hold.set()
    assert requests.join() == {False: passwords.MAX_WAITING}
    assert runs.most_running == passwords.MAX_RUNS
    assert checker.check("alice", "right") is True
    assert cached_pairs(checker) == 2
    assert waiting(checker) == 0


@pytest.mark.parametrize("error", [ValueError("no hash"), MemoryError(), KeyboardInterrupt()], ids=repr)
def test_failed_check_releases_waiting_requests(
    checker: Checker, runs: Runs, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Requests that wait for a failed check are rejected, and the next request starts a new check."""
    start = threading.Event()

    def fail(_password: bytes, _hash: bytes) -> bool:
        assert start.wait(TIMEOUT)
        raise error

    monkeypatch.setattr(threading, "excepthook", lambda _arguments: None)
    monkeypatch.setattr(bcrypt, "checkpw", fail)
    requests = ConcurrentRequests(checker)
    requests.start(*[("alice", "right")] * 6)
    wait_until(lambda: following(checker) == 5)
    start.set()
    results = requests.join()
    assert results[False] == 5
    assert True not in results
    assert waiting(checker) == 0
    monkeypatch.setattr(bcrypt, "checkpw", runs)
    assert checker.check("alice", "right") is True


def reachable(root: object) -> list[object]:
    """Return all objects that are reachable from an object, except modules and classes."""
    seen: dict[int, object] = {}
    work = [root]
    while work:
        one = work.pop()
        if id(one) in seen or isinstance(one, (type, type(gc), type(reachable))):
            continue
        seen[id(one)] = one
        work += [*gc.get_referents(one), *(one if isinstance(one, dict) else ())]
    return list(seen.values())


def test_memory_contains_no_password(checker: Checker) -> None:
    """Memory contains neither passwords nor plain digests of them."""
    secret, wrong = "canary-right-7531", "canary-wrong-7531"
    checker._file.path.write_text(f"alice:{hashed(secret)}\n")
    assert checker.check("alice", secret) is True
    assert checker.check("alice", wrong) is False
    assert checker.check("nobody", wrong) is None
    found = reachable(checker)
    texts = [one.encode() if isinstance(one, str) else one for one in found if isinstance(one, (str, bytes))]
    assert b"alice" in texts
    forbidden = [text.encode() for text in (secret, wrong)]
    for digest in ("md5", "sha1", "sha256", "sha512"):
        forbidden += [hashlib.new(digest, text).digest() for text in forbidden[:2]]
        forbidden += [hashlib.new(digest, b"alice" + between + secret.encode()).digest() for between in (b"", b"\0")]
    for text in forbidden:
        assert [one for one in texts if text in one] == []


def test_without_a_directory_every_process_has_its_own_key(htpasswd: Path, clock: Clock) -> None:
    """Cache keys of a process are of no use in another one, or after a restart."""
    kept = []
    for _ in range(2):
        checker = Checker(HtpasswdFile(htpasswd), clock=clock)
        checker.check("alice", "right")
        kept.append(set(checker._until))
    assert len(kept[0]) == len(kept[1]) == 1
    assert kept[0].isdisjoint(kept[1])
