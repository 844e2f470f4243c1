"""Verify passwords for Apache (WSGIAuthUserScript of mod_wsgi), with a cache of verified passwords.

bcrypt is slow on purpose, and clients send their password with every request. A correct pair of user and password is
therefore cached for some minutes, by all of Apache's processes. A cache key is a keyed hash of the pair and of the
user's password hash, so any change of the htpasswd file takes effect with the next request. The expiry date of a user
is checked with every request.

All other password checks are limited, so that a flood of wrong passwords does not lock out users whose password is
cached, or was within the last hour: see Checker.

Runs inside Apache's processes with Debian's Python and python3-bcrypt, and needs no other file of the kit. Any
exception denies access: mod_wsgi responds with 500, which the site turns into 503. Each kind of problem is logged to
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
from typing import NamedTuple, TypeVar

import bcrypt

# Seconds for which a correct pair is cached, and for which it then counts as recently correct.
CACHE_SECONDS = 300
RECENT_SECONDS = 3600
# Seconds for which a wrong pair is cached.
WRONG_CACHE_SECONDS = 60
# Maximum numbers of pairs of each kind in a process's cache, of pairs in the shared cache, and of addresses.
CACHE_SIZE = 10_000
SHARED_CACHE_SIZE = 10_000
ADDRESSES = 10_000

# Per process: concurrent bcrypt runs for unknown pairs, and separately for recently correct pairs.
MAX_RUNS = 2
# Per process: unknown pairs in bcrypt or waiting for it. One address may have a quarter of them.
MAX_WAITING = 16
MAX_WAITING_PER_ADDRESS = MAX_WAITING // 4
# Per process: threads that unknown pairs may occupy, including requests that wait for another request's check of the
# same pair (a client that opens all its connections at once). The other threads are for cached and recently correct
# pairs. While only one pair is checked, all threads may wait for it: that is one run of bcrypt.
MAX_PENDING = 96

# Seconds over which the failures of an address are counted.
FAILURES_SECONDS = 60
# Seconds between two cleanups of the shared cache, and between two log lines of one kind.
CLEANUP_INTERVAL = 60
LOG_INTERVAL = 10

NEVER = float("-inf")


class BusyError(Exception):
    """A password was not checked, because too many others are being checked."""


class TooManyFailuresError(BusyError):
    """A password was not checked, because too many others from the same address were wrong."""


class Login(NamedTuple):
    """The bcrypt hash of a user, and the date (UTC) from which access is denied, or None."""

    password_hash: bytes
    expires: date | None

    @classmethod
    def parse(cls, text: str) -> "Login":
        """Parse the text after the user name: HASH, or HASH:YYYY-MM-DD. Raises ValueError."""
        password_hash, colon, expires = text.strip().partition(":")
        return cls(password_hash.encode(), parse_date(expires) if colon else None)


class HtpasswdFile:
    """The cached content of an AuthUserFile, reloaded when the file has changed.

    A line may have a third field, which Apache's own parser ignores: the expiry date of the user. It is in the same
    file as the hash, so that both are read atomically.
    """

    def __init__(self, path: Path):
        self.path = path
        # Fingerprint of the file, logins and decoy hash. The tuple is replaced as a whole, so readers need no lock.
        self._cached: tuple[tuple[int, ...], dict[str, Login], bytes] = ((), {}, b"")

    def logins(self) -> tuple[dict[str, Login], bytes]:
        """Return the logins by user, and a dummy hash of equal cost: see decoy_of. Raises OSError, ValueError."""
        status = self.path.stat()
        fingerprint = (status.st_mtime_ns, status.st_size, status.st_ino)
        cached, logins, decoy = self._cached
        if fingerprint != cached:
            lines = self.path.read_text(encoding="utf-8").splitlines()
            found = dict(self._entry(line) for line in lines if ":" in line and not line.startswith("#"))
            logins = {user: login for user, login in found.items() if login.password_hash}
            decoy = decoy_of(*(login.password_hash for login in logins.values()))
            self._cached = (fingerprint, logins, decoy)
        return logins, decoy

    def _entry(self, line: str) -> tuple[str, Login]:
        user, _, rest = line.partition(":")
        try:
            return user, Login.parse(rest)
        except ValueError as error:
            raise ValueError(f"{self.path} is corrupt at user {user!r}: {error}") from None


class Log:
    """Log each kind of problem at most once per LOG_INTERVAL, with the number of those that were not logged."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._lock = threading.Lock()
        # By kind: the time of the next line at the earliest, the number of suppressed lines, and the last of them.
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
        """Log the counted problems whose interval is over. Cheap if there are none."""
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


class SharedCache:
    """Cache of correct pairs for all of Apache's processes, including those that start later.

    A pair is an empty file in a directory in memory (tmpfs) that only Apache's user may enter. The file's name is the
    keyed hash of the pair. Its mtime is the time until which the pair is valid, by CLOCK_MONOTONIC, which all processes
    of a boot share. The key is in a file in the same directory. If the directory is missing, or other users may write
    it, each process uses its own cache and key only.
    """

    def __init__(self, directory: Path | None, clock: Callable[[], float], log: Log):
        self._clock, self._log = clock, log
        # Not secrets.token_bytes: that module needs a megabyte in each of Apache's processes.
        self.key = os.urandom(32)
        self._directory: Path | None = None
        self._count = 0
        self._cleaned = NEVER
        self._cleaning = threading.Lock()
        if directory is None:
            return
        try:
            _check_directory(directory)
            self.key = _shared_key(directory)
            self._directory = directory
        except (OSError, ValueError) as error:
            self._report(f"{error}. Each process uses only its own password cache until Apache is reloaded")

    def until(self, pair: bytes) -> float:
        """Return the time until which a pair is cached, or NEVER."""
        if self._directory is None:
            return NEVER
        try:
            until = os.stat(self._directory / pair.hex()).st_mtime_ns / 1e9  # noqa: PTH116  (half the time of Path's)
        except OSError:
            return NEVER
        # A later time was not written by this program: ignore it.
        return until if until <= self._clock() + CACHE_SECONDS else NEVER

    def store(self, pair: bytes, until: float) -> None:
        """Cache a pair for all processes. Errors are logged."""
        if self._directory is None:
            return
        try:
            self._clean_up()
            if self._count >= SHARED_CACHE_SIZE:
                self._report(f"{self._directory} is full: it has {self._count} files (limit SHARED_CACHE_SIZE)")
                return
            path, times = self._directory / pair.hex(), (int(until * 1e9), int(until * 1e9))
            with suppress(FileNotFoundError):
                os.utime(path, ns=times)
                return
            # Renamed after its mtime is set: a new file has the wall clock's time.
            new = self._directory / f".{pair.hex()}.{os.getpid()}.{threading.get_ident()}"
            os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
            os.utime(new, ns=times)
            new.replace(path)
            self._count += 1
        except OSError as error:
            self._report(str(error))

    def _clean_up(self) -> None:
        """Remove expired files, at most once per CLEANUP_INTERVAL. Raises OSError."""
        now = self._clock()
        if now < self._cleaned + CLEANUP_INTERVAL or not self._cleaning.acquire(blocking=False):
            return
        try:
            self._cleaned = now
            kept, gone = [], []
            with os.scandir(self._directory) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # removed by another process
                        status = entry.stat(follow_symlinks=False)
                        if entry.name.startswith("."):
                            # Stale: left by a process that was killed. A recent one may be in use.
                            gone += [entry.path] if time.time() > status.st_ctime + CLEANUP_INTERVAL else []
                        elif now - RECENT_SECONDS < status.st_mtime <= now + CACHE_SECONDS:
                            kept.append((status.st_mtime, entry.path))
                        elif entry.name != KEY_NAME:
                            gone.append(entry.path)
            if len(kept) >= SHARED_CACHE_SIZE:
                # Evict the oldest tenth.
                kept.sort()
                gone += [path for _, path in kept[: -(SHARED_CACHE_SIZE * 9 // 10)]]
                kept = kept[-(SHARED_CACHE_SIZE * 9 // 10) :]
            for path in gone:
                with suppress(FileNotFoundError):
                    os.unlink(path)  # noqa: PTH108  (half the time of Path's)
            self._count = len(kept)
        finally:
            self._cleaning.release()

    def _report(self, text: str) -> None:
        self._log.report("shared password cache", text)


class Address:
    """Counters of a client's address: failures until `ends`, and pairs that wait for bcrypt."""

    __slots__ = ("ends", "failures", "waiting")

    def __init__(self) -> None:
        self.ends = NEVER
        self.failures = 0
        self.waiting = 0


class Checker:
    """Verifies passwords.

    - A pair that is cached as correct is accepted without a lock.
    - A pair that was correct within RECENT_SECONDS is checked by bcrypt again, but is not limited and does not wait for
      unknown pairs: its user is served during a flood of any duration.
    - A pair that is cached as wrong is rejected and not counted again: a wrong password in a client's configuration
      costs one bcrypt run per minute, and does not lock out other users at the same address.
    - Any other pair is unknown: it needs one of MAX_WAITING slots, and its address must have had fewer than
      max_failures wrong pairs within a minute. Otherwise BusyError is raised, and bcrypt does not run.

    Limits and the cache of wrong pairs are per process; only correct pairs are shared.
    """

    def __init__(
        self,
        file: HtpasswdFile,
        directory: Path | None = None,
        max_failures: int = 20,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ):
        """Create a checker.

        directory: of the shared cache, in memory; None: no shared cache. max_failures: distinct wrong pairs per address
        and minute. clock: seconds, the same in all processes.
        """
        self._file = file
        self._max_failures = max_failures
        self._clock = clock
        self._today = today
        self._log = Log(clock)
        self._shared = SharedCache(directory, clock, self._log)
        self._secret = self._shared.key
        self._lock = threading.Lock()
        # Times until which pairs are cached as correct, and as wrong.
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._wrong: OrderedDict[bytes, float] = OrderedDict()
        self._addresses: OrderedDict[str, Address] = OrderedDict()
        self._running: dict[bytes, threading.Event] = {}
        # Number of unknown pairs in _running, and of the threads that they occupy.
        self._waiting = 0
        self._pending = 0
        self._runs = threading.BoundedSemaphore(MAX_RUNS)
        self._recent_runs = threading.BoundedSemaphore(MAX_RUNS)

    def check(self, user: str, password: str, address: str) -> bool | None:
        """Return whether a password is correct and the user has not expired; None if there is no such user.

        address: the client's IP address. Raises BusyError; OSError or ValueError if the htpasswd file cannot be read.
        """
        try:
            logins, decoy = self._file.logins()
            login = logins.get(user)
            if login is None:
                self._is_correct(user, password, decoy, address)
                return None
            if login.expires and self._today() >= login.expires:
                # Takes as long as a wrong password, and does not disclose whether the guess was correct.
                self._is_correct(user, password, decoy_of(login.password_hash), address)
                return False
            return self._is_correct(user, password, login.password_hash, address)
        except BusyError as reason:
            kind = "too many failures" if isinstance(reason, TooManyFailuresError) else "busy"
            self._log.report(kind, f"the password of a request from {address} was not checked: {reason}")
            # Without its traceback: mod_wsgi formats it for each request, even if it is not logged.
            raise reason.with_traceback(None) from None
        except (OSError, ValueError) as error:
            self._log.report("htpasswd", f"{self._file.path} cannot be read (login of {user[:100]!r}): {error}")
            raise
        except Exception as error:
            self._log.report("error", f"a password could not be checked: {error!r}, {_place(error)}")
            raise

    def _is_correct(self, user: str, password: str, password_hash: bytes, address: str) -> bool:
        pair = self._key(user, password, password_hash)
        if self._is_cached(pair):
            return True
        if self._wrong.get(pair, NEVER) > self._clock():
            return False
        return self._look_up(pair, address, password, password_hash)

    def _key(self, user: str, password: str, password_hash: bytes) -> bytes:
        text = b"\0".join((user.encode(), password_hash, password.encode()))
        # Keyed BLAKE2 (RFC 7693): unlike hashlib's HMAC it does not release the GIL.
        return hashlib.blake2b(text, digest_size=32, key=self._secret).digest()

    def _is_cached(self, pair: bytes) -> bool:
        return self._until.get(pair, NEVER) > self._clock()

    def _look_up(self, pair: bytes, address: str, password: str, password_hash: bytes) -> bool:
        """Check a pair that is not in this process's cache."""
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
            if others and self._pending >= MAX_PENDING:
                raise BusyError(f"{MAX_PENDING} requests are waiting for password checks (limit MAX_PENDING)")
            self._pending += 1
        try:
            return self._run_once(pair, _network_of(address), password, password_hash)
        finally:
            with self._lock:
                self._pending -= 1

    def _run_once(self, pair: bytes, network: str | None, password: str, password_hash: bytes) -> bool:
        """Run bcrypt, or wait for the request that runs it for the same pair. network: None for a recent pair."""
        with self._lock:
            # Another request may have just checked it.
            if self._is_cached(pair):
                return True
            if self._wrong.get(pair, NEVER) > self._clock():
                return False
            done = self._running.get(pair)
            if first := done is None:
                client = None if network is None else self._admit(network)
                done = self._running[pair] = threading.Event()
        if not first:
            done.wait()
            return self._is_cached(pair)
        right = None
        try:
            with self._recent_runs if client is None else self._runs:
                right = matches(password, password_hash)
            if right:
                self._cache(pair)
            return right
        finally:
            with self._lock:
                if right is False:
                    _put(self._wrong, pair, self._clock() + WRONG_CACHE_SECONDS)
                if network is not None and client is not None:
                    self._leave(network, client, failed=right is False)
                del self._running[pair]
            done.set()

    def _cache(self, pair: bytes) -> None:
        until = self._clock() + CACHE_SECONDS
        self._shared.store(pair, until)
        with self._lock:
            _put(self._until, pair, until)

    def _admit(self, network: str) -> Address:
        """Give an unknown pair a slot, or raise BusyError. The caller holds the lock."""
        client = self._addresses.get(network)
        if client is not None and client.failures >= self._max_failures and self._clock() < client.ends:
            self._addresses.move_to_end(network)
            raise TooManyFailuresError(
                f"{client.failures} wrong passwords from this address in a minute (limit pypi_max_failed_logins)"
            )
        if self._waiting >= MAX_WAITING:
            raise BusyError(f"{MAX_WAITING} passwords are being checked or waiting (limit MAX_WAITING)")
        if client is not None and client.waiting >= MAX_WAITING_PER_ADDRESS:
            raise BusyError(
                f"{MAX_WAITING_PER_ADDRESS} passwords from this address are waiting (limit MAX_WAITING_PER_ADDRESS)"
            )
        if client is None:
            client = Address()
        _put(self._addresses, network, client, ADDRESSES)
        client.waiting += 1
        self._waiting += 1
        return client

    def _leave(self, network: str, client: Address, failed: bool) -> None:
        """Release the slot, and count a failure. The caller holds the lock."""
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

K = TypeVar("K")
V = TypeVar("V")


def _put(pairs: OrderedDict[K, V], key: K, value: V, most: int | None = None) -> None:
    """Add to a cache, and evict the oldest entries above its limit."""
    pairs[key] = value
    pairs.move_to_end(key)
    while len(pairs) > (CACHE_SIZE if most is None else most):
        pairs.popitem(last=False)


def _network_of(address: str) -> str:
    """Return the key of a client: an IPv4 address, or the /64 network of an IPv6 address, which one client controls.

    Parsed here, because the module socket needs half a megabyte in each of Apache's processes.
    """
    text = address.partition("%")[0]
    if ":" not in text or "." in text:
        return text.rpartition(":")[2]  # also an IPv4-mapped IPv6 address
    head, _, tail = text.partition("::")
    front, back = head.split(":") if head else [], tail.split(":") if tail else []
    groups = [*front, *["0"] * (8 - len(front) - len(back)), *back]
    return ":".join(group.lstrip("0") or "0" for group in groups[:4])


def _check_directory(directory: Path) -> None:
    """Raise OSError or ValueError unless a directory exists and only this process's user can access it."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ValueError(
            f"{directory} is not used: it must be a directory of uid {os.geteuid()} with mode 0700 (got "
            f"{stat.filemode(found.st_mode)} of uid {found.st_uid}; see /etc/tmpfiles.d)"
        )


def _shared_key(directory: Path) -> bytes:
    """Return the key of all processes, which the first of them creates. Raises OSError, ValueError."""
    path = directory / KEY_NAME
    if not path.exists():
        new = directory / f".{KEY_NAME}.{os.getpid()}.{threading.get_ident()}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(32))
            # Unlike a rename, this replaces nothing: exactly one process's key is kept.
            os.link(new, path)
        except FileExistsError:
            pass
        finally:
            new.unlink()
    key = path.read_bytes()
    if len(key) != 32:
        raise ValueError(f"{path} is not used: it must have 32 bytes (got {len(key)}). Remove it")
    return key


def _place(error: Exception) -> str:
    """Return the place where an exception was raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename} line {trace.tb_lineno}" if trace else "unknown place"


def _print(kind: str, count: int, text: str) -> None:
    """Write a line to the error log in one call, because threads share it."""
    times = "" if count == 1 else f" ({count} times since the last such line)"
    line = f"wheelhouse passwords: {kind}{times}: {text}"
    line = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line[:1000]}\n")


def parse_date(text: str) -> date:
    """Parse a date in the form YYYY-MM-DD; other forms of ISO 8601 raise ValueError."""
    found = date.fromisoformat(text)
    if found.isoformat() != text:
        raise ValueError(f"Invalid isoformat string: {text!r}")
    return found


def decoy_of(*hashes: bytes) -> bytes:
    """Return a dummy hash with the format and cost of the first hash, which no password matches.

    Checking it takes as long as a real one, so response times do not disclose user names (user enumeration by a timing
    attack).
    """
    return next(iter(hashes), b"$2y$12$")[:7] + b"." * 22 + b"." * 31


def matches(password: str, password_hash: bytes) -> bool:
    """Return whether a password matches a bcrypt hash. Raises ValueError if the hash is not a bcrypt hash."""
    text = password.encode()
    # bcrypt reads at most 72 bytes and stops at NUL, where some versions raise an error. Such a password is always
    # wrong, but its check takes as long as any other.
    usable = text.replace(b"\0", b"")[:72]
    return bcrypt.checkpw(usable, password_hash) and usable == text
