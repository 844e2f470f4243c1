"""RECORD of a wheel: each file with its hash and size (PEP 376, PEP 427).

pip and uv take it for the list of what to uninstall, and do not verify the hashes, so this index does.
"""

import base64
import csv
import hashlib
import io
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from wheelhouse.archives.members import normal, shown
from wheelhouse.refusals import Refused

# Bytes. It is parsed as a stream; of each line, path, hash and size stay in memory.
MAX_RECORD_SIZE = 32 << 20
# Characters of one line. The csv module reads the rest of the file as one field if a quote is not closed.
MAX_FIELD = 8192
# PEP 427: "The hash algorithm must be sha256 or better; specifically, md5, sha1 and sha224 are not permitted."
ALGORITHMS = {"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s"}
# Written after RECORD, so it cannot have their hashes (PEP 427).
UNHASHED = ("RECORD", "RECORD.jws", "RECORD.p7s")


class Hash(Protocol):
    """One of hashlib's objects."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def digest(self) -> bytes:
        """Return the digest."""


class Line(NamedTuple):
    """What RECORD says of a file. digest: urlsafe base64 without padding; size in bytes, or None where left open."""

    algorithm: str
    digest: str
    size: int | None


class Pieces(io.RawIOBase):
    """A readable stream of pieces."""

    def __init__(self, pieces: Iterator[bytes]):
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer. Returns the number of bytes, 0 at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


class WheelRecord:
    """The lines of a RECORD, by path."""

    def __init__(self, info: str, content: Iterator[bytes]):
        """Parse it. info: the name of the .dist-info directory. Raises Refused."""
        self._unhashed = {f"{info}/{name}" for name in UNHASHED}
        self._lines: dict[str, Line] = {}
        reader = csv.reader(io.TextIOWrapper(io.BufferedReader(Pieces(content)), encoding="utf-8", newline=""))
        try:
            for row in reader:
                if row:
                    self._add(row)
        except UnicodeDecodeError:
            raise Refused("its RECORD is not UTF-8. Build it again") from None
        except csv.Error as error:
            raise Refused(f"its RECORD is not valid CSV, in line {reader.line_num}: {error}. Build it again") from None

    def _add(self, row: list[str]) -> None:
        if len(row) != 3 or max(map(len, row)) > MAX_FIELD:
            raise Refused(f"its RECORD has the line {shown(','.join(row))}; a line is path,hash,size. Build it again")
        path, (algorithm, _, digest), size = normal(row[0]), row[1].partition("="), row[2]
        if path in self._lines:
            raise Refused(f"its RECORD lists {shown(path)} twice. Build it again")
        if path not in self._unhashed and algorithm not in ALGORITHMS:
            raise Refused(
                f"its RECORD has the hash {shown(row[1])} for {shown(path)}; sha256 or better is required (PEP 427)"
            )
        if size and not (size.isascii() and size.isdigit()):
            raise Refused(f"its RECORD has the size {shown(size)} for {shown(path)}. Build it again")
        self._lines[path] = Line(algorithm, digest, int(size[:20]) if size else None)

    def check_paths(self, files: set[str]) -> None:
        """Compare the paths with those of the wheel's files. Raises Refused where one is missing."""
        for path in sorted(files - self._lines.keys() - self._unhashed):
            raise Refused(f"its RECORD does not list {shown(path)} (PEP 427). Build it again")
        for path in sorted(self._lines.keys() - files - self._unhashed):
            raise Refused(f"its RECORD lists {shown(path)}, which it does not have (PEP 427). Build it again")

    def hash_for(self, path: str) -> Hash | None:
        """Return a new hash object of the algorithm that a file is listed with; None for one without a hash."""
        if path in self._unhashed:
            return None
        return hashlib.new(self._lines[path].algorithm)

    def check(self, path: str, computed: Hash | None, size: int) -> None:
        """Compare what was computed over a file's content with its line. size in bytes. Raises Refused."""
        if computed is None:
            return
        line = self._lines[path]
        digest = base64.urlsafe_b64encode(computed.digest()).rstrip(b"=").decode()
        if digest != line.digest.rstrip("=") or line.size not in (size, None):
            raise Refused(f"its RECORD has another hash or size for {shown(path)} than the file itself. Build it again")
