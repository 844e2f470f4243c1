"""Read a zip archive strictly: the central directory, and the local header in front of each member.

A zip archive describes each member twice. zipfile (pip), unzip and 7-Zip use the central directory at the end; uv reads
a download from its beginning and uses the local headers. If the two differ, or bytes belong to neither, users would
install different files from the same archive (CVE-2025-54368). So both are read and compared, and every byte of the
archive must belong to exactly one record. zipfile cannot be used for this: it skips what it does not need.

Section numbers are those of PKWARE's APPNOTE.TXT 6.3.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple
from zipfile import ZIP_STORED, BadZipFile

from wheelhouse.config import Limits
from wheelhouse.distributions.archives.inflate import METHODS, decompress_member, read_exactly
from wheelhouse.distributions.archives.limits import size_of
from wheelhouse.errors import RequestError, short_repr

# Bytes. An entry of the central directory takes some 100, and is kept in memory.
MAX_DIRECTORY_SIZE = 32 << 20

LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7
DESCRIPTOR, DESCRIPTOR64 = struct.Struct("<4s3L"), struct.Struct("<4sL2Q")  # 4.3.9
CENTRAL = struct.Struct("<4s4B4H3L5H2L")  # 4.3.12
END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
END = struct.Struct("<4s4H2LH")  # 4.3.16
# "The real value is in the ZIP64 field."
MARK16, MARK32 = 0xFFFF, 0xFFFFFFFF

ENCRYPTED = 0x1 | 0x40 | 0x2000  # 4.4.4
HAS_DESCRIPTOR, IS_UTF8 = 0x8, 0x800
# Bits 1 and 2 are the compression level. All others change the meaning of the data, or have no meaning.
KNOWN_FLAGS = 0x2 | 0x4 | HAS_DESCRIPTOR | IS_UTF8
NEWEST_VERSION = 63  # 4.4.3.2
ZIP64 = 0x0001
# Info-ZIP's Unicode path and comment: a second name, which only some readers use. UTF-8 names have a flag.
UNICODE_FIELDS = {0x7075, 0x6375}


class Member(NamedTuple):
    """A member according to the central directory. Sizes and offset in bytes; crc is a CRC-32."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    attributes: int

    @property
    def label(self) -> str:
        """The name, for a message."""
        return short_repr(self.name.decode(errors="replace"))

    @property
    def text(self) -> str:
        """The name. Raises RequestError if it has no single meaning: without the flag, readers guess the encoding."""
        try:
            return self.name.decode("utf-8" if self.flags & IS_UTF8 else "ascii")
        except UnicodeDecodeError:
            raise RequestError(
                f"its member {self.name[:80]!a} has a name that is not ASCII, and not marked as UTF-8 "
                "(general purpose bit 11). Build it again with a tool that marks it"
            ) from None


class Directory(NamedTuple):
    """The position of the central directory. entries: their number; size, offset and end (exclusive) in bytes."""

    entries: int
    size: int
    offset: int
    end: int


class ZipLayout:
    """An archive whose two descriptions agree. members: sorted by offset."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        """Read all headers, and decompress nothing. Raises BadZipFile, RequestError."""
        self._file = file
        directory = find_directory(file, size_of(file))
        if directory.entries > limits.max_members:
            raise RequestError(f"it has more than {limits.max_members} members (pypi_max_members)")
        if directory.size > MAX_DIRECTORY_SIZE:
            raise RequestError(f"its directory is larger than {MAX_DIRECTORY_SIZE} bytes")
        self.members = sorted(read_directory(file, directory), key=lambda member: member.offset)
        self._directory = directory

    def content(self, member: Member) -> Iterator[bytes]:
        """Yield the content of a member in chunks. Raises BadZipFile if it differs from its headers."""
        self._file.seek(member.offset)
        check_local_header(self._file, member)
        crc = 0
        for chunk in decompress_member(self._file, member.method, member.packed, member.size):
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if crc != member.crc:
            raise BadZipFile(f"Bad CRC-32 for member {member.label}")

    def read(self, member: Member, max_size: int) -> bytes:
        """Return the content of a member. Raises RequestError if it is larger than max_size bytes, BadZipFile."""
        if member.size > max_size:
            raise RequestError(f"its member {short_repr(member.text)} is larger than {max_size} bytes")
        return b"".join(self.content(member))

    def verify(self, member: Member) -> None:
        """Decompress a member without keeping it. Raises as content()."""
        for _chunk in self.content(member):
            pass

    def check_contiguous(self) -> None:
        """Raise BadZipFile unless the members, one after the other, fill the archive up to the central directory."""
        position = 0
        for member in self.members:
            if member.offset != position:
                raise BadZipFile(f"its bytes {position} to {member.offset} are not those of one member")
            self._file.seek(position)
            length, is_wide = check_local_header(self._file, member)
            position += length + member.packed
            if member.flags & HAS_DESCRIPTOR:
                self._file.seek(position)
                position += check_descriptor(self._file, member, is_wide)
        if position != self._directory.offset:
            raise BadZipFile(f"its bytes {position} to {self._directory.offset} are not those of one member")


def find_directory(file: BinaryIO, size: int) -> Directory:
    """Find the central directory by the end record, which must be the archive's last bytes. Raises BadZipFile."""
    position = size - END.size
    if position < 0:
        raise BadZipFile("File is not a zip file")
    file.seek(position)
    signature, disk, first_disk, here, count, length, offset, comment = END.unpack(read_exactly(file, END.size))
    if signature != b"PK\5\6" or comment:
        raise BadZipFile("File is not a zip file, or has a comment or other bytes after its end")
    if disk or first_disk or here != count:
        raise BadZipFile("it is one of several parts")
    found = find_directory64(file, position)
    if found is None:
        if MARK32 in (length, offset):
            raise BadZipFile("its ZIP64 end record is missing")
        found = Directory(count, length, offset, position)
    for short, long, mark in (
        (count, found.entries, MARK16),
        (length, found.size, MARK32),
        (offset, found.offset, MARK32),
    ):
        if short not in (long, mark):
            raise BadZipFile("its two end records differ")
    if found.offset + found.size != found.end:
        raise BadZipFile("its directory does not end where its end record begins")
    return found


def find_directory64(file: BinaryIO, end: int) -> Directory | None:
    """Find the central directory by the ZIP64 end record in front of the end record, or return None."""
    if end < LOCATOR.size:
        return None
    file.seek(end - LOCATOR.size)
    signature, disk, position, disks = LOCATOR.unpack(read_exactly(file, LOCATOR.size))
    if signature != b"PK\6\7":
        return None
    if disk or disks > 1 or position != end - LOCATOR.size - END64.size:
        raise BadZipFile("its ZIP64 end record is not in front of its end record")
    file.seek(position)
    signature, length, _made, _needed, disk, first_disk, here, count, size, offset = END64.unpack(
        read_exactly(file, END64.size)
    )
    if signature != b"PK\6\6" or length != END64.size - 12 or disk or first_disk or here != count:
        raise BadZipFile("its ZIP64 end record is not valid")
    return Directory(count, size, offset, position)


def read_directory(file: BinaryIO, directory: Directory) -> Iterator[Member]:
    """Yield the central directory's entries. Raises BadZipFile, RequestError."""
    file.seek(directory.offset)
    left = directory.size
    for _number in range(directory.entries):
        member, used = read_entry(file)
        left -= used
        if left < 0:
            break
        yield member
    if left:
        raise BadZipFile("the size of its directory differs from its end record")


def read_entry(file: BinaryIO) -> tuple[Member, int]:
    """Read an entry of the central directory. Returns it and its size in bytes. Raises BadZipFile, RequestError."""
    fields = CENTRAL.unpack(read_exactly(file, CENTRAL.size))
    signature, _version, _system, version, _reserved, flags, method, _time, _date, crc = fields[:10]
    packed, size, name_length, extra_length, comment, disk, _internal, attributes, offset = fields[10:]
    if signature != b"PK\1\2":
        raise BadZipFile("Bad magic number for central directory")
    name, extra = read_exactly(file, name_length), read_exactly(file, extra_length)
    if version > NEWEST_VERSION:
        raise BadZipFile(f"a member needs version {version / 10} of the zip format")
    if comment or disk:
        raise BadZipFile("a member has a comment, or is on another disk")
    wide = zip64_values(extra)
    if wide is not None and len(wide) != [size, packed, offset].count(MARK32):
        raise BadZipFile("a ZIP64 field has not the values that it should have")
    values = iter(wide or ())
    size, packed, offset = (next(values, value) if value == MARK32 else value for value in (size, packed, offset))
    member = Member(name, flags, method, crc, packed, size, offset, attributes)
    check_supported(member)
    return member, CENTRAL.size + name_length + extra_length


def check_supported(member: Member) -> None:
    """Raise RequestError for a member that is encrypted, compressed in a rare way, or cannot be read as a stream."""
    name = member.label
    if member.flags & ENCRYPTED:
        raise RequestError(f"its member {name} is encrypted")
    if member.method not in METHODS:
        raise RequestError(f"its member {name} is compressed in a way that installers do not know")
    if member.flags & ~KNOWN_FLAGS:
        raise RequestError(
            f"its member {name} has the general purpose bits {member.flags:#06x}; 1, 2, 3 and 11 are allowed"
        )
    if member.flags & HAS_DESCRIPTOR and member.method == ZIP_STORED:
        # A reader of the stream cannot find its end.
        raise RequestError(
            f"its member {name} is stored with a data descriptor. Compress it with deflate, or write to a file"
        )


def check_local_header(file: BinaryIO, member: Member) -> tuple[int, bool]:
    """Compare a local header with the central directory. Raises BadZipFile, RequestError.

    Returns the header's size in bytes, and whether it has a ZIP64 field.
    """
    signature, version, flags, method, _time, _date, crc, packed, size, name_length, extra_length = LOCAL.unpack(
        read_exactly(file, LOCAL.size)
    )
    if signature != b"PK\3\4":
        raise BadZipFile("Bad magic number for file header")
    name, wide = read_exactly(file, name_length), zip64_values(read_exactly(file, extra_length))
    if wide is not None:
        if len(wide) != 2 or size not in (wide[0], MARK32) or packed not in (wide[1], MARK32):
            raise BadZipFile("a ZIP64 field has not the values that it should have")
        size, packed = wide
    # With a descriptor, these values follow the data, and may be zeros here.
    later = (0, 0, 0) if member.flags & HAS_DESCRIPTOR else None
    same = (name, flags, method) == (member.name, member.flags, member.method) and version & 0xFF <= NEWEST_VERSION
    if not same or (crc, packed, size) not in ((member.crc, member.packed, member.size), later):
        raise BadZipFile(f"the header of its member {member.label} and its directory differ")
    return LOCAL.size + name_length + extra_length, wide is not None


def check_descriptor(file: BinaryIO, member: Member, is_wide: bool) -> int:
    """Compare the data descriptor at the file's position. Returns its size in bytes. Raises BadZipFile.

    Without a signature, or with sizes of the other width, readers disagree where it ends.
    """
    kind = DESCRIPTOR64 if is_wide else DESCRIPTOR
    if kind.unpack(read_exactly(file, kind.size)) != (b"PK\7\b", member.crc, member.packed, member.size):
        raise BadZipFile(f"the data descriptor of its member {member.label} and its directory differ")
    return kind.size


def zip64_values(extra: bytes) -> tuple[int, ...] | None:
    """Return the values of the ZIP64 extra field (4.5.3), or None without one. Raises BadZipFile, RequestError.

    Other extra fields (times, owners, alignment) must be well-formed, and do not change what is unpacked.
    """
    found, position = None, 0
    while position < len(extra):
        if len(extra) - position < 4:
            raise BadZipFile("Corrupt extra field")
        kind, length = struct.unpack_from("<2H", extra, position)
        position += 4
        if len(extra) - position < length:
            raise BadZipFile(f"Corrupt extra field {kind:04x} (size={length})")
        if kind in UNICODE_FIELDS:
            raise RequestError(
                f"it has an extra field {kind:#06x}, a second name for a member. Mark names as UTF-8 instead"
            )
        if kind == ZIP64:
            if found is not None or length % 8:
                raise BadZipFile("Corrupt zip64 extra field")
            found = struct.unpack_from(f"<{length // 8}Q", extra, position)
        position += length
    return found
