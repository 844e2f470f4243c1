"""Answers to requests whose bodies are not read to their end, as files that the front Apache serves.

The front (mod_proxy_http) reads our answer only once it has passed the whole body on. When we close the connection
before that, it fails with 502 and drops the answer. Its ErrorDocument for 502 is then the file that is written here,
named by the request's ID (mod_unique_id), in the format of mod_asis.
"""

import re
import time
from collections.abc import Iterable
from pathlib import Path

from wheelhouse.pages.disk import write_atomically

REQUEST_ID = re.compile(r"[A-Za-z0-9@_-]{1,64}")
# The front asks for a file within milliseconds. Older files were not needed: the body had ended meanwhile.
KEPT_SECONDS = 60
MOST_FILES = 2000


class EarlyAnswers:
    """The files of one directory, which only the application writes and only the front reads."""

    def __init__(self, directory: Path):
        self._directory = directory

    def write(self, request_id: str, status: str, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Write an answer. status: its status line, as in "403 bob may not". Raises OSError.

        Without a request ID, or with too many answers there, none is written: the front then says that the upload may
        have been rejected.
        """
        if not REQUEST_ID.fullmatch(request_id) or self._sweep() >= MOST_FILES:
            return
        lines = [f"Status: {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
        content = "\n".join(lines).encode("latin-1", "replace") + body
        write_atomically(self._directory / f"{request_id}.asis", content, durable=False)

    def _sweep(self) -> int:
        """Remove old answers. Returns how many are left."""
        left, oldest = 0, time.time() - KEPT_SECONDS
        for path in self._directory.iterdir():
            try:
                if path.stat().st_mtime < oldest:
                    path.unlink()
                else:
                    left += 1
            except FileNotFoundError:
                continue  # another thread was faster
        return left
