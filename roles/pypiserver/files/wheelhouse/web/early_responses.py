"""Responses to requests whose bodies are not read to their end, as files that the front Apache serves.

The front (mod_proxy_http) reads our response only after it has sent the whole body. If we close the connection before,
it fails with 502 and drops the response. Its ErrorDocument for 502 is then the file that is written here, named by the
request's ID (mod_unique_id), in the format of mod_asis.
"""

import re
import time
from collections.abc import Iterable
from pathlib import Path

from wheelhouse.files.atomic import write_atomically

# The ID becomes a file name: other characters could be used for path traversal.
REQUEST_ID = re.compile(r"[A-Za-z0-9@_-]{1,64}")
# The front requests a file within milliseconds. Older files were not needed: the whole body had been sent.
MAX_AGE_SECONDS = 60
MAX_FILES = 2000


class EarlyResponses:
    """The response files in one directory. Only the application writes them, and only the front reads them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, request_id: str, status: str, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Write a response. status: its status line, as in "403 bob is not allowed to upload foo". Raises OSError.

        Nothing is written without a valid request ID, or if there are too many files: the front then responds that the
        upload may have been rejected.
        """
        if not REQUEST_ID.fullmatch(request_id) or self._sweep() >= MAX_FILES:
            return
        lines = [f"Status: {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
        content = "\n".join(lines).encode("latin-1", "replace") + body
        write_atomically(self._directory / f"{request_id}.asis", content, durable=False)

    def _sweep(self) -> int:
        """Delete old files. Returns the number of files that are left."""
        left, oldest = 0, time.time() - MAX_AGE_SECONDS
        for path in self._directory.iterdir():
            try:
                if path.stat().st_mtime < oldest:
                    path.unlink()
                else:
                    left += 1
            except FileNotFoundError:
                continue  # another thread has deleted it
        return left
