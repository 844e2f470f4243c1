"""Files on their way in: hidden in the packages directory, so that to appear is one step on one file system."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from wheelhouse.pages.disk import open_hidden, remove
from wheelhouse.refusals import Refused

PREFIX = ".upload-"

# The form fields with which clients send a file's digests, in hexadecimal, as the
# public index's upload API names them.
DIGESTS: dict[str, Callable] = {
    "sha256_digest": hashlib.sha256,
    "blake2_256_digest": lambda: hashlib.blake2b(digest_size=32),
    "md5_digest": lambda: hashlib.md5(usedforsecurity=False),
}


class Hidden:
    """A file that nobody sees yet. Its writer holds a lock on it for as long as it is open."""

    def __init__(
        self, directory: Path, has_room: Callable[[int], None] = lambda _size: None, announced: Iterable[str] = ()
    ):
        """has_room: is asked before so many more bytes are written; announced: the digests that are asked for already.

        Raises OSError.
        """
        self._directory = directory
        self._has_room = has_room
        # Each takes its time, so there is none that nobody has asked for.
        wanted = DIGESTS.keys() & {"sha256_digest", *announced}
        self._digests = {field: DIGESTS[field]() for field in sorted(wanted)}
        self.size = 0
        self.path, self.file = open_hidden(directory, PREFIX)

    def write(self, chunk: bytes) -> None:
        """Add bytes. Raises OSError, and what has_room raises."""
        self._has_room(len(chunk))
        self.file.write(chunk)
        self.size += len(chunk)
        for digest in self._digests.values():
            digest.update(chunk)

    @property
    def sha256(self) -> str:
        """The SHA-256 of what was written, in hexadecimal."""
        return self._digests["sha256_digest"].hexdigest()

    def check_digests(self, claimed: Mapping[str, str]) -> None:
        """Compare with the digests that came along. claimed: form fields by name; empty ones do not count.

        Raises Refused, OSError.
        """
        for field in DIGESTS:
            said = claimed.get(field, "").strip().lower()
            if said and said != self._digest(field):
                raise Refused(f"The file is torn: what arrived is not what was sent, by its {field}. Send it again")

    def _digest(self, field: str) -> str:
        """The digest that a field has, in hexadecimal."""
        if field not in self._digests:
            # It was asked for after the file.
            self.file.seek(0)
            self._digests[field] = hashlib.file_digest(self.file, DIGESTS[field])
        return self._digests[field].hexdigest()

    def settle(self) -> None:
        """Have it on the disk, as Apache may read it: its group is the directory's. Raises OSError."""
        self.file.flush()
        os.fchmod(self.file.fileno(), 0o640)
        os.fsync(self.file.fileno())

    def appear(self, filename: str) -> Path:
        """Give it its name, in one step, for good. Raises FileExistsError where there is one of that name; OSError."""
        path = self._directory / filename
        os.link(self.path, path)
        return path

    def close(self) -> None:
        """Drop the hidden name, and with it the file if it has no other."""
        # On a disk that has failed it stays, until it is cleared.
        with suppress(OSError):
            remove(self.path)
        with suppress(OSError):
            self.file.close()
