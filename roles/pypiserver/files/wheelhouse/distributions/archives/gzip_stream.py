"""The decompressed bytes of a gzip file, read once from one end to the other."""

import zlib
from typing import BinaryIO
from zipfile import BadZipFile

from wheelhouse.distributions.archives.inflate import CHUNK_SIZE
from wheelhouse.distributions.archives.limits import UnpackLimits

# zlib checks header, CRC-32 and length (RFC 1952).
GZIP = 16 + zlib.MAX_WBITS


class GzipStream:
    """One gzip member, which is the whole file.

    A gzip file may have several members (RFC 1952, section 2.2), and gzip and pip read them all, but uv stops after
    the first. So more than one is rejected, and so are bytes after it.
    """

    def __init__(self, file: BinaryIO, limits: UnpackLimits) -> None:
        self._file, self._limits = file, limits
        self._stream = zlib.decompressobj(GZIP)
        # The last chunk, and how much of it was read. It is not sliced: a header is 512 bytes, and a chunk much more.
        self._buffer, self._position = b"", 0

    def _read_chunk(self) -> bytes:
        """Return more bytes, b"" at the end. Raises EOFError, zlib.error, BadZipFile; what UnpackLimits raises."""
        while not self._stream.eof:
            packed = self._stream.unconsumed_tail or self._file.read(CHUNK_SIZE)
            chunk = self._stream.decompress(packed, CHUNK_SIZE)
            self._limits.count_bytes(len(chunk))
            if chunk:
                return chunk
            if not packed and not self._stream.eof:
                raise EOFError("its compressed data ends early")
        if self._stream.unused_data or self._file.read(1):
            raise BadZipFile("after its gzip stream there are other bytes, or another gzip stream")
        return b""

    def read(self, size: int) -> bytes:
        """Return this number of bytes, or fewer at the end."""
        end = self._position + size
        if end <= len(self._buffer):
            content, self._position = self._buffer[self._position : end], end
            return content
        chunks, left = [self._buffer[self._position :]], end - len(self._buffer)
        self._buffer, self._position = b"", 0
        while left and (chunk := self._read_chunk()):
            chunks.append(chunk[:left])
            if left < len(chunk):
                self._buffer, self._position = chunk, left
            left -= len(chunks[-1])
        return b"".join(chunks)

    def skip(self, size: int) -> None:
        """Read and drop this number of bytes. Raises EOFError if there are fewer."""
        while size:
            chunk = self.read(min(size, CHUNK_SIZE))
            if not chunk:
                raise EOFError("a member ends early")
            size -= len(chunk)

    def has_only_zeros_left(self) -> bool:
        """Read to the end, and return whether there are only zeros."""
        while chunk := self.read(CHUNK_SIZE):
            if chunk.count(0) != len(chunk):
                return False
        return True
