"""Passwords for Apache, by mod_wsgi's WSGIAuthUserScript: bcrypt once, then remembered.

bcrypt is slow on purpose, and clients send their password with every request. So a pair of user and password
that was right is remembered for some minutes: not the pair itself, but a hash of it that is keyed with a secret of
this process. The file's own hash is part of it, so whatever changes there counts with the next request. Who expires is
looked at with each request, remembered or not.

Runs inside Apache's processes with Debian's Python and python3-bcrypt, and needs nothing else of the kit's. What goes
wrong in here refuses: mod_wsgi answers 500 to an exception, and lets nobody in.
"""

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import bcrypt

# How long a right pair is remembered, in seconds, and how many are.
REMEMBERED_SECONDS = 300
REMEMBERED_PAIRS = 10_000

# How many bcrypt runs a process makes at a time, and how many pairs may be at it or wait for it: the rest of its
# threads are for those who are in already, however many wrong passwords arrive. Requests with the same pair wait for
# one run and do not count: a client that opens all its connections at once is one pair.
RUNS = 2
WAITING = 16


class Busy(Exception):
    """More passwords are waiting than this process may look at."""


class Login(NamedTuple):
    """A user's bcrypt hash, and the day from which on the user is refused, by UTC, or None."""

    password_hash: bytes
    expires: date | None

    @classmethod
    def parse(cls, text: str) -> "Login":
        """Read what follows the user's name: HASH, or HASH:YYYY-MM-DD. Raises ValueError."""
        password_hash, colon, expires = text.strip().partition(":")
        return cls(password_hash.encode(), day(expires) if colon else None)


class HtpasswdFile:
    """An AuthUserFile, read again whenever it has changed.

    A line may have a third field, which Apache's own reader of such files passes over: the day on which the user
    expires. It stands here and not in a file of its own, so that no hash is ever seen without it.
    """

    def __init__(self, path: Path):
        self._path = path
        # What was seen of the file, and what was read then: replaced as one, so that
        # those who find it unchanged need no lock.
        self._known: tuple[tuple[int, ...], dict[str, Login], bytes] = ((), {}, b"")

    def logins(self) -> tuple[dict[str, Login], bytes]:
        """The logins by user, and a hash that nobody has, as expensive as theirs. Raises OSError, ValueError."""
        status = self._path.stat()
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        known, logins, decoy = self._known
        if seen != known:
            lines = self._path.read_text(encoding="utf-8").splitlines()
            found = dict(self._entry(line) for line in lines if ":" in line and not line.startswith("#"))
            logins = {user: login for user, login in found.items() if login.password_hash}
            decoy = decoy_of(*(login.password_hash for login in logins.values()))
            self._known = (seen, logins, decoy)
        return logins, decoy

    def _entry(self, line: str) -> tuple[str, Login]:
        user, _, rest = line.partition(":")
        try:
            return user, Login.parse(rest)
        except ValueError as error:
            raise ValueError(f"{self._path} is damaged, at the user {user!r}: {error}") from None


class Checker:
    """Tells right passwords from wrong ones."""

    def __init__(
        self,
        file: HtpasswdFile,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ):
        self._file = file
        self._clock = clock
        self._today = today
        # As secrets.token_bytes, which takes a megabyte more in each of Apache's processes.
        self._secret = os.urandom(32)
        self._lock = threading.Lock()
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._running: dict[bytes, threading.Event] = {}
        self._runs = threading.BoundedSemaphore(RUNS)

    def check(self, user: str, password: str) -> bool | None:
        """Whether a password is right and the user has not expired; None if there is no such user.

        Raises Busy, OSError or ValueError.
        """
        logins, decoy = self._file.logins()
        login = logins.get(user)
        if login is None:
            self._is_right(user, password, decoy)
            return None
        if login.expires and self._today() >= login.expires:
            # Takes as long as for a wrong password, and does not tell who guesses whether it was the right one.
            self._is_right(user, password, decoy_of(login.password_hash))
            return False
        return self._is_right(user, password, login.password_hash)

    def _is_right(self, user: str, password: str, password_hash: bytes) -> bool:
        pair = self._key(user, password, password_hash)
        return self._remembered(pair) or self._run_once(pair, password, password_hash)

    def _key(self, user: str, password: str, password_hash: bytes) -> bytes:
        text = b"\0".join((user.encode(), password_hash, password.encode()))
        # Keyed BLAKE2 (RFC 7693): unlike hashlib's HMAC it never lets go of Python's lock.
        return hashlib.blake2b(text, digest_size=32, key=self._secret).digest()

    def _remembered(self, pair: bytes) -> bool:
        return self._until.get(pair, 0.0) > self._clock()

    def _remember(self, pair: bytes) -> None:
        with self._lock:
            self._until[pair] = self._clock() + REMEMBERED_SECONDS
            self._until.move_to_end(pair)
            while len(self._until) > REMEMBERED_PAIRS:
                self._until.popitem(last=False)

    def _run_once(self, pair: bytes, password: str, password_hash: bytes) -> bool:
        """Run bcrypt, or wait for who is running it for the same pair already."""
        with self._lock:
            # Who was running it may have just come to an end.
            if self._remembered(pair):
                return True
            done = self._running.get(pair)
            if first := done is None:
                if len(self._running) >= WAITING:
                    raise Busy(f"{WAITING} passwords are being checked or wait for it")
                done = self._running[pair] = threading.Event()
        if not first:
            done.wait()
            return self._remembered(pair)
        try:
            with self._runs:
                right = matches(password, password_hash)
            if right:
                self._remember(pair)
            return right
        finally:
            with self._lock:
                del self._running[pair]
            done.set()


def day(text: str) -> date:
    """A day, written YYYY-MM-DD and in no other of ISO 8601's ways. Raises ValueError."""
    found = date.fromisoformat(text)
    if found.isoformat() != text:
        raise ValueError(f"Invalid isoformat string: {text!r}")
    return found


def decoy_of(*hashes: bytes) -> bytes:
    """A hash that no password has, of the form and cost of the first one: checking against it takes as long."""
    return next(iter(hashes), b"$2y$12$")[:7] + b"." * 22 + b"." * 31


def matches(password: str, password_hash: bytes) -> bool:
    """Whether bcrypt finds them to belong together. Raises ValueError if the hash is none of bcrypt's."""
    text = password.encode()
    # bcrypt looks at 72 bytes and ends at a NUL, and some of its versions raise an
    # error there. Nobody has such a password, and it takes its time all the same.
    usable = text.replace(b"\0", b"")[:72]
    return bcrypt.checkpw(usable, password_hash) and usable == text
