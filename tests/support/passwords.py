"""The check of passwords, with a clock and a bcrypt that tests can look into."""

import threading
from collections.abc import Callable
from datetime import date

import bcrypt

from support import load

passwords = load("roles/apache/files/passwords.py")

PATIENCE = 20


def hashed(password: str, cost: int = 4) -> str:
    """Return a bcrypt hash that takes no time."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode().replace("$2b$", "$2y$")


ALICE, BOB = hashed("right"), hashed("word", 5)


class Checker(passwords.Checker):
    """A checker whose clients have one address unless the test gives another."""

    def check(self, user: str, password: str, address: str = "192.0.2.1") -> bool | None:
        return super().check(user, password, address)


class Clock:
    """A clock that is set by hand, in seconds, and a calendar."""

    def __init__(self):
        self.now = 1000.0
        self.day = date(2026, 12, 30)

    def today(self) -> date:
        return self.day

    def __call__(self) -> float:
        return self.now


class Runs:
    """bcrypt, counting."""

    def __init__(self):
        self.asked: list[tuple[bytes, bytes]] = []
        self.at_once = self.most_at_once = 0
        self.hold = threading.Event()
        self.hold.set()
        self._lock = threading.Lock()
        self._checkpw = bcrypt.checkpw

    def asks(self, checkpw: Callable[[bytes, bytes], bool]) -> None:
        """Take another one's word."""
        self._checkpw = checkpw

    def __call__(self, password: bytes, password_hash: bytes) -> bool:
        with self._lock:
            self.asked.append((password, password_hash))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            assert self.hold.wait(PATIENCE)
            return self._checkpw(password, password_hash)
        finally:
            with self._lock:
                self.at_once -= 1
