"""Admission control: which requests are read at all, and how many at a time.

All of this is decided before the first byte of the body is read. A rejected client never gets a 100 Continue, so its
body stays where it is.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from wheelhouse.gate import Gate
from wheelhouse.incoming import Body
from wheelhouse.refusals import Busy, Denied, LengthRequired, TooLarge
from wheelhouse.settings import AdmissionLimits


class Admission:
    """Admits requests of authenticated users."""

    def __init__(self, gate: Gate, limits: AdmissionLimits):
        self._gate, self._limits = gate, limits
        self._lock = threading.Lock()
        # Requests in progress, by what they count for: ("user", name), ("address", IP) and ("all", "").
        self._in_progress: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def admit(self, user: str, address: str, body: Body) -> Iterator[None]:
        """Hold a place for a request while it is worked on.

        Raises Denied for a user without any right, LengthRequired, TooLarge, or Busy if there is no place.
        """
        if not self._gate.has_any_right(user):
            raise Denied(f"{user} may not upload or remove anything here (pypi_rights)")
        if body.is_chunked:
            raise LengthRequired("Send the length of the upload (Content-Length): this index takes no chunked bodies")
        if body.length > self._limits.max_upload_size:
            raise TooLarge(
                f"The upload has {body.length} bytes, and this index accepts at most {self._limits.max_upload_size} "
                "(pypi_max_upload_size)"
            )
        keys = [("all", ""), ("user", user), ("address", address)]
        self._enter(keys)
        try:
            yield
        finally:
            with self._lock:
                self._in_progress.subtract(keys)
                self._in_progress += Counter()  # drop those at 0

    def _enter(self, keys: list[tuple[str, str]]) -> None:
        with self._lock:
            for kind, name in keys:
                limit = self._limits.max_uploads if kind == "all" else self._limits.max_uploads_per_client
                if self._in_progress[kind, name] >= limit:
                    what = "uploads" if kind == "all" else f"uploads of the {kind} {name}"
                    setting = "pypi_max_uploads" if kind == "all" else "pypi_max_uploads_per_client"
                    raise Busy(f"This index takes at most {limit} {what} at a time ({setting}). Try again in a moment")
            self._in_progress.update(keys)
