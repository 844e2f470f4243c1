"""Admission control: which requests are read at all, and how many at a time.

It decides before the first byte of the body is read. A rejected client never gets 100 Continue, so it does not send its
body.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from wheelhouse.access.policy import AccessPolicy
from wheelhouse.config import AdmissionLimits
from wheelhouse.errors import BusyError, ContentTooLargeError, ForbiddenError, LengthRequiredError
from wheelhouse.web.body import RequestBody


class Admission:
    """Admits requests of authenticated users."""

    def __init__(self, policy: AccessPolicy, limits: AdmissionLimits) -> None:
        self._policy, self._limits = policy, limits
        self._lock = threading.Lock()
        # Requests in progress, by what they count for: ("user", name), ("address", IP) and ("all", "").
        self._in_progress: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def admit(self, user: str, address: str, body: RequestBody) -> Iterator[None]:
        """Count a request as in progress during the block.

        Raises ForbiddenError for a user without any right, LengthRequiredError, ContentTooLargeError, and BusyError if
        too many requests are in progress.
        """
        if not self._policy.has_any_right(user):
            raise ForbiddenError(f"{user} is not allowed to upload or remove anything here (pypi_rights)")
        if body.is_chunked:
            raise LengthRequiredError(
                "Send the length of the upload (Content-Length): this index takes no chunked bodies"
            )
        if body.length > self._limits.max_upload_size:
            raise ContentTooLargeError(
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
                self._in_progress += Counter()  # drop counts of 0

    def _enter(self, keys: list[tuple[str, str]]) -> None:
        with self._lock:
            for kind, name in keys:
                limit = self._limits.max_uploads if kind == "all" else self._limits.max_uploads_per_client
                if self._in_progress[kind, name] >= limit:
                    what = "uploads" if kind == "all" else f"uploads of the {kind} {name}"
                    setting = "pypi_max_uploads" if kind == "all" else "pypi_max_uploads_per_client"
                    raise BusyError(
                        f"This index takes at most {limit} {what} at a time ({setting}). Try again in a moment"
                    )
            self._in_progress.update(keys)
