"""Files that are read again when they have changed: what was decided counts with the next request, without a reload."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

Content = TypeVar("Content")


class Watched(Generic[Content]):
    """A file's content. It is shared by all who ask, so nobody may change it."""

    def __init__(self, path: Path, parse: Callable[[str], Content], absent: Callable[[], Content] | None = None):
        """parse: makes the content from the text; absent: makes it where there is no file, which is an error else."""
        self._path = path
        self._parse = parse
        self._absent = absent
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] | None = None
        self._content: Content | None = None

    def current(self) -> Content:
        """The content as it is now. Raises OSError and what parse raises: what held before does not hold on."""
        with self._lock:
            try:
                status = self._path.stat()
                seen = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
                if seen != self._seen:
                    self._content = self._parse(self._path.read_text(encoding="utf-8"))
                    self._seen = seen
            except FileNotFoundError:
                if self._absent is None:
                    raise
                return self._absent()
            return self._content
