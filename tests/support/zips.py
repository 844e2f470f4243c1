"""Zip archives built field by field (PKWARE's APPNOTE), so that any field can be wrong."""

import struct
import zlib
from dataclasses import dataclass, field

from support.archives import wheel_members

LOCAL, CENTRAL, END = "<4s5H3L2H", "<4s6H3L5H2L", "<4s4H2LH"
FLAGS, METHOD, CRC, PACKED, SIZE = range(5)


@dataclass
class Raw:
    """A member. local, central: overridden fields of the header and of the directory entry, by position.

    extra_local, extra_central: extra fields; after: bytes after the data.
    """

    name: bytes
    content: bytes
    deflated: bool = False
    flags: int = 0
    local: dict[int, int] = field(default_factory=dict)
    central: dict[int, int] = field(default_factory=dict)
    local_name: bytes | None = None
    extra_local: bytes = b""
    extra_central: bytes = b""
    data: bytes | None = None
    after: bytes = b""

    def packed(self) -> bytes:
        """Return the data as stored in the archive."""
        if self.data is not None:
            return self.data
        if not self.deflated:
            return self.content
        compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
        return compressor.compress(self.content) + compressor.flush()

    def fields(self, changed: dict[int, int]) -> list[int]:
        """Return flags, method, CRC, compressed and uncompressed size."""
        facts = [self.flags, 8 if self.deflated else 0, zlib.crc32(self.content), len(self.packed()), len(self.content)]
        return [changed.get(position, fact) for position, fact in enumerate(facts)]

    def record(self) -> bytes:
        """Return the local header and the data."""
        flags, method, crc, packed, size = self.fields(self.local)
        name = self.name if self.local_name is None else self.local_name
        sizes = (crc, packed, size, len(name), len(self.extra_local))
        header = struct.pack(LOCAL, b"PK\3\4", 20, flags, method, 0, 33, *sizes)
        return header + name + self.extra_local + self.packed() + self.after

    def entry(self, offset: int) -> bytes:
        """Return the entry of the central directory."""
        flags, method, crc, packed, size = self.fields(self.central)
        lengths = (packed, size, len(self.name), len(self.extra_central), 0, 0, 0, 0, offset)
        header = struct.pack(CENTRAL, b"PK\1\2", 20, 20, flags, method, 0, 33, crc, *lengths)
        return header + self.name + self.extra_central


def raws(**changed: Raw) -> list[Raw]:
    """Return the members of a wheel. changed: replacements of foo.py, as foo=."""
    members = {name: Raw(name.encode(), str(content).encode()) for name, content in wheel_members().items()}
    return [changed.get(name.removesuffix(".py"), member) for name, member in members.items()]


def raw_zip(members: list[Raw], unlisted: bytes = b"", end: dict[int, int] | None = None) -> bytes:
    """Build an archive. unlisted: bytes before the central directory; end: overridden fields of the end record.

    A member without a name in the directory is omitted there.
    """
    archive, entries = b"", []
    for member in members:
        entries.append(member.entry(len(archive)))
        archive += member.record()
    archive += unlisted
    directory = b"".join(entries)
    fields = [b"PK\5\6", 0, 0, len(entries), len(entries), len(directory), len(archive), 0]
    for position, value in (end or {}).items():
        fields[position] = value
    return archive + directory + struct.pack(END, *fields)
