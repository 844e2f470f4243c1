"""Reads METADATA or PKG-INFO of a file that was copied into the packages directory by hand.

Such a file was not checked. Any archive that zipfile and tarfile can read is accepted, but what they read into memory
is bounded: the directory of a zip, the headers of a tar, and the metadata itself.
"""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from wheelhouse.distributions.archives.inflate import CHUNK_SIZE, METHODS, decompress_member, read_exactly
from wheelhouse.distributions.core_metadata import MAX_METADATA_SIZE, InvalidMetadataError, is_pkg_info

# Bytes and entries of the directory of a zip, which zipfile reads as a whole. pypi_max_members has the same default.
MAX_DIRECTORY_SIZE = 32 << 20
MAX_ENTRIES = 100_000
# Bytes in front of a member's content. tarfile reads names, pax fields and sparse maps as long as the archive says.
MAX_TAR_HEADERS_SIZE = 256 << 10
MAX_GLOBAL_FIELDS = 100


class BoundedZip:
    """A file for ZipFile with a limit on the size of its directory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, file.seek(0, io.SEEK_END)
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Return size bytes. Raises BadZipFile for a directory that is too large."""
        left = self._size - self._file.tell()
        size = left if size < 0 else min(size, left)
        if size > MAX_DIRECTORY_SIZE:
            raise zipfile.BadZipFile(f"its directory is larger than {MAX_DIRECTORY_SIZE} bytes")
        content = self._file.read(size)
        if content.count(b"PK\1\2") > MAX_ENTRIES:
            raise zipfile.BadZipFile(f"it has more than {MAX_ENTRIES} members")
        return content


class BoundedTar:
    """A forward-only stream of the decompressed bytes of a tar archive that emulates seek for tarfile."""

    def __init__(self, content: gzip.GzipFile) -> None:
        self._content, self._position = content, 0
        self.left = MAX_TAR_HEADERS_SIZE

    def tell(self) -> int:
        """Return the number of bytes that were read."""
        return self._position

    def read(self, size: int) -> bytes:
        """Return size bytes of headers. Raises ReadError if the headers of a member are too long."""
        self.left -= size
        if self.left < 0:
            raise tarfile.ReadError(f"a member's headers are longer than {MAX_TAR_HEADERS_SIZE} bytes")
        return self.content(size)

    def content(self, size: int) -> bytes:
        """Return size bytes, fewer at the end."""
        content = self._content.read(size)
        self._position += len(content)
        return content

    def seek(self, position: int) -> int:
        """Read forward to a position, or to the end. Raises ReadError for a position that was passed."""
        if position < self._position:
            raise tarfile.ReadError("it needs to seek backwards")
        while position > self._position and self.content(min(CHUNK_SIZE, position - self._position)):
            pass
        return self._position


def from_wheel(path: Path) -> bytes | None:
    """Return METADATA of a wheel (PEP 427), or None. Raises InvalidMetadataError, ARCHIVE_ERRORS, OSError."""
    with path.open("rb") as file, zipfile.ZipFile(BoundedZip(file)) as archive:
        for name in archive.namelist():
            directory, _, metadata = name.rpartition("/")
            if metadata == "METADATA" and directory.endswith(".dist-info") and "/" not in directory:
                return content_of(file, archive.getinfo(name))
    return None


def from_sdist(path: Path) -> bytes | None:
    """Return PKG-INFO in the top-level directory of an sdist (PEP 625), or None. Raises as from_wheel."""
    if path.suffix == ".zip":
        with path.open("rb") as file, zipfile.ZipFile(BoundedZip(file)) as archive:
            fitting = (info for info in archive.infolist() if is_pkg_info(info.filename))
            info = next(fitting, None)
            return content_of(file, info) if info else None
    with gzip.open(path) as content:
        return from_tar(content)


def from_tar(content: gzip.GzipFile) -> bytes | None:
    """Return PKG-INFO of a tar archive, or None. Reads to the end, where the checksum is."""
    stream, found = BoundedTar(content), None
    with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r:") as archive:
        while (member := archive.next()) is not None:
            if found is None and member.isfile() and is_pkg_info(member.name):
                check_size(member.size)
                stream.seek(member.offset_data)
                found = stream.content(member.size)
            if len(archive.pax_headers) > MAX_GLOBAL_FIELDS:
                raise tarfile.ReadError(f"it has more than {MAX_GLOBAL_FIELDS} fields that are common to all members")
            # tarfile would keep all of them in memory.
            vars(archive)["members"] = []
            stream.left = MAX_TAR_HEADERS_SIZE
        while stream.content(CHUNK_SIZE):
            pass
    return found


def check_size(size: int) -> None:
    """Raise InvalidMetadataError if metadata is too large. size: bytes."""
    if size > MAX_METADATA_SIZE:
        raise InvalidMetadataError(f"its metadata is larger than {MAX_METADATA_SIZE} bytes")


def content_of(file: BinaryIO, info: zipfile.ZipInfo) -> bytes:
    """Return the content of a zip member. ZipFile.read would decompress more than the directory declares."""
    check_size(info.file_size)
    if info.flag_bits & 0x1 or info.compress_type not in METHODS:
        raise zipfile.BadZipFile("its metadata is encrypted, or compressed in a way that installers do not know")
    file.seek(info.header_offset)
    signature, name_length, extra_length = struct.unpack("<4s22x2H", read_exactly(file, 30))
    if signature != b"PK\3\4":
        raise zipfile.BadZipFile("Bad magic number for file header")
    file.seek(name_length + extra_length, io.SEEK_CUR)
    raw = b"".join(decompress_member(file, info.compress_type, info.compress_size, info.file_size))
    if zlib.crc32(raw) != info.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for {info.filename[:80]!r}")
    return raw
