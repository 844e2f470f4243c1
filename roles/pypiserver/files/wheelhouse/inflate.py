"""Decompress one member of a zip archive in bounded memory, whatever its header declares."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile

# What every installer reads. uv knows neither bzip2 nor LZMA, and unzip no LZMA.
METHODS = (ZIP_STORED, ZIP_DEFLATED)
# Bytes that are read, and bytes that are decompressed, at a time.
PIECE = 1 << 18
# What the standard library raises over compressed data that is corrupt.
CORRUPT = (zlib.error, EOFError, ValueError)


class Decompressor(Protocol):
    """What the decompressors have in common."""

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed data was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether it can do nothing more without further bytes."""

    @property
    def unused_data(self) -> bytes:
        """Bytes after the end of the compressed data."""

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Take compressed bytes, and return at most max_length bytes."""


class Deflate:
    """zlib's raw DEFLATE decompressor."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._pending = b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Take compressed bytes, and return at most max_length bytes."""
        output = self._stream.decompress(self._pending + data, max_length)
        self._pending = self._stream.unconsumed_tail
        self.needs_input = not self._pending and len(output) < max_length
        return output


class Stored:
    """The interface of a decompressor for bytes that are not compressed."""

    eof, needs_input, unused_data = False, True, b""

    def decompress(self, data: bytes, /, max_length: int) -> bytes:  # noqa: ARG002
        """Return the bytes."""
        return data


def read_exactly(file: BinaryIO, size: int) -> bytes:
    """Read so many bytes. Raises BadZipFile if the file ends before; OSError if the disk fails."""
    content = file.read(size)
    if len(content) != size:
        raise BadZipFile("it ends early")
    return content


def inflated(file: BinaryIO, method: int, packed: int, size: int) -> Iterator[bytes]:
    """Yield a member's content, piece by piece, from the file's position on.

    packed and size: in bytes, compressed and uncompressed, as declared. Stops decompressing as soon as there is more
    than that. Raises BadZipFile where what is declared and what is there differ.
    """
    decompressor, left = decompressor_for(method), packed
    total = 0
    while not decompressor.eof and (left or not decompressor.needs_input):
        data = read_exactly(file, min(PIECE, left)) if decompressor.needs_input else b""
        left -= len(data)
        try:
            piece = decompressor.decompress(data, PIECE)
        except CORRUPT as error:
            raise BadZipFile(str(error)) from None
        total += len(piece)
        if total > size:
            raise BadZipFile(f"a member has more than the {size} bytes that it declares")
        yield piece
    # DEFLATE marks its end.
    ended = decompressor.eof or method == ZIP_STORED
    if left or decompressor.unused_data or not ended or total != size:
        raise BadZipFile(f"a member's compressed data is not that of the {size} bytes that it declares")


def decompressor_for(method: int) -> Decompressor:
    """Return a decompressor."""
    return Deflate() if method == ZIP_DEFLATED else Stored()
