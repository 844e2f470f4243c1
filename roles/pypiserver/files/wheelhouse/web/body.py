"""The body of a request."""

from collections.abc import Iterator, Mapping
from typing import Any

from wheelhouse.errors import RequestError, RequestTimeoutError

# Bytes that are read at a time.
READ_SIZE = 1 << 18
TOO_SLOW_MESSAGE = (
    "The upload was too slow: it has a minimum average rate and a deadline (pypi_upload_min_rate, pypi_upload_deadline)"
)
INCOMPLETE_MESSAGE = "Upload incomplete: the request body ended early. Send it again"


class RequestBody:
    """A request body of Content-Length bytes (RFC 9110, section 8.6). length: bytes; left: bytes that were not read."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        """Take the body out of a WSGI environment."""
        length = environ.get("CONTENT_LENGTH") or "0"
        self.left = self.length = int(length) if length.isascii() and length.isdigit() else 0
        self.is_chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        self._read = environ["wsgi.input"].read
        self._has_begun = False

    @property
    def is_partly_read(self) -> bool:
        """Whether some of the body was read, and not all."""
        return self._has_begun and self.left > 0

    def read(self, size: int) -> bytes:
        """Return the next size bytes. Raises RequestError if they do not arrive."""
        self._has_begun = True
        content = b""
        while size > len(content):
            try:
                more = self._read(size - len(content))
            except TimeoutError:
                raise RequestTimeoutError(TOO_SLOW_MESSAGE) from None
            except OSError as error:
                # mod_wsgi raises it for the deadline, the minimum rate, and for a closed connection.
                if "timeout" in str(error).lower():
                    raise RequestTimeoutError(TOO_SLOW_MESSAGE) from None
                raise RequestError(f"The upload cannot be read: {error}") from None
            if not more:
                raise RequestError(INCOMPLETE_MESSAGE)
            content = content + more if content else more
        self.left -= size
        return content

    def chunks(self) -> Iterator[bytes]:
        """Yield the rest. The last chunk is not small: the parser needs the end of the form in one chunk."""
        while self.left:
            yield self.read(READ_SIZE if self.left > 2 * READ_SIZE else self.left)
