"""Read tar headers strictly: ustar, pax and GNU format, one header after the other.

tarfile (pip), GNU tar, bsdtar and uv's reader differ in what they do with numbers, checksums, padding and repeated
fields that the formats do not allow. Only what all of them read in the same way is accepted.
Formats: POSIX.1-2017 "pax", and "Basic Tar Format" in the manual of GNU tar.
"""

import re
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

from wheelhouse.distributions.archives.gzip_stream import GzipStream
from wheelhouse.errors import RequestError, short_repr

# Bytes of one pax header, or one GNU long name, which are read into memory.
MAX_EXTENSION_SIZE = 256 << 10
MAX_GLOBAL_FIELDS = 100
# The largest size that fits into the octal field. A pax header may have a larger one.
MAX_OCTAL_SIZE = 0o77777777777

FILES, DIRECTORY = (tarfile.REGTYPE, tarfile.AREGTYPE), tarfile.DIRTYPE
LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE)
LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
EXTENDED = (*LONG, tarfile.XHDTYPE)
USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \0", bytes(8)
# Mode, owner, group, time, device numbers. tarfile treats a header with an invalid one as the end of the archive.
OTHER_NUMBERS = ((100, 108), (108, 116), (116, 124), (136, 148), (329, 337), (337, 345))
TIME = 136
NUMBER = re.compile(rb" *([0-7]*)[ \0]*")
PAX_RECORD = re.compile(rb"([1-9][0-9]{0,9}) ([^=\n]+)=")
# The fields of a pax header that change what is unpacked. hdrcharset is the encoding of the others.
DECIDING = {"path", "linkpath", "size", "hdrcharset"}


class TarMember(NamedTuple):
    """A member. kind: tarfile's type; target: of a link; size in bytes."""

    name: str
    kind: bytes
    target: str
    size: int


class TarHeaders:
    """The headers of a tar archive, and the bytes between them."""

    def __init__(self, stream: GzipStream) -> None:
        self._stream = stream
        self._global_fields = 0

    def members(self) -> Iterator[TarMember]:
        """Yield each member. The caller then calls content() or skip(). Raises ReadError, EOFError, RequestError."""
        while (member := self._next()) is not None:
            yield member

    def content(self, size: int) -> bytes:
        """Return the content of a member of this size in bytes, and advance to the next header."""
        content = self._stream.read(size)
        self._check_padding(size)
        return content

    def skip(self, size: int) -> None:
        """Skip the content of a member of this size in bytes, and advance to the next header."""
        self._stream.skip(size)
        self._check_padding(size)

    def _check_padding(self, size: int) -> None:
        padding = self._stream.read(-size % tarfile.BLOCKSIZE)
        if len(padding) != -size % tarfile.BLOCKSIZE:
            raise EOFError("a member ends early")
        if padding.count(0) != len(padding):
            raise RequestError("a member is padded with other bytes than zeros. Build it again")

    def _next(self) -> TarMember | None:
        """Return the next member, or None at the end. Raises tarfile.ReadError, EOFError, RequestError."""
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
                self._check_global(pax_fields(self._extension(size)))
            elif kind in EXTENDED:
                # Two of one type, or GNU and pax together: readers disagree which one counts.
                if extended and (kind in extended or tarfile.XHDTYPE in (kind, *extended)):
                    raise RequestError("it has a member with two extended headers. Build it again")
                extended.append(kind)
                content = self._extension(size)
                override |= pax_fields(content) if kind == tarfile.XHDTYPE else {LONG[kind]: long_name(content)}
            else:
                return member_of(block, kind, size, override)

    def _extension(self, size: int) -> bytes:
        """Return the content of an extended header."""
        if size > MAX_EXTENSION_SIZE:
            raise RequestError(f"it has a member whose headers are longer than {MAX_EXTENSION_SIZE} bytes")
        return self.content(size)

    def _check_global(self, fields: dict[str, str]) -> None:
        """Check a global pax header, such as the one with git's commit: it must not change members."""
        self._global_fields += len(fields)
        if self._global_fields > MAX_GLOBAL_FIELDS:
            raise RequestError(f"it has more than {MAX_GLOBAL_FIELDS} fields that are common to all members")
        if deciding := DECIDING & fields.keys():
            raise RequestError(f"a global pax header sets {min(deciding)} for all members. Build it again")


def checked_size(block: bytes) -> int:
    """Check the fields of any header block. Returns the size field. Raises ReadError, EOFError, RequestError."""
    if len(block) != tarfile.BLOCKSIZE:
        raise EOFError("a header ends early")
    # Computed with blanks in place of the checksum. Some old tools add signed bytes, and tarfile accepts both.
    if sum(block) - sum(block[148:156]) + 8 * ord(" ") != number(block[148:156]):
        raise tarfile.ReadError("bad checksum")
    magic = block[257:265]
    if magic not in (USTAR, GNU, V7):
        raise tarfile.ReadError(f"unknown format {magic!a}")
    if magic != USTAR and block[345:].strip(b"\0"):
        # tarfile reads it as the beginning of the name, and GNU tar as times.
        raise RequestError("it has a member with bytes where another tar format has a part of the name. Build it again")
    for start, end in OTHER_NUMBERS:
        # In GNU's binary format, a time may be before 1970.
        if start != TIME or block[start] != 0xFF:
            number(block[start:end])
    return number(block[124:136])


def number(field: bytes) -> int:
    """Return the value of an octal field, or of one in GNU's binary format. Raises tarfile.ReadError."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    if (found := NUMBER.fullmatch(field)) is None:
        raise tarfile.ReadError(f"invalid number {field!a}")
    return int(found[1] or b"0", 8)


def member_of(block: bytes, kind: bytes, size: int, override: dict[str, str]) -> TarMember:
    """Return the member of a header block. override: the fields of extended headers. Raises RequestError."""
    name = decode_text(block[:100])
    if block[257:265] == USTAR and block[345] and "path" not in override:
        name = f"{decode_text(block[345:500])}/{name}"
    name, target = override.get("path", name), override.get("linkpath", decode_text(block[157:257]))
    if "size" in override:
        extended_size = int(override["size"])
        if size not in (extended_size, 0) or (size == 0 and 0 < extended_size <= MAX_OCTAL_SIZE):
            raise RequestError(
                f"its member {short_repr(name)} has two sizes, {size} and {extended_size} bytes. Build it again"
            )
        size = extended_size
    if kind not in (*FILES, *LINKS, DIRECTORY):
        raise RequestError(f"its member {short_repr(name)} is not a plain file, directory or link")
    if kind not in FILES and size:
        raise RequestError(f"its member {short_repr(name)} is a directory or link with content")
    if kind != DIRECTORY and name.endswith("/"):
        # Before 1988, this was how directories were marked.
        raise RequestError(f"its member {short_repr(name)} is a file or link named like a directory")
    return TarMember(name, kind, target, size)


def decode_text(field: bytes) -> str:
    """Return a text field, which ends at the first NUL. Raises RequestError if it is not UTF-8."""
    try:
        return field.partition(b"\0")[0].decode()
    except UnicodeDecodeError:
        raise RequestError(f"it has a name that is not UTF-8, {field[:80]!a}. Build it again") from None


def long_name(content: bytes) -> str:
    """Return the name in a GNU long name header. Raises RequestError."""
    if content.rstrip(b"\0").count(0) or not content.rstrip(b"\0"):
        raise RequestError("it has a long name with bytes after its end, or none. Build it again")
    return decode_text(content)


def pax_fields(content: bytes) -> dict[str, str]:
    """Return the records of a pax header: values of DECIDING, else "". Raises RequestError, ReadError.

    A record is "<length> <key>=<value>\\n"; the length in bytes counts the whole record.
    """
    fields: dict[str, str] = {}
    position = 0
    while position < len(content):
        found = PAX_RECORD.match(content, position)
        end = position + int(found[1]) if found else 0
        if found is None or end > len(content) or end <= found.end() or content[end - 1] != ord("\n"):
            raise tarfile.ReadError("invalid pax header")
        key, value = decode_text(found[2]), content[found.end() : end - 1]
        if key in fields or key.startswith("GNU.sparse"):
            raise RequestError(
                f"a pax header has two records {short_repr(key)}, or describes a sparse file. Build it again"
            )
        fields[key] = pax_value(key, value) if key in DECIDING else ""
        position = end
    return fields


def pax_value(key: str, value: bytes) -> str:
    """Return the value of a record in DECIDING. Raises RequestError."""
    text = decode_text(value)
    is_valid = re.fullmatch("[0-9]{1,18}", text) if key == "size" else key != "hdrcharset" and text
    if not is_valid or b"\0" in value:
        raise RequestError(f"a pax header says {short_repr(f'{key}={text}')}, which readers understand differently")
    return text
