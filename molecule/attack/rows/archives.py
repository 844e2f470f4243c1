"""Malicious uploads: archives that programs interpret differently, or that are larger than declared."""

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from attack.result import Attack, Log, Result
from attack.target import Target
from shared.raw_http import request
from shared.uploads import form
from support.archives import record_line, wheel_members

STORED, DEFLATED = 0, 8
INFLATED = 256_000_000


@dataclass(frozen=True)
class Entry:
    """A member of a zip archive, and its fault (APPNOTE, sections 4.3.7 and 4.3.12).

    listed: the name in the central directory, None to omit it there; data: the compressed content; size, checksum:
    false values for the headers.
    """

    name: str
    content: bytes
    listed: str | None = ""
    extra: bytes = b""
    method: int = STORED
    data: bytes | None = None
    size: int | None = None
    checksum: int | None = None


def archive(entries: list[Entry]) -> bytes:
    """Write a zip archive."""
    body, directory, count = b"", b"", 0
    for entry in entries:
        data = entry.content if entry.data is None else entry.data
        checksum = zlib.crc32(entry.content) if entry.checksum is None else entry.checksum
        size = len(entry.content) if entry.size is None else entry.size
        # Flag 0x800: names are UTF-8. The date is 1980-01-01.
        common = struct.pack("<HHHHHIII", 20, 0x800, entry.method, 0, 33, checksum, len(data), size)
        offset, name = len(body), entry.name.encode()
        body += b"PK\3\4" + common + struct.pack("<HH", len(name), len(entry.extra)) + name + entry.extra + data
        if entry.listed is not None:
            listed, count = (entry.listed or entry.name).encode(), count + 1
            lengths = struct.pack("<HHHHHII", len(listed), len(entry.extra), 0, 0, 0, 0o644 << 16, offset)
            directory += b"PK\1\2" + struct.pack("<H", 20) + common + lengths + listed + entry.extra
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + b"PK\5\6" + end


def entries_of(project: str) -> list[Entry]:
    """Return the entries of a valid wheel. The first is its module, the last its RECORD."""
    members = wheel_members(project.replace("_", "-"), "1.0")
    return [Entry(name, text.encode() if isinstance(text, str) else text) for name, text in members.items()]


def with_members(project: str, *more: Entry) -> list[Entry]:
    """Return the entries of a wheel with further members, all of them in RECORD."""
    *entries, record = entries_of(project)
    lines = "".join(record_line(entry.name, entry.content) for entry in more)
    return [*entries, *more, replace(record, content=lines.encode() + record.content)]


# The faults: functions from a project's name to an archive.


def unicode_path(project: str) -> bytes:
    """Give the module another name in an extra field, which some programs prefer (APPNOTE, section 4.6.9)."""
    module, *others = entries_of(project)
    name = b"evil.py"
    field = struct.pack("<HHBI", 0x7075, 5 + len(name), 1, zlib.crc32(module.name.encode())) + name
    return archive([replace(module, extra=field), *others])


def unlisted_entry(project: str) -> bytes:
    """Add a member that the central directory does not list; programs that read sequentially unpack it."""
    return archive([*entries_of(project), Entry("evil.py", b"evil = 1\n", listed=None)])


def unlisted_first(project: str) -> bytes:
    """Add an unlisted member before the first listed one."""
    return archive([Entry("evil.py", b"evil = 1\n", listed=None), *entries_of(project)])


def two_archives(project: str) -> bytes:
    """Put another wheel before the wheel."""
    module, *others = entries_of(project)
    return archive([replace(module, content=b"evil = 1\n"), *others]) + archive(entries_of(project))


def trailing_bytes(project: str) -> bytes:
    """Add bytes after the archive's end."""
    return archive(entries_of(project)) + b"#!/bin/sh\n" * 3


def leading_bytes(project: str) -> bytes:
    """Put bytes before the archive."""
    return b"#!/bin/sh\n" * 3 + archive(entries_of(project))


def names_differ(project: str) -> bytes:
    """Give the module another name in the central directory than in the local header."""
    module, *others = entries_of(project)
    return archive([replace(module, name="evil.py", listed=module.name), *others])


def wrong_checksum(project: str) -> bytes:
    """Change the module's content, but not its CRC."""
    module, *others = entries_of(project)
    content = module.content.replace(b"42", b"43")
    return archive([replace(module, content=content, checksum=zlib.crc32(module.content)), *others])


def understated_size(project: str) -> bytes:
    """Add a member that declares 10 bytes and inflates to 256 MB."""
    compress = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 20)
    data = b"".join(compress.compress(block) for _ in range(INFLATED >> 20)) + compress.flush()
    return archive(with_members(project, Entry("bomb.dat", b"0123456789", method=DEFLATED, data=data)))


def file_as_directory(project: str) -> bytes:
    """Use a file as a directory."""
    return archive(with_members(project, Entry("evil", b""), Entry("evil/evil.py", b"evil = 1\n")))


def empty_record(project: str) -> bytes:
    """Empty RECORD."""
    *entries, record = entries_of(project)
    return archive([*entries, replace(record, content=b"")])


def pax_size(project: str) -> bytes:
    """Declare two sizes of a tar member: with the smaller one, a second member begins inside the first."""
    top = f"{project}-1.0"
    metadata = f"Metadata-Version: 2.1\nName: {project.replace('_', '-')}\nVersion: 1.0\n".encode()
    hidden = tarfile.TarInfo(f"{top}/evil.py").tobuf(tarfile.USTAR_FORMAT)
    content = b"#" * 512 + hidden
    info = tarfile.TarInfo(f"{top}/module.py")
    info.size = len(content)
    info.pax_headers = {"size": str(len(content))}
    extended = info.tobuf(tarfile.PAX_FORMAT)[:-512]
    info.pax_headers, info.size = {}, 512
    return tar_of(top, metadata, extended + info.tobuf(tarfile.USTAR_FORMAT) + content)


def tar_of(top: str, metadata: bytes, members: bytes) -> bytes:
    """Return a gzipped tar archive with PKG-INFO and ready-made members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo(f"{top}/PKG-INFO")
        info.size = len(metadata)
        tar.addfile(info, io.BytesIO(metadata))
    written = -(-(512 + len(metadata)) // 512) * 512
    return gzip.compress(buffer.getvalue()[:written] + members + bytes(1024), mtime=0)


def correct_tar(project: str) -> bytes:
    """Return the archive of pax_size without its fault."""
    top = f"{project}-1.0"
    metadata = f"Metadata-Version: 2.1\nName: {project.replace('_', '-')}\nVersion: 1.0\n".encode()
    info = tarfile.TarInfo(f"{top}/module.py")
    info.size = 512
    return tar_of(top, metadata, info.tobuf(tarfile.USTAR_FORMAT) + b"#" * 512)


def rejects_faulty_archive(
    target: Target, make: Callable[[str], bytes], correct: Callable[[str], bytes], suffix: str
) -> Result:
    """Upload an archive with a fault, and the same without it."""
    result = Result()
    login = target.login("publisher")
    bad, good = target.new_name(), target.new_name()
    bodies = [form(f"{bad}-1.0{suffix}", make(bad)), form(f"{good}-1.0{suffix}", correct(good))]
    faulty, accepted = target.send(*(request(body, login=login) for body in bodies))
    result.check(
        "400",
        faulty.status == 400,
        f"{faulty.status} {faulty.body.strip()[:90]}",
    )
    result.check("the same without the fault: 200", accepted.status == 200, accepted.status)
    found = target.host.check_output(f"find {target.settings['pypi_data_dir']}/packages -name '*{bad}*'")
    result.check("nothing is stored", not found, found.rpartition("/")[2])
    return result


def correct_wheel(project: str) -> bytes:
    """Return a wheel without a fault."""
    return archive(entries_of(project))


FAULTS = {
    "Unicode path field": ("extra field 0x7075 with another name", unicode_path),
    "unlisted member": ("a local entry after the listed ones", unlisted_entry),
    "unlisted first member": ("a local entry before the listed ones", unlisted_first),
    "two archives in one": ("a wheel before the wheel", two_archives),
    "trailing bytes": ("30 bytes after the end", trailing_bytes),
    "leading bytes": ("30 bytes before the start", leading_bytes),
    "names differ": ("another name in the local header", names_differ),
    "wrong CRC": ("a module with other content", wrong_checksum),
    "understated size": ("10 bytes that inflate to 256 MB", understated_size),
    "file as a directory": ("evil and evil/evil.py", file_as_directory),
    "empty RECORD": ("RECORD without a line", empty_record),
}
ROWS = [
    Attack("F8", "malicious upload", name, means, "400, nothing is stored",
           partial(rejects_faulty_archive, make=make, correct=correct_wheel, suffix="-py3-none-any.whl"),
           Log("audit", '"refused"'), quick=True)
    for name, (means, make) in FAULTS.items()
] + [
    Attack("F8", "malicious upload", "conflicting tar sizes", "pax says 1024, ustar 512", "400, nothing is stored",
           partial(rejects_faulty_archive, make=pax_size, correct=correct_tar, suffix=".tar.gz"),
           Log("audit", '"refused"'), quick=True)
]  # fmt: skip
