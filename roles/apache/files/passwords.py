"""Passwords for Apache, by mod_wsgi's WSGIAuthUserScript: bcrypt runs once, then the result is remembered.

bcrypt is slow on purpose, and clients send their password with every request. A pair of user and password that was
right is therefore remembered for some minutes, by all of Apache's processes. What is remembered is a keyed hash of the
pair and of the user's password hash, so any change of the htpasswd file takes effect with the next request. The date on
which a user expires is compared with every request.

Everybody else is limited, so that a flood of wrong passwords cannot lock out those whose password is remembered, or
was within the last hour: see Checker.

Runs inside Apache's processes with Debian's Python and python3-bcrypt, and needs no other file of the kit. Any
exception denies access: mod_wsgi answers it with 500, which the site turns into 503. Each kind of problem is logged to
sys.stderr, which is Apache's main error log, at most once per LOG_INTERVAL.
"""

import hashlib
import os
import stat
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import bcrypt

# Seconds for which a right pair is remembered, and for which it is known afterwards that it was right.
REMEMBERED_SECONDS = 300
RECENT_SECONDS = 3600
# Seconds for which a wrong pair is remembered.
WRONG_SECONDS = 60
# The most pairs of each kind in a process's memory, the most files in the shared directory, and the most addresses.
REMEMBERED_PAIRS = 10_000
SHARED_PAIRS = 10_000
ADDRESSES = 10_000

# Per process: bcrypt runs at a time, for unknown pairs and, apart from these, for pairs that were right recently.
RUNS = 2
# Per process: unknown pairs that are in bcrypt or wait for it. One address may have a quarter of them.
WAITING = 16
WAITING_PER_ADDRESS = WAITING // 4
# Per process: requests that unknown pairs may hold, with those that wait for another request's run of the same pair (a
# client that opens all its connections at once). The other threads are for pairs that are remembered, or were recently.
# While one pair alone is checked, all may wait for it: that is one run of bcrypt.
HELD = 96

# Seconds over which the failures of an address are counted.
FAILURES_SECONDS = 60
# Seconds between two sweeps of the shared directory, and between two log lines of one kind.
SWEEP_INTERVAL = 60
LOG_INTERVAL = 10

NEVER = float("-inf")


class Busy(Exception):
    """A password was not checked, since too many others are being checked."""


class TooManyFailures(Busy):
    """A password was not checked, since too many others from the same address were wrong."""


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
        self.path = path
        # What was seen of the file, and what was read then: replaced as one, so that
        # those who find it unchanged need no lock.
        self._known: tuple[tuple[int, ...], dict[str, Login], bytes] = ((), {}, b"")

    def logins(self) -> tuple[dict[str, Login], bytes]:
        """The logins by user, and a hash that nobody has, as expensive as theirs. Raises OSError, ValueError."""
        status = self.path.stat()
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        known, logins, decoy = self._known
        if seen != known:
            lines = self.path.read_text(encoding="utf-8").splitlines()
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
            raise ValueError(f"{self.path} is damaged, at the user {user!r}: {error}") from None


class Log:
    """Log each kind of problem at most once per LOG_INTERVAL, with the number of those that were not logged."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._lock = threading.Lock()
        # By kind: when the next line may be written, how many were left out since, and the last of them.
        self._kinds: dict[str, tuple[float, int, str]] = {}

    def report(self, kind: str, text: str) -> None:
        """Log a problem, or count it."""
        now = self._clock()
        with self._lock:
            following, count, _ = self._kinds.get(kind, (NEVER, 0, ""))
            if now < following:
                self._kinds[kind] = (following, count + 1, text)
                return
            self._kinds[kind] = (now + LOG_INTERVAL, 0, "")
        _print(kind, count + 1, text)

    def flush(self) -> None:
        """Log what was counted, if its time has come. Cheap when there is nothing to log."""
        now = self._clock()
        due = []
        with self._lock:
            for kind, (following, count, text) in self._kinds.items():
                if count and now >= following:
                    due.append((kind, count, text))
            for kind, _, _ in due:
                self._kinds[kind] = (now + LOG_INTERVAL, 0, "")
        for kind, count, text in due:
            _print(kind, count, text)


class SharedPairs:
    """The right pairs that all of Apache's processes remember, also those that start later.

    Each is an empty file in a directory in memory that only Apache's user may enter. Its name is the pair's keyed hash,
    its mtime the time by CLOCK_MONOTONIC, which all processes of a boot share, until which the pair is remembered. The
    key is in a file beside them. Without the directory, or with one that others may write, there is none of this:
    each process then remembers pairs by itself, with a key of its own.
    """

    def __init__(self, directory: Path | None, clock: Callable[[], float], log: Log):
        self._clock, self._log = clock, log
        # Not secrets.token_bytes: that module takes a megabyte in each of Apache's processes.
        self.key = os.urandom(32)
        self._directory: Path | None = None
        self._count = 0
        self._swept = NEVER
        self._sweeping = threading.Lock()
        if directory is None:
            return
        try:
            _check_directory(directory)
            self.key = _shared_key(directory)
            self._directory = directory
        except (OSError, ValueError) as error:
            self._report(f"{error}. Each process remembers passwords by itself until Apache is reloaded")

    def until(self, pair: bytes) -> float:
        """Return the time until which a pair is remembered, or NEVER."""
        if self._directory is None:
            return NEVER
        try:
            until = os.stat(self._directory / pair.hex()).st_mtime_ns / 1e9  # noqa: PTH116  (half the time of Path's)
        except OSError:
            return NEVER
        # A later time was not written by this program.
        return until if until <= self._clock() + REMEMBERED_SECONDS else NEVER

    def remember(self, pair: bytes, until: float) -> None:
        """Remember a pair for all processes. If that fails, it is logged."""
        if self._directory is None:
            return
        try:
            self._sweep()
            if self._count >= SHARED_PAIRS:
                self._report(f"{self._directory} has {self._count} files, which is the most it may have")
                return
            path, times = self._directory / pair.hex(), (int(until * 1e9), int(until * 1e9))
            with suppress(FileNotFoundError):
                os.utime(path, ns=times)
                return
            # Under its name only when its time is set: a new file has the wall clock's.
            new = self._directory / f".{pair.hex()}.{os.getpid()}.{threading.get_ident()}"
            os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
            os.utime(new, ns=times)
            new.replace(path)
            self._count += 1
        except OSError as error:
            self._report(str(error))

    def _sweep(self) -> None:
        """Remove what is too old to be of use, at most once per SWEEP_INTERVAL. Raises OSError."""
        now = self._clock()
        if now < self._swept + SWEEP_INTERVAL or not self._sweeping.acquire(blocking=False):
            return
        try:
            self._swept = now
            kept, gone = [], []
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # another process has swept
                        status = entry.stat(follow_symlinks=False)
                        if entry.name.startswith("."):
                            # Left behind by a process that was killed, unless it is in use at this moment.
                            gone += [entry.path] if time.time() > status.st_ctime + SWEEP_INTERVAL else []
                        elif now - RECENT_SECONDS < status.st_mtime <= now + REMEMBERED_SECONDS:
                            kept.append((status.st_mtime, entry.path))
                        elif entry.name != KEY_NAME:
                            gone.append(entry.path)
            if len(kept) >= SHARED_PAIRS:
                # The oldest tenth makes room.
                kept.sort()
                gone += [path for _, path in kept[: -(SHARED_PAIRS * 9 // 10)]]
                kept = kept[-(SHARED_PAIRS * 9 // 10) :]
            for path in gone:
                with suppress(FileNotFoundError):
                    os.unlink(path)  # noqa: PTH108  (half the time of Path's)
            self._count = len(kept)
        finally:
            self._sweeping.release()

    def _report(self, text: str) -> None:
        self._log.report("shared memory of passwords", text)


class Address:
    """What is known of a client's address: wrong pairs until a time, and pairs that wait for bcrypt."""

    __slots__ = ("ends", "failures", "waiting")

    def __init__(self):
        self.ends = NEVER
        self.failures = 0
        self.waiting = 0


class Checker:
    """Tells right passwords from wrong ones.

    - A pair that is remembered as right is answered at once, without a lock.
    - A pair that was right within RECENT_SECONDS is checked by bcrypt again, but neither limited nor made to wait for
      unknown ones: its user is served through a flood of any length.
    - A pair that is remembered as wrong is answered at once, too, and not counted again: a wrong password in a client's
      settings costs one bcrypt run per minute, and does not lock out others at the same address.
    - Any other pair is unknown: it needs one of the WAITING places, and its address may have had no more than
      max_failures wrong pairs within a minute. Otherwise it is Busy, and bcrypt does not run.

    Limits and wrong pairs are of one process; only right pairs are shared.
    """

    def __init__(
        self,
        file: HtpasswdFile,
        directory: Path | None = None,
        max_failures: int = 20,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ):
        """Make a checker.

        directory: in memory, where Apache's processes share the right pairs; None: they do not.
        max_failures: distinct wrong pairs per address and minute. clock: seconds, the same in all processes.
        """
        self._file = file
        self._max_failures = max_failures
        self._clock = clock
        self._today = today
        self._log = Log(clock)
        self._shared = SharedPairs(directory, clock, self._log)
        self._secret = self._shared.key
        self._lock = threading.Lock()
        # Until when a pair is remembered as right, and as wrong.
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._wrong: OrderedDict[bytes, float] = OrderedDict()
        self._addresses: OrderedDict[str, Address] = OrderedDict()
        self._running: dict[bytes, threading.Event] = {}
        # Unknown pairs in _running, and the requests that they hold.
        self._waiting = 0
        self._held = 0
        self._runs = threading.BoundedSemaphore(RUNS)
        self._recent_runs = threading.BoundedSemaphore(RUNS)

    def check(self, user: str, password: str, address: str) -> bool | None:
        """Return whether a password is right and the user has not expired; None if there is no such user.

        address: the client's IP address. Raises Busy, or OSError or ValueError if the htpasswd file cannot be used.
        """
        try:
            logins, decoy = self._file.logins()
            login = logins.get(user)
            if login is None:
                self._is_right(user, password, decoy, address)
                return None
            if login.expires and self._today() >= login.expires:
                # Takes as long as a wrong password, and does not tell whether the guess was right.
                self._is_right(user, password, decoy_of(login.password_hash), address)
                return False
            return self._is_right(user, password, login.password_hash, address)
        except Busy as reason:
            kind = "too many failures" if isinstance(reason, TooManyFailures) else "busy"
            self._log.report(kind, f"the password of a request from {address} was not checked: {reason}")
            # Without its frames: mod_wsgi formats them for each request, whether they are logged or not.
            raise reason.with_traceback(None) from None
        except (OSError, ValueError) as error:
            self._log.report("htpasswd", f"{self._file.path} cannot be used (login of {user[:100]!r}): {error}")
            raise
        except Exception as error:
            self._log.report("error", f"a password could not be checked: {error!r}, {_place(error)}")
            raise

    def _is_right(self, user: str, password: str, password_hash: bytes, address: str) -> bool:
        pair = self._key(user, password, password_hash)
        if self._remembered(pair):
            return True
        if self._wrong.get(pair, NEVER) > self._clock():
            return False
        return self._look_up(pair, address, password, password_hash)

    def _key(self, user: str, password: str, password_hash: bytes) -> bytes:
        text = b"\0".join((user.encode(), password_hash, password.encode()))
        # Keyed BLAKE2 (RFC 7693): unlike hashlib's HMAC it never lets go of Python's lock.
        return hashlib.blake2b(text, digest_size=32, key=self._secret).digest()

    def _remembered(self, pair: bytes) -> bool:
        return self._until.get(pair, NEVER) > self._clock()

    def _look_up(self, pair: bytes, address: str, password: str, password_hash: bytes) -> bool:
        """Answer for a pair that this process does not remember."""
        self._log.flush()
        until = max(self._shared.until(pair), self._until.get(pair, NEVER))
        now = self._clock()
        if until > now:
            with self._lock:
                _put(self._until, pair, until)
            return True
        if until + RECENT_SECONDS > now:
            return self._run_once(pair, None, password, password_hash)
        with self._lock:
            others = len(self._running) - (pair in self._running)
            if others and self._held >= HELD:
                raise Busy(f"{HELD} requests wait for passwords to be checked, which is the most (HELD)")
            self._held += 1
        try:
            return self._run_once(pair, _network_of(address), password, password_hash)
        finally:
            with self._lock:
                self._held -= 1

    def _run_once(self, pair: bytes, network: str | None, password: str, password_hash: bytes) -> bool:
        """Run bcrypt, or wait for the request that runs it for the same pair. network: None for a recent pair."""
        with self._lock:
            # The request that ran it may have just ended.
            if self._remembered(pair):
                return True
            if self._wrong.get(pair, NEVER) > self._clock():
                return False
            done = self._running.get(pair)
            if first := done is None:
                client = None if network is None else self._admit(network)
                done = self._running[pair] = threading.Event()
        if not first:
            done.wait()
            return self._remembered(pair)
        right = None
        try:
            with self._recent_runs if client is None else self._runs:
                right = matches(password, password_hash)
            if right:
                self._remember(pair)
            return right
        finally:
            with self._lock:
                if right is False:
                    _put(self._wrong, pair, self._clock() + WRONG_SECONDS)
                if client is not None:
                    self._leave(network, client, failed=right is False)
                del self._running[pair]
            done.set()

    def _remember(self, pair: bytes) -> None:
        until = self._clock() + REMEMBERED_SECONDS
        self._shared.remember(pair, until)
        with self._lock:
            _put(self._until, pair, until)

    def _admit(self, network: str) -> Address:
        """Give an unknown pair one of the places, or raise Busy. The lock is held."""
        client = self._addresses.get(network)
        if client is not None and client.failures >= self._max_failures and self._clock() < client.ends:
            self._addresses.move_to_end(network)
            raise TooManyFailures(
                f"{client.failures} wrong passwords from there in a minute, which is the most (pypi_max_failed_logins)"
            )
        if self._waiting >= WAITING:
            raise Busy(f"{WAITING} passwords are being checked or wait for it, which is the most (WAITING)")
        if client is not None and client.waiting >= WAITING_PER_ADDRESS:
            raise Busy(f"{WAITING_PER_ADDRESS} passwords from there wait, which is the most (WAITING_PER_ADDRESS)")
        if client is None:
            client = Address()
        _put(self._addresses, network, client, ADDRESSES)
        client.waiting += 1
        self._waiting += 1
        return client

    def _leave(self, network: str, client: Address, failed: bool) -> None:
        """Take the place back, and count a failure. The lock is held."""
        now = self._clock()
        self._waiting -= 1
        client.waiting -= 1
        if now >= client.ends:
            client.failures = 0
        if failed:
            if not client.failures:
                client.ends = now + FAILURES_SECONDS
            client.failures += 1
        elif not client.failures and not client.waiting and self._addresses.get(network) is client:
            del self._addresses[network]


KEY_NAME = "key"


def _put(pairs: OrderedDict, key: object, value: object, most: int | None = None) -> None:
    """Add to what is remembered, and forget the oldest if it is too much."""
    pairs[key] = value
    pairs.move_to_end(key)
    while len(pairs) > (REMEMBERED_PAIRS if most is None else most):
        pairs.popitem(last=False)


def _network_of(address: str) -> str:
    """Return what stands for a client: an IPv4 address, or the /64 network of an IPv6 address, which one client has.

    By hand: the module socket takes half a megabyte in each of Apache's processes.
    """
    text = address.partition("%")[0]
    if ":" not in text or "." in text:
        return text.rpartition(":")[2]  # also of an IPv4 address within IPv6
    head, _, tail = text.partition("::")
    front, back = head.split(":") if head else [], tail.split(":") if tail else []
    groups = [*front, *["0"] * (8 - len(front) - len(back)), *back]
    return ":".join(group.lstrip("0") or "0" for group in groups[:4])


def _check_directory(directory: Path) -> None:
    """Raise OSError or ValueError unless a directory is there and only this process's user can use it."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ValueError(
            f"{directory} is not used: it must be a directory of the user {os.geteuid()} with mode 0700, and is "
            f"{stat.filemode(found.st_mode)} of the user {found.st_uid} (see /etc/tmpfiles.d)"
        )


def _shared_key(directory: Path) -> bytes:
    """Return the key of all processes, which the first one of them makes. Raises OSError, ValueError."""
    path = directory / KEY_NAME
    if not path.exists():
        new = directory / f".{KEY_NAME}.{os.getpid()}.{threading.get_ident()}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(32))
            # Unlike a rename, this replaces nothing: exactly one process's key stays.
            os.link(new, path)
        except FileExistsError:
            pass
        finally:
            new.unlink()
    key = path.read_bytes()
    if len(key) != 32:
        raise ValueError(f"{path} is not used: it must have 32 bytes, and has {len(key)}. Remove it")
    return key


def _place(error: Exception) -> str:
    """Return where an exception was raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename} line {trace.tb_lineno}" if trace else "unknown place"


def _print(kind: str, count: int, text: str) -> None:
    """Write a line to the error log, in one call: threads share it."""
    times = "" if count == 1 else f" ({count} times since the last such line)"
    line = f"wheelhouse passwords: {kind}{times}: {text}"
    line = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line[:1000]}\n")


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
