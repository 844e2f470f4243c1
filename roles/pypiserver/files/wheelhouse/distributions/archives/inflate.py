"""Decompress one member of a zip archive in bounded memory, whatever its header declares."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile

# The methods that every installer supports. uv supports neither bzip2 nor LZMA, and unzip no LZMA.
METHODS = (ZIP_STORED, ZIP_DEFLATED)
# Bytes that are read at a time, and bytes that are decompressed at a time.
CHUNK_SIZE = 1 << 18
# What the standard library raises for corrupt compressed data.
DECOMPRESSION_ERRORS = (zlib.error, EOFError, ValueError)


class Decompressor(Protocol):
    """The interface of the decompressors."""

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed data was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether decompress can return nothing more without further bytes."""

    @property
    def unused_data(self) -> bytes:
        """Bytes after the end of the compressed data."""

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Add compressed bytes, and return at most max_length decompressed bytes."""


class Deflate:
    """zlib's raw DEFLATE decompressor."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._pending = b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """As in Decompressor."""
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        """As in Decompressor."""
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Add compressed bytes, and return at most max_length decompressed bytes."""
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
    """Read exactly size bytes. Raises BadZipFile if the file ends before; OSError if the disk fails."""
    content = file.read(size)
    if len(content) != size:
        raise BadZipFile("it ends early")
    return content


def decompress_member(file: BinaryIO, method: int, packed: int, size: int) -> Iterator[bytes]:
    """Yield the content of a member in chunks, starting at the position of the file.

    packed and size: in bytes, compressed and uncompressed, as declared. Stops decompressing as soon as there is more
    than declared. Raises BadZipFile if the declared sizes and the data differ.
    """
    decompressor, left = decompressor_for(method), packed
    total = 0
    while not decompressor.eof and (left or not decompressor.needs_input):
        data = read_exactly(file, min(CHUNK_SIZE, left)) if decompressor.needs_input else b""
        left -= len(data)
        try:
            chunk = decompressor.decompress(data, CHUNK_SIZE)
        except DECOMPRESSION_ERRORS as error:
            raise BadZipFile(str(error)) from None
        total += len(chunk)
        if total > size:
            raise BadZipFile(f"a member has more than the {size} bytes that it declares")
        yield chunk
    # DEFLATE marks its end, stored data does not.
    ended = decompressor.eof or method == ZIP_STORED
    if left or decompressor.unused_data or not ended or total != size:
        raise BadZipFile(f"a member's compressed data is not that of the {size} bytes that it declares")


def decompressor_for(method: int) -> Decompressor:
    """Return a new decompressor for a compression method of the zip format."""
    return Deflate() if method == ZIP_DEFLATED else Stored()
