"""The decompressed bytes of a gzip file, read once from one end to the other."""

import zlib
from typing import BinaryIO
from zipfile import BadZipFile

from wheelhouse.archives.bounded import Unpacked
from wheelhouse.inflate import PIECE

# zlib checks header, CRC-32 and length (RFC 1952).
GZIP = 16 + zlib.MAX_WBITS


class GzipStream:
    """One gzip member, which is the whole file.

    A gzip file may have several members (RFC 1952, section 2.2), and gzip and pip read them all, but uv stops after
    the first. So more than one is rejected, and so are bytes after it.
    """

    def __init__(self, file: BinaryIO, unpacked: Unpacked):
        self._file, self._unpacked = file, unpacked
        self._stream = zlib.decompressobj(GZIP)
        # The last piece, and how much of it was read. It is not cut: a header is 512 bytes, and a piece much more.
        self._buffer, self._position = b"", 0

    def _piece(self) -> bytes:
        """Return more bytes, b"" at the end. Raises EOFError, zlib.error, BadZipFile; what Unpacked raises."""
        while not self._stream.eof:
            packed = self._stream.unconsumed_tail or self._file.read(PIECE)
            piece = self._stream.decompress(packed, PIECE)
            self._unpacked.bytes(len(piece))
            if piece:
                return piece
            if not packed and not self._stream.eof:
                raise EOFError("its compressed data ends early")
        if self._stream.unused_data or self._file.read(1):
            raise BadZipFile("after its gzip stream there are other bytes, or another gzip stream")
        return b""

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer at the end."""
        end = self._position + size
        if end <= len(self._buffer):
            content, self._position = self._buffer[self._position : end], end
            return content
        pieces, left = [self._buffer[self._position :]], end - len(self._buffer)
        self._buffer, self._position = b"", 0
        while left and (piece := self._piece()):
            pieces.append(piece[:left])
            if left < len(piece):
                self._buffer, self._position = piece, left
            left -= len(pieces[-1])
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Read so many bytes and drop them. Raises EOFError if there are fewer."""
        while size:
            piece = self.read(min(size, PIECE))
            if not piece:
                raise EOFError("a member ends early")
            size -= len(piece)

    def is_blank(self) -> bool:
        """Whether there is nothing but zeros up to the end."""
        while piece := self.read(PIECE):
            if piece.count(0) != len(piece):
                return False
        return True
