"""Read tar headers strictly: ustar, pax and GNU format, one header after the other.

tarfile (pip), GNU tar, bsdtar and uv's reader differ in what they do with numbers, checksums, padding and repeated
fields that the formats do not allow. What they all read in the same way is accepted here, and nothing else.
Formats: POSIX.1-2017 "pax", and "Basic Tar Format" in the manual of GNU tar.
"""

import re
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

from wheelhouse.archives.gzips import GzipStream
from wheelhouse.archives.members import shown
from wheelhouse.refusals import Refused

# Bytes of one pax header, or one GNU long name, which are read into memory.
LONGEST_HEADERS = 256 << 10
MOST_COMMON_FIELDS = 100
# The largest size that the octal field holds. A pax header may have more.
MAX_OCTAL_SIZE = 0o77777777777

FILES, DIRECTORY = (tarfile.REGTYPE, tarfile.AREGTYPE), tarfile.DIRTYPE
LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE)
LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
EXTENDED = (*LONG, tarfile.XHDTYPE)
USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \0", bytes(8)
# Mode, owner, group, time, and device numbers. tarfile takes a header for the end of the archive if one is not valid.
OTHER_NUMBERS = ((100, 108), (108, 116), (116, 124), (136, 148), (329, 337), (337, 345))
TIME = 136
NUMBER = re.compile(rb" *([0-7]*)[ \0]*")
PAX_RECORD = re.compile(rb"([1-9][0-9]{0,9}) ([^=\n]+)=")
# The fields of a pax header that decide what is unpacked. hdrcharset says how the others are encoded.
DECIDING = {"path", "linkpath", "size", "hdrcharset"}


class TarMember(NamedTuple):
    """A member. kind: tarfile's type; target: of a link; size in bytes."""

    name: str
    kind: bytes
    target: str
    size: int


class TarHeaders:
    """The headers of a tar archive, and the bytes between them."""

    def __init__(self, stream: GzipStream):
        self._stream = stream
        self._common = 0

    def members(self) -> Iterator[TarMember]:
        """Yield each member. Whoever asks for it reads or skips its content, with content(). Raises as next()."""
        while (member := self._next()) is not None:
            yield member

    def content(self, size: int) -> bytes:
        """Return the content of a member of this size, and go on to the next header."""
        content = self._stream.read(size)
        self._check_padding(size)
        return content

    def skip(self, size: int) -> None:
        """Drop the content of a member of this size, and go on to the next header."""
        self._stream.skip(size)
        self._check_padding(size)

    def _check_padding(self, size: int) -> None:
        padding = self._stream.read(-size % tarfile.BLOCKSIZE)
        if len(padding) != -size % tarfile.BLOCKSIZE:
            raise EOFError("a member ends early")
        if padding.count(0) != len(padding):
            raise Refused("a member is padded with other bytes than zeros. Build it again")

    def _next(self) -> TarMember | None:
        """Return the next member, or None at the end. Raises tarfile.ReadError, EOFError, Refused."""
        override: dict[str, str] = {}
        extended: list[bytes] = []
        while True:
            block = self._stream.read(tarfile.BLOCKSIZE)
            if not block.strip(b"\0"):
                if extended or len(block) != tarfile.BLOCKSIZE:
                    raise tarfile.ReadError("it ends without its end marker")
                return None
            size, kind = checked_size(block), block[156:157]
            if kind == tarfile.XGLTYPE and not extended:
                self._check_common(pax_fields(self._extension(size)))
            elif kind in EXTENDED:
                # Two of a kind, or of GNU and pax together: which one holds depends on the reader.
                if extended and (kind in extended or tarfile.XHDTYPE in (kind, *extended)):
                    raise Refused("it has a member with two extended headers. Build it again")
                extended.append(kind)
                content = self._extension(size)
                override |= pax_fields(content) if kind == tarfile.XHDTYPE else {LONG[kind]: long_name(content)}
            else:
                return member_of(block, kind, size, override)

    def _extension(self, size: int) -> bytes:
        """Return the content of a header in front of a member."""
        if size > LONGEST_HEADERS:
            raise Refused(f"it has a member whose headers are longer than {LONGEST_HEADERS} bytes")
        return self.content(size)

    def _check_common(self, fields: dict[str, str]) -> None:
        """Check a global pax header, such as the one with git's commit: it may not decide over members."""
        self._common += len(fields)
        if self._common > MOST_COMMON_FIELDS:
            raise Refused(f"it has more than {MOST_COMMON_FIELDS} fields that are common to all members")
        if deciding := DECIDING & fields.keys():
            raise Refused(f"a global pax header sets {min(deciding)} for all members. Build it again")


def checked_size(block: bytes) -> int:
    """Check the fields of a header block that all types have. Returns its size field. Raises tarfile.ReadError."""
    if len(block) != tarfile.BLOCKSIZE:
        raise EOFError("a header ends early")
    # With blanks in the place of the checksum. Some old tools added the bytes as signed numbers; tarfile takes both.
    if sum(block) - sum(block[148:156]) + 8 * ord(" ") != number(block[148:156]):
        raise tarfile.ReadError("bad checksum")
    magic = block[257:265]
    if magic not in (USTAR, GNU, V7):
        raise tarfile.ReadError(f"unknown format {magic!a}")
    if magic != USTAR and block[345:].strip(b"\0"):
        # tarfile takes it for the beginning of the name, and GNU tar for times.
        raise Refused("it has a member with bytes where another tar format has a part of the name. Build it again")
    for start, end in OTHER_NUMBERS:
        # In GNU's binary form a time may be before 1970.
        if start != TIME or block[start] != 0xFF:
            number(block[start:end])
    return number(block[124:136])


def number(field: bytes) -> int:
    """Return an octal field, or GNU's binary one. Raises tarfile.ReadError for a negative or other number."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    if (found := NUMBER.fullmatch(field)) is None:
        raise tarfile.ReadError(f"invalid number {field!a}")
    return int(found[1] or b"0", 8)


def member_of(block: bytes, kind: bytes, size: int, override: dict[str, str]) -> TarMember:
    """Return the member of a header block. override: what extended headers have said. Raises Refused."""
    name = decoded(block[:100])
    if block[257:265] == USTAR and block[345] and "path" not in override:
        name = f"{decoded(block[345:500])}/{name}"
    name, target = override.get("path", name), override.get("linkpath", decoded(block[157:257]))
    if "size" in override:
        said = int(override["size"])
        if size not in (said, 0) or (size == 0 and 0 < said <= MAX_OCTAL_SIZE):
            raise Refused(f"its member {shown(name)} has two sizes, {size} and {said} bytes. Build it again")
        size = said
    if kind not in (*FILES, *LINKS, DIRECTORY):
        raise Refused(f"its member {shown(name)} is no plain file, directory or link")
    if kind not in FILES and size:
        raise Refused(f"its member {shown(name)} is a directory or link with content")
    if kind != DIRECTORY and name.endswith("/"):
        # By its type a file, and by its name a directory. Before 1988 that was how directories were marked.
        raise Refused(f"its member {shown(name)} is a file or link named like a directory")
    return TarMember(name, kind, target, size)


def decoded(field: bytes) -> str:
    """Return a text field, which ends at the first NUL. Raises Refused if it is not UTF-8."""
    try:
        return field.partition(b"\0")[0].decode()
    except UnicodeDecodeError:
        raise Refused(f"it has a name that is not UTF-8, {field[:80]!a}. Build it again") from None


def long_name(content: bytes) -> str:
    """Return what a GNU long name header says. Raises Refused."""
    if content.rstrip(b"\0").count(0) or not content.rstrip(b"\0"):
        raise Refused("it has a long name with bytes after its end, or none. Build it again")
    return decoded(content)


def pax_fields(content: bytes) -> dict[str, str]:
    """Return the records of a pax header that decide what is unpacked, and of the others the keys. Raises Refused.

    A record is "<length> <key>=<value>\\n"; the length in bytes counts all of it.
    """
    fields: dict[str, str] = {}
    position = 0
    while position < len(content):
        found = PAX_RECORD.match(content, position)
        end = position + int(found[1]) if found else 0
        if found is None or end > len(content) or end <= found.end() or content[end - 1] != ord("\n"):
            raise tarfile.ReadError("invalid pax header")
        key, value = decoded(found[2]), content[found.end() : end - 1]
        if key in fields or key.startswith("GNU.sparse"):
            raise Refused(f"a pax header has two records {shown(key)}, or describes a sparse file. Build it again")
        fields[key] = pax_value(key, value) if key in DECIDING else ""
        position = end
    return fields


def pax_value(key: str, value: bytes) -> str:
    """Return the value of a record that decides what is unpacked. Raises Refused."""
    text = decoded(value)
    is_valid = re.fullmatch("[0-9]{1,18}", text) if key == "size" else key != "hdrcharset" and text
    if not is_valid or b"\0" in value:
        raise Refused(f"a pax header says {shown(f'{key}={text}')}, which readers understand differently")
    return text
