"""Cached file content, reloaded when the file changes: a new setting is used without a restart."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

Content = TypeVar("Content")


class ReloadingFile(Generic[Content]):
    """The parsed content of a file. All callers share one object, so they must not modify it."""

    def __init__(
        self, path: Path, parse: Callable[[str], Content], default: Callable[[], Content] | None = None
    ) -> None:
        """Name the file. parse: makes the content of its text; default: makes the content if the file is missing.

        Without a default, a missing file is an error.
        """
        self._path = path
        self._parse = parse
        self._default = default
        self._lock = threading.Lock()
        # The content, and the stat fingerprint of the file that it was read from.
        self._cached: tuple[tuple[int, ...], Content] | None = None

    def current(self) -> Content:
        """Return the content. Raises OSError and what parse raises: a stale value is never returned (fail closed)."""
        with self._lock:
            try:
                status = self._path.stat()
                fingerprint = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
                if self._cached is None or self._cached[0] != fingerprint:
                    self._cached = fingerprint, self._parse(self._path.read_text(encoding="utf-8"))
                return self._cached[1]
            except FileNotFoundError:
                if self._default is None:
                    raise
                return self._default()
