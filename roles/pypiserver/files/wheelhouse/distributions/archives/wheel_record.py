"""Checks RECORD of a wheel: each file with its hash and size (PEP 376, PEP 427).

pip and uv use it to uninstall files, and do not verify the hashes. So this index does.
"""

import base64
import csv
import hashlib
import io
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from wheelhouse.distributions.archives.members import normalize_path
from wheelhouse.errors import RequestError, short_repr

# Bytes. RECORD is parsed as a stream; path, hash and size of each line are kept in memory.
MAX_RECORD_SIZE = 32 << 20
# Characters of one line. The csv module reads the rest of the file as one field if a quote is not closed.
MAX_FIELD = 8192
# PEP 427: "The hash algorithm must be sha256 or better; specifically, md5, sha1 and sha224 are not permitted."
ALGORITHMS = {"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s"}
# Written after RECORD, so it cannot have their hashes (PEP 427).
UNHASHED = ("RECORD", "RECORD.jws", "RECORD.p7s")


class Hash(Protocol):
    """A hash object of hashlib."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def digest(self) -> bytes:
        """Return the digest."""


class RecordLine(NamedTuple):
    """A line of RECORD. digest: urlsafe base64 without padding; size: bytes, or None if it is empty."""

    algorithm: str
    digest: str
    size: int | None


class ChunkStream(io.RawIOBase):
    """A readable stream of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        """Return True (io.RawIOBase)."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer. Returns the number of bytes, 0 at the end."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


class WheelRecord:
    """The lines of a RECORD, by path."""

    def __init__(self, info: str, content: Iterator[bytes]) -> None:
        """Parse RECORD. info: name of the .dist-info directory; content: in chunks. Raises RequestError."""
        self._unhashed = {f"{info}/{name}" for name in UNHASHED}
        self._lines: dict[str, RecordLine] = {}
        reader = csv.reader(io.TextIOWrapper(io.BufferedReader(ChunkStream(content)), encoding="utf-8", newline=""))
        try:
            for row in reader:
                if row:
                    self._add(row)
        except UnicodeDecodeError:
            raise RequestError("its RECORD is not UTF-8. Build it again") from None
        except csv.Error as error:
            raise RequestError(
                f"its RECORD is not valid CSV, in line {reader.line_num}: {error}. Build it again"
            ) from None

    def _add(self, row: list[str]) -> None:
        if len(row) != 3 or max(map(len, row)) > MAX_FIELD:
            raise RequestError(
                f"its RECORD has the line {short_repr(','.join(row))}; a line is path,hash,size. Build it again"
            )
        path, (algorithm, _, digest), size = normalize_path(row[0]), row[1].partition("="), row[2]
        if path in self._lines:
            raise RequestError(f"its RECORD lists {short_repr(path)} twice. Build it again")
        if path not in self._unhashed and algorithm not in ALGORITHMS:
            raise RequestError(
                f"its RECORD has the hash {short_repr(row[1])} for {short_repr(path)}; "
                "sha256 or better is required (PEP 427)"
            )
        if size and not (size.isascii() and size.isdigit()):
            raise RequestError(f"its RECORD has the size {short_repr(size)} for {short_repr(path)}. Build it again")
        self._lines[path] = RecordLine(algorithm, digest, int(size[:20]) if size else None)

    def check_paths(self, files: set[str]) -> None:
        """Compare the paths with those of the wheel's files. Raises RequestError if they differ."""
        for path in sorted(files - self._lines.keys() - self._unhashed):
            raise RequestError(f"its RECORD does not list {short_repr(path)} (PEP 427). Build it again")
        for path in sorted(self._lines.keys() - files - self._unhashed):
            raise RequestError(f"its RECORD lists {short_repr(path)}, which it does not have (PEP 427). Build it again")

    def hash_for(self, path: str) -> Hash | None:
        """Return a new hash object of the algorithm that a file is listed with; None for one without a hash."""
        if path in self._unhashed:
            return None
        return hashlib.new(self._lines[path].algorithm)

    def check(self, path: str, computed: Hash | None, size: int) -> None:
        """Compare the computed hash and size (bytes) of a file with its line. Raises RequestError."""
        if computed is None:
            return
        line = self._lines[path]
        digest = base64.urlsafe_b64encode(computed.digest()).rstrip(b"=").decode()
        if digest != line.digest.rstrip("=") or line.size not in (size, None):
            raise RequestError(
                f"its RECORD has another hash or size for {short_repr(path)} than the file itself. Build it again"
            )
