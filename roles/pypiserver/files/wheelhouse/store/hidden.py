"""Files on their way in: hidden in the packages directory, so that to appear is one step on one file system."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from wheelhouse.pages.disk import remove
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
    """A file that nobody sees yet. Its writer holds a lock on it for as long as it is open: see clear_leftovers."""

    def __init__(self, directory: Path, has_room: Callable[[int], None] = lambda _size: None):
        """has_room: is asked before so many more bytes are written. Raises OSError."""
        self._directory = directory
        self._has_room = has_room
        self._digests = {field: new() for field, new in DIGESTS.items()}
        self.size = 0
        while True:
            descriptor, name = tempfile.mkstemp(prefix=PREFIX, dir=directory)
            self.path, self.file = Path(name), os.fdopen(descriptor, "w+b")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Between the two, it could be taken for left over.
            if os.fstat(descriptor).st_nlink:
                break
            self.file.close()

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

        Raises Refused.
        """
        for field, digest in self._digests.items():
            said = claimed.get(field, "").strip().lower()
            if said and said != digest.hexdigest():
                raise Refused(f"The file is torn: what arrived is not what was sent, by its {field}. Send it again")

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


def clear_leftovers(directory: Path) -> list[str]:
    """Remove what writers that are no more have left behind. Returns the names. Raises OSError.

    directory: of which it is known that it is the index's. What cannot be removed now is left for another time.
    """
    cleared = []
    for path in directory.glob(f"{PREFIX}*"):
        try:
            with path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Still locked: whoever has made it just now sees that it is gone, and makes another.
                path.unlink()
        except OSError:
            # Somebody is writing it, or took it away, or it is not ours.
            continue
        cleared.append(path.name)
    return cleared
