"""The password checker, with a fake clock and an instrumented bcrypt."""

import threading
from collections.abc import Callable
from datetime import date

import bcrypt

from support import load

passwords = load("roles/apache/files/passwords.py")

TIMEOUT = 20


def hashed(password: str, cost: int = 4) -> str:
    """Return a bcrypt hash of low cost."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode().replace("$2b$", "$2y$")


ALICE, BOB = hashed("right"), hashed("word", 5)


class Checker(passwords.Checker):
    """A checker whose clients have one address by default."""

    def check(self, user: str, password: str, address: str = "192.0.2.1") -> bool | None:
        return super().check(user, password, address)


class Clock:
    """A settable clock (in seconds) and calendar."""

    def __init__(self):
        self.now = 1000.0
        self.day = date(2026, 12, 30)

    def today(self) -> date:
        return self.day

    def __call__(self) -> float:
        return self.now


class Runs:
    """A replacement of bcrypt.checkpw that records its calls."""

    def __init__(self):
        self.calls: list[tuple[bytes, bytes]] = []
        self.running = self.most_running = 0
        self.hold = threading.Event()
        self.hold.set()
        self._lock = threading.Lock()
        self._checkpw = bcrypt.checkpw

    def use(self, checkpw: Callable[[bytes, bytes], bool]) -> None:
        """Replace the underlying checkpw."""
        self._checkpw = checkpw

    def __call__(self, password: bytes, password_hash: bytes) -> bool:
        with self._lock:
            self.calls.append((password, password_hash))
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            assert self.hold.wait(TIMEOUT)
            return self._checkpw(password, password_hash)
        finally:
            with self._lock:
                self.running -= 1
