"""Decompress one member of a zip archive in bounded memory, whatever its header declares."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, BadZipFile

METHODS = (ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA)
# Bytes that are read, and bytes that are decompressed, at a time.
PIECE = 1 << 18
# Bytes. An LZMA stream says how large a dictionary the decoder must allocate, up to 4 GiB.
MAX_LZMA_DICTIONARY = 16 << 20
# What the standard library raises over compressed data that is corrupt.
CORRUPT = (zlib.error, lzma.LZMAError, EOFError, ValueError)


class Decompressor(Protocol):
    """What the standard library's decompressors have in common."""

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
    """zlib's raw DEFLATE decompressor with the interface of bz2's and lzma's."""

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


def lzma_decompressor(file: BinaryIO, packed: int) -> tuple[Decompressor, int]:
    """Return a decompressor from the member's LZMA header, and the header's size in bytes (APPNOTE, section 5.8)."""
    if packed < 9:
        raise BadZipFile("an LZMA header is too short")
    header = read_exactly(file, 9)
    dictionary, properties = int.from_bytes(header[5:], "little"), header[4]
    if header[2:4] != b"\x05\x00" or properties >= 9 * 5 * 5:
        raise BadZipFile("an LZMA header is not valid")
    if dictionary > MAX_LZMA_DICTIONARY:
        raise BadZipFile(
            f"an LZMA dictionary has {dictionary} bytes; at most {MAX_LZMA_DICTIONARY} are allowed. Use deflate"
        )
    filters = {
        "id": lzma.FILTER_LZMA1,
        "dict_size": max(dictionary, 4096),
        "lc": properties % 9,
        "lp": properties // 9 % 5,
        "pb": properties // 45,
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[filters]), len(header)


def inflated(file: BinaryIO, method: int, packed: int, size: int) -> Iterator[bytes]:
    """Yield a member's content, piece by piece, from the file's position on.

    packed and size: in bytes, compressed and uncompressed, as declared. Stops decompressing as soon as there is more
    than that. Raises BadZipFile where what is declared and what is there differ.
    """
    decompressor, left = decompressor_for(file, method, packed)
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
    # Only DEFLATE and bzip2 always mark their end.
    ended = decompressor.eof or method in (ZIP_STORED, ZIP_LZMA)
    if left or decompressor.unused_data or not ended or total != size:
        raise BadZipFile(f"a member's compressed data is not that of the {size} bytes that it declares")


def decompressor_for(file: BinaryIO, method: int, packed: int) -> tuple[Decompressor, int]:
    """Return a decompressor, and how many compressed bytes are left to read."""
    if method == ZIP_LZMA:
        decompressor, used = lzma_decompressor(file, packed)
        return decompressor, packed - used
    kinds: dict[int, Callable[[], Decompressor]]
    kinds = {ZIP_STORED: Stored, ZIP_DEFLATED: Deflate, ZIP_BZIP2: bz2.BZ2Decompressor}
    return kinds[method](), packed
