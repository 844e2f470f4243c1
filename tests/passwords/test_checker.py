"""Passwords for Apache: who gets in, what is remembered, and what the rest cannot do to those who are in."""

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
    ("user", "password", "answer"),
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
def test_who_gets_in(checker: Checker, user: str, password: str, answer: bool | None) -> None:
    """True, False and None are what mod_wsgi understands: in, a wrong password, no such user. Twice the same."""
    assert checker.check(user, password) is answer
    assert checker.check(user, password) is answer


def test_remembered(checker: Checker, runs: Runs) -> None:
    """A pip run asks for hundreds of files, and bcrypt runs once for all of them."""
    for _ in range(5):
        assert checker.check("alice", "right") is True
    assert len(runs.calls) == 1


def test_only_the_pair_is_remembered(checker: Checker, runs: Runs) -> None:
    """While alice is in, nobody gets in under her name with another password, or with hers under another name."""
    assert checker.check("alice", "right")
    assert checker.check("alice", "wrong") is False
    assert checker.check("bob", "right") is False
    assert checker.check("carol", "right") is None
    assert checker.check("alice", "right") is True
    assert len(runs.calls) == 4


def sizes(checker: Checker) -> int:
    """Return how many pairs a checker remembers as right."""
    return len(checker._until)


def test_forgotten(checker: Checker, runs: Runs, clock: Clock) -> None:
    """After a while a password is looked at again, however often it was used in between."""
    checker.check("alice", "right")
    clock.now += passwords.CACHE_SECONDS - 1
    assert checker.check("alice", "right")
    assert len(runs.calls) == 1
    clock.now += 2
    assert checker.check("alice", "right")
    assert len(runs.calls) == 2
    assert passwords.CACHE_SECONDS <= 600


def test_bounded(checker: Checker, runs: Runs, monkeypatch: pytest.MonkeyPatch, htpasswd: Path) -> None:
    """Memory does not grow with the users: the one who came first is forgotten first."""
    monkeypatch.setattr(passwords, "CACHE_SIZE", 3)
    users = ["a", "b", "c", "d"]
    htpasswd.write_text("".join(f"{user}:{ALICE}\n" for user in users))
    for user in users:
        assert checker.check(user, "right")
    assert sizes(checker) == 3
    runs.calls.clear()
    for user in ("d", "c", "b"):
        assert checker.check(user, "right")
    assert runs.calls == []
    assert checker.check("a", "right")
    assert len(runs.calls) == 1


NEW = hashed("other")


@pytest.mark.parametrize("how", [replace, keep_time], ids=["replaced", "same size and time"])
def test_a_new_password(checker: Checker, htpasswd: Path, how: Callable) -> None:
    """It holds with the next request, and the old one, remembered or not, does not."""
    assert checker.check("alice", "right")
    assert checker.check("bob", "word")
    how(htpasswd, f"alice:{NEW}\nbob:{BOB}\n")
    assert checker.check("alice", "right") is False
    assert checker.check("alice", "other") is True
    assert checker.check("bob", "word") is True


def test_others_are_still_remembered(checker: Checker, htpasswd: Path, runs: Runs) -> None:
    """One user's new password does not send all the others through bcrypt again."""
    checker.check("bob", "word")
    replace(htpasswd, f"alice:{NEW}\nbob:{BOB}\n")
    runs.calls.clear()
    assert checker.check("bob", "word")
    assert runs.calls == []


def test_a_removed_user(checker: Checker, htpasswd: Path) -> None:
    """Who is taken off the list is out with the next request; and back with the one after they are put on it."""
    assert checker.check("alice", "right")
    text = htpasswd.read_text()
    replace(htpasswd, f"bob:{BOB}\n")
    assert checker.check("alice", "right") is None
    replace(htpasswd, text)
    assert checker.check("alice", "right") is True


def test_an_unchanged_file_is_not_read_again(checker: Checker, htpasswd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a thousand users, reading it with each request would be what takes the time."""
    checker.check("alice", "right")
    monkeypatch.setattr(Path, "read_text", None)
    assert checker.check("alice", "right")
    monkeypatch.undo()
    assert htpasswd.exists()


def test_an_unknown_user_takes_as_long(checker: Checker, runs: Runs, htpasswd: Path) -> None:
    """Neither time nor work tells which users there are: one run for nobody too, of the same cost."""
    for cost, password_hash in ((4, ALICE), (5, BOB)):
        replace(htpasswd, f"someone:{password_hash}\n")
        runs.calls.clear()
        assert checker.check("someone", "wrong") is False
        assert checker.check("nobody", "wrong") is None
        (_, real), (_, decoy) = runs.calls
        assert real.decode() == password_hash
        assert decoy[:7] == real[:7] == f"$2y$0{cost}$".encode()
        assert len(decoy) == len(real) == 60


def test_nobody_at_all(checker: Checker, runs: Runs, htpasswd: Path) -> None:
    """An empty list means nobody, and nobody is told that it is empty."""
    runs.use(lambda _password, _hash: False)  # at the cost of 12 it would take its time
    for text in ("", "\n\n", "# alice:x\n"):
        replace(htpasswd, text)
        assert checker.check("alice", "right") is None
        assert checker.check("# alice", "x") is None
    assert {decoy[:7] for _, decoy in runs.calls} == {b"$2y$12$"}


def test_the_decoy_fits_nothing(checker: Checker) -> None:
    """Whatever bcrypt says of it, nobody is let in by a hash that no user has."""
    passwords_tried = ["", ".", "right", "word"]
    assert [checker.check("nobody", password) for password in passwords_tried] == [None] * 4


def test_not_even_if_it_did(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer for an unknown user does not depend on bcrypt."""
    monkeypatch.setattr(bcrypt, "checkpw", lambda _password, _hash: True)
    for _ in range(2):
        assert checker.check("nobody", "x") is None


@pytest.mark.parametrize(
    "password",
    ["x" * 73, "x" * 100_000, "right\0", "\0", "right\0more", "ä" * 40, "right" + "\0" * 80, "\N{SNOWMAN}" * 25],
    ids=short,
)
@pytest.mark.parametrize("user", ["alice", "nobody"])
def test_passwords_that_bcrypt_does_not_take(checker: Checker, runs: Runs, user: str, password: str) -> None:
    """They are wrong, and no exception of one version of bcrypt or silent shortening of another."""
    assert checker.check(user, password) is (False if user == "alice" else None)
    assert len(runs.calls) == 1
    assert all(len(asked) <= 72 and b"\0" not in asked for asked, _ in runs.calls)


def test_the_beginning_of_a_password(checker: Checker, htpasswd: Path) -> None:
    """bcrypt would take any password for right that begins with 72 right bytes."""
    replace(htpasswd, f"alice:{hashed('x' * 72)}\n")
    assert checker.check("alice", "x" * 72) is True
    assert checker.check("alice", "x" * 73) is False
    assert checker.check("alice", "x" * 72 + "\0") is False


@pytest.mark.parametrize("kind", ["$2a$", "$2b$", "$2y$"])
def test_kinds_of_hashes(checker: Checker, htpasswd: Path, kind: str) -> None:
    """Each kind that the settings accept lets its user in."""
    replace(htpasswd, f"alice:{ALICE.replace('$2y$', kind)}\n")
    assert checker.check("alice", "right") is True
    assert checker.check("alice", "wrong") is False


@pytest.mark.parametrize("line", ["alice:", "alice", "alice: ", ":right", "alice:\n\nalice"])
def test_a_user_without_a_hash(checker: Checker, htpasswd: Path, line: str) -> None:
    """No hash is no password, and not one that everything fits."""
    replace(htpasswd, f"bob:{BOB}\n{line}\n")
    assert checker.check("alice", "") is None
    assert checker.check("alice", "right") is None


@pytest.mark.parametrize("password_hash", ["right", "{SHA}x", "$apr1$x$y", "$2y$12$", "$2y$99$" + "a" * 53, "$6$x$y"])
def test_a_hash_that_is_none(checker: Checker, htpasswd: Path, password_hash: str) -> None:
    """It refuses, by an error that says so, and the next request finds nothing left over from it."""
    replace(htpasswd, f"bob:{BOB}\nalice:{password_hash}\n")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"."):
            checker.check("alice", "right")
    assert checker.check("bob", "word") is True
    assert sizes(checker) == 1


@pytest.mark.parametrize("harm", HARM)
def test_a_file_that_cannot_be_read(checker: Checker, htpasswd: Path, harm: Callable) -> None:
    """Who was in a moment ago is not let in while nobody can tell; and is once one can."""
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


def test_no_file_from_the_start(tmp_path: Path) -> None:
    """Apache starts all the same, and nobody gets in."""
    checker = Checker(HtpasswdFile(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        checker.check("alice", "right")


class Crowd:
    """Requests in threads, with what each was answered."""

    def __init__(self, checker: Checker):
        self._checker = checker
        self._lock = threading.Lock()
        self.answers: list[object] = []
        self.threads: list[threading.Thread] = []

    def _ask(self, *request: str) -> None:
        try:
            answer: object = self._checker.check(*request)
        except Exception as error:  # noqa: BLE001  (it is what the test looks at)
            answer = type(error)
        with self._lock:
            self.answers.append(answer)

    def comes(self, *requests: tuple[str, ...]) -> None:
        """Start each request: user, password, and the address if it matters."""
        for request in requests:
            self.threads.append(threading.Thread(target=self._ask, args=request, daemon=True))
            self.threads[-1].start()

    def goes(self) -> Counter:
        """Wait for all answers."""
        for thread in self.threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
        return Counter(self.answers)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for something that other threads do."""
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def waiting(checker: Checker) -> int:
    """Return how many pairs wait for bcrypt, or are in it."""
    return len(checker._running)


def following(checker: Checker) -> int:
    """Return how many requests wait for another one's run."""
    return sum(len(done._cond._waiters) for done in checker._running.values())


def test_one_run_for_one_pair(checker: Checker, runs: Runs) -> None:
    """A client opens fifty connections at once and sends its password with each; none is sent away."""
    runs.hold.clear()
    crowd = Crowd(checker)
    crowd.comes(*[("alice", "right")] * 50)
    wait_until(lambda: following(checker) == 49)
    assert waiting(checker) == 1
    runs.hold.set()
    assert crowd.goes() == {True: 50}
    assert len(runs.calls) == 1
    assert waiting(checker) == 0


def test_one_run_for_one_wrong_pair(checker: Checker, runs: Runs) -> None:
    """The same with a wrong password: all are refused, by one run."""
    runs.hold.clear()
    crowd = Crowd(checker)
    crowd.comes(*[("alice", "wrong")] * 50)
    wait_until(lambda: following(checker) == 49)
    runs.hold.set()
    assert crowd.goes() == {False: 50}
    assert len(runs.calls) == 1


def test_a_pair_that_was_just_found_right(checker: Checker, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looked a moment before the run came to an end must not start another one."""
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


def test_a_flood(checker: Checker, runs: Runs) -> None:
    """However many wrong passwords arrive: a few run, some wait, the rest are sent away, and who is in stays in."""
    assert checker.check("bob", "word")
    runs.calls.clear()
    runs.hold.clear()
    crowd = Crowd(checker)
    crowd.comes(*[("alice", f"guess {number}", f"192.0.2.{number}") for number in range(passwords.MAX_WAITING)])
    wait_until(lambda: waiting(checker) == passwords.MAX_WAITING)
    wait_until(lambda: runs.running == passwords.MAX_RUNS)
    for user in ("alice", "nobody"):
        with pytest.raises(BusyError):
            checker.check(user, "one more", "198.51.100.1")
    assert checker.check("bob", "word") is True
    assert len(runs.calls) == passwords.MAX_RUNS
    runs.hold.set()
    assert crowd.goes() == {False: passwords.MAX_WAITING}
    assert runs.most_running == passwords.MAX_RUNS
    assert checker.check("alice", "right") is True
    assert sizes(checker) == 2
    assert waiting(checker) == 0


@pytest.mark.parametrize("error", [ValueError("no hash"), MemoryError(), KeyboardInterrupt()], ids=repr)
def test_a_run_that_fails(checker: Checker, runs: Runs, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Those who wait for it are refused and do not wait for ever, and the next request starts afresh."""
    start = threading.Event()

    def fail(_password: bytes, _hash: bytes) -> bool:
        assert start.wait(TIMEOUT)
        raise error

    monkeypatch.setattr(threading, "excepthook", lambda _arguments: None)
    monkeypatch.setattr(bcrypt, "checkpw", fail)
    crowd = Crowd(checker)
    crowd.comes(*[("alice", "right")] * 6)
    wait_until(lambda: following(checker) == 5)
    start.set()
    answers = crowd.goes()
    assert answers[False] == 5
    assert True not in answers
    assert waiting(checker) == 0
    monkeypatch.setattr(bcrypt, "checkpw", runs)
    assert checker.check("alice", "right") is True


def reachable(root: object) -> list[object]:
    """Return everything that an object keeps alive, but for modules and classes."""
    seen: dict[int, object] = {}
    work = [root]
    while work:
        one = work.pop()
        if id(one) in seen or isinstance(one, (type, type(gc), type(reachable))):
            continue
        seen[id(one)] = one
        work += [*gc.get_referents(one), *(one if isinstance(one, dict) else ())]
    return list(seen.values())


def test_no_password_is_kept(checker: Checker) -> None:
    """Whoever gets hold of the memory later finds no password, nor a plain digest that a dictionary would find."""
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
    """What such a process remembers is of no use in another, or after a restart."""
    kept = []
    for _ in range(2):
        checker = Checker(HtpasswdFile(htpasswd), clock=clock)
        checker.check("alice", "right")
        kept.append(set(checker._until))
    assert len(kept[0]) == len(kept[1]) == 1
    assert kept[0].isdisjoint(kept[1])
