"""Temporary upload files in the packages directory, published with link(2).

They are in the directory of the final file, so that publishing is atomic: one operation on one file system.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from wheelhouse.errors import RequestError
from wheelhouse.files.atomic import create_temporary, delete_if_exists

UPLOAD_PREFIX = ".upload-"
# Bytes that are read at a time to compute a digest.
CHUNK_SIZE = 1 << 18


class Digest(Protocol):
    """A hash object of hashlib."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the digest in hexadecimal."""


# The form fields with the digests of the file, in hexadecimal (PyPI's upload API).
DIGEST_ALGORITHMS: dict[str, Callable[[], Digest]] = {
    "sha256_digest": hashlib.sha256,
    "blake2_256_digest": lambda: hashlib.blake2b(digest_size=32),
    "md5_digest": lambda: hashlib.md5(usedforsecurity=False),
}


class TemporaryUpload:
    """The file of an upload while it is received. It is locked while it is open (see create_temporary)."""

    def __init__(
        self,
        directory: Path,
        check_space: Callable[[int], None] = lambda _size: None,
        digest_fields: Iterable[str] = (),
    ) -> None:
        """Create the file. Raises OSError.

        check_space: is called with the number of bytes before they are written; digest_fields: names of form fields
        that were received before the file. Only SHA-256 and the digests among these are computed while it is received.
        """
        self._directory = directory
        self._check_space = check_space
        wanted = DIGEST_ALGORITHMS.keys() & {"sha256_digest", *digest_fields}
        self._digests = {field: DIGEST_ALGORITHMS[field]() for field in sorted(wanted)}
        self.size = 0
        self.path, self.file = create_temporary(directory, UPLOAD_PREFIX)

    def write(self, chunk: bytes) -> None:
        """Add bytes. Raises OSError, and what check_space raises."""
        self._check_space(len(chunk))
        self.file.write(chunk)
        self.size += len(chunk)
        for digest in self._digests.values():
            digest.update(chunk)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the bytes so far, in hexadecimal."""
        return self._digests["sha256_digest"].hexdigest()

    def check_digests(self, fields: Mapping[str, str]) -> None:
        """Compare the file with the digests that the client sent. fields: form fields; empty ones are ignored.

        Raises RequestError, OSError.
        """
        for field in DIGEST_ALGORITHMS:
            expected = fields.get(field, "").strip().lower()
            if expected and expected != self._digest(field):
                raise RequestError(
                    f"Digest mismatch: {field} of the received file differs from the one supplied. Send it again"
                )

    def _digest(self, field: str) -> str:
        """Return the digest that a form field names, in hexadecimal."""
        if field not in self._digests:
            # The form field came after the file.
            digest = self._digests[field] = DIGEST_ALGORITHMS[field]()
            self.file.seek(0)
            while chunk := self.file.read(CHUNK_SIZE):
                digest.update(chunk)
        return self._digests[field].hexdigest()

    def sync(self) -> None:
        """Make the content durable, and readable for the group of the directory, Apache's. Raises OSError."""
        self.file.flush()
        os.fchmod(self.file.fileno(), 0o640)
        os.fsync(self.file.fileno())

    def publish(self, filename: str) -> Path:
        """Publish the file under its final name, atomically. Raises FileExistsError if the name exists; OSError."""
        path = self._directory / filename
        os.link(self.path, path)
        return path

    def close(self) -> None:
        """Delete the temporary name, and with it the content if it was not published."""
        # If the disk fails, remove_stale_files deletes it later.
        with suppress(OSError):
            delete_if_exists(self.path)
        with suppress(OSError):
            self.file.close()
