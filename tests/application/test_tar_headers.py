"""Sdists that two readers would unpack differently are rejected; those of all build tools are accepted."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.archives import METADATA, sdist, tarred
from wheelhouse.config import Limits
from wheelhouse.distributions.archives.check import check_archive
from wheelhouse.distributions.archives.gzip_stream import GzipStream
from wheelhouse.distributions.archives.limits import UnpackLimits
from wheelhouse.distributions.archives.tar_headers import TarHeaders
from wheelhouse.errors import RequestError

SDIST = "foo-1.0.tar.gz"
LIMITS = Limits(None, 0, max_members=1000, max_unpacked_size=1 << 30, max_unpacked_ratio=200)
PKG_INFO = METADATA.format(name="foo", version="1.0").encode()


def look(plain: bytes) -> None:
    """Check an sdist with this uncompressed content."""
    assert check_archive(SDIST, io.BytesIO(gzip.compress(plain)), LIMITS).raw == PKG_INFO


def block(name: str = "foo-1.0/a", content: bytes = b"", kind: bytes = b"0", **fields: bytes | int) -> bytes:
    """Return a member in ustar format. fields: bytes by their offset, as at124=; size of the header."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, fields.pop("size", len(content))
    header = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    return signed(header, fields) + content + bytes(-len(content) % 512)


def signed(header: bytearray, fields: dict) -> bytes:
    """Set fields of a header, and its checksum."""
    for at, value in fields.items():
        header[int(at[2:]) : int(at[2:]) + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def pax(*records: tuple[str, str], kind: bytes = b"x") -> bytes:
    """Return a pax header."""
    content = b""
    for key, value in records:
        rest = f" {key}={value}\n".encode()
        size = len(rest)
        while size != len(rest) + len(str(size)):
            size = len(rest) + len(str(size))
        content += str(size).encode() + rest
    return block("pax", content, kind)


def long(name: bytes, kind: bytes = b"L") -> bytes:
    """Return a GNU long name header."""
    return block("././@LongLink", name, kind)


START, END = block("foo-1.0/PKG-INFO", PKG_INFO), bytes(1024)


def made(kind: int, **more: object) -> bytes:
    """Return what tarfile writes in one of its formats: long names, links, directories, times."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind, **more) as archive:
        for name, content in {
            "PKG-INFO": PKG_INFO,
            "a/" + "b" * 90: b"x" * 700,
            "é" * 40 + "/" + "c" * 20: b"y",
        }.items():
            member = tarfile.TarInfo(f"foo-1.0/{name}")
            member.size, member.mtime, member.uid, member.uname = len(content), 1e9 + 0.5, 3_000_000, "bö"
            archive.addfile(member, io.BytesIO(content))
        for name, target, link in (("s", "a/" + "b" * 90, tarfile.SYMTYPE), ("h", "foo-1.0/PKG-INFO", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(f"foo-1.0/{name}")
            member.type, member.linkname = link, target
            archive.addfile(member)
        directory = tarfile.TarInfo("foo-1.0/d")
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
    return buffer.getvalue()


TAKEN: dict[str, Callable[[], bytes]] = {
    "GNU": lambda: made(tarfile.GNU_FORMAT),
    "pax": lambda: made(tarfile.PAX_FORMAT),
    "pax, with a commit": lambda: made(tarfile.PAX_FORMAT, pax_headers={"comment": "0" * 40}),
    "ustar": lambda: START + block("foo-1.0/" + "a" * 90 + "/" + "b" * 90) + END,
    "before ustar": lambda: START + block(at257=bytes(8), at265=bytes(80)) + END,
    "old type": lambda: START + block(kind=b"\0") + END,
    "numbers without NUL": lambda: (
        START + block(at124=b"00000000000 ") + block("foo-1.0/b", at124=b"          0\0") + END
    ),
    "a time before 1970": lambda: START + block(at136=b"\xff" * 12) + END,
    "binary size": lambda: START + block(at124=b"\x80" + bytes(11)) + END,
    "both long names": lambda: (
        START
        + long(b"foo-1.0/l" + b"x" * 120 + b"\0")
        + long(b"y" * 120 + b"\0", b"K")
        + block("foo-1.0/l", kind=b"2")
        + END
    ),
    "pax size": lambda: START + pax(("size", "3")) + block(content=b"abc") + END,
    "one block at the end": lambda: START + bytes(512),
    "much at the end": lambda: START + bytes(10240),
}


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN.keys())
def test_accepts_all_build_tools(make: Callable[[], bytes]) -> None:
    """The output of current and former build tools is accepted."""
    look(make())


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN.keys())
def test_agrees_with_tarfile(make: Callable[[], bytes]) -> None:
    """The strict reader finds the members that pip unpacks."""
    plain = make()
    found = []
    headers = TarHeaders(GzipStream(io.BytesIO(gzip.compress(plain)), UnpackLimits(len(plain), LIMITS)))
    for member in headers.members():
        kind = tarfile.REGTYPE if member.kind == tarfile.AREGTYPE else member.kind
        found.append((member.name.rstrip("/"), kind, member.target, headers.content(member.size)))
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        seen = [
            (
                member.name,
                tarfile.REGTYPE if member.type == tarfile.AREGTYPE else member.type,
                member.linkname,
                archive.extractfile(member).read() if member.isreg() else b"",
            )
            for member in archive
        ]
    assert found == seen


EVIL = block("foo-1.0/evil.py", b"evil")
PADDED = bytearray(block("foo-1.0/a", b"abc"))
PADDED[512 + 4] = 1
REFUSED = {
    "two members": (START + block() + block(), "two members named 'foo-1.0/a'"),
    "a file used as a directory": (START + block("foo-1.0/a") + block("foo-1.0/a/b"), "'foo-1.0/a', which is a file"),
    "two pax headers": (START + pax(("path", "foo-1.0/b")) * 2 + block(), "two extended headers"),
    "two long names": (START + long(b"foo-1.0/b\0") * 2 + block(), "two extended headers"),
    "pax and GNU": (START + pax(("path", "foo-1.0/b")) + long(b"foo-1.0/c\0") + block(), "two extended headers"),
    "GNU and pax": (START + long(b"foo-1.0/c\0") + pax(("mtime", "1")) + block(), "two extended headers"),
    "two sizes": (START + pax(("size", "512")) + block(content=b"x" * 1024), "two sizes, 1024 and 512 bytes"),
    "a size for nothing": (START + pax(("size", "512")) + block() + EVIL, "two sizes, 0 and 512 bytes"),
    "a pax record twice": (START + pax(("path", "foo-1.0/b"), ("path", "foo-1.0/c")) + block(), "two records 'path'"),
    "an empty pax path": (START + pax(("path", "")) + block(), "which readers understand differently"),
    "a pax path with NUL": (START + pax(("path", "foo-1.0/b\0c")) + block(), "which readers understand differently"),
    "a pax size with a sign": (START + pax(("size", "+0")) + block(), "which readers understand differently"),
    "another charset": (START + pax(("hdrcharset", "BINARY")) + block(), "which readers understand differently"),
    "a name for all": (START + pax(("path", "foo-1.0/b"), kind=b"g") + block(), "global pax header sets path"),
    "a size for all": (START + pax(("size", "0"), kind=b"g") + block(), "global pax header sets size"),
    "a sparse file": (START + pax(("GNU.sparse.major", "1")) + block(), "describes a sparse file"),
    "a long name with more after it": (
        START + long(b"foo-1.0/b\0c\0") + block(),
        "a long name with bytes after its end",
    ),
    "no long name": (START + long(b"\0") + block(), "a long name with bytes after its end, or none"),
    "padding": (START + bytes(PADDED), "padded with other bytes than zeros"),
    "a directory with content": (START + block("foo-1.0/d", EVIL, b"5"), "a directory or link with content"),
    "a link with content": (START + block("foo-1.0/d", EVIL, b"2", at157=b"a"), "a directory or link with content"),
    "a file named like a directory": (START + block(at0=b"foo-1.0/a/\0"), "named like a directory"),
    "a name that is not UTF-8": (START + block(at0=b"foo-1.0/\xf6"), "not UTF-8"),
    "times where the name may be": (START + block(at257=b"ustar  \0", at345=b"00000000000"), "a part of the name"),
    "a hard link to nothing": (START + block(kind=b"1", at157=b"foo-1.0/b"), "not a file in front of it"),
    "a hard link to what comes later": (
        START + block(kind=b"1", at157=b"foo-1.0/b") + block("foo-1.0/b"),
        "not a file in front of it",
    ),
    "a hard link to itself": (START + block(kind=b"1", at157=b"foo-1.0/a"), "not a file in front of it"),
    "a second archive": (START + END + START, "after its last member there is something else"),
    "a long name for nobody": (START + long(b"foo-1.0/b\0"), "ends without its end marker"),
}


@pytest.mark.parametrize(("plain", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_rejects_ambiguous_headers(plain: bytes, said: str) -> None:
    """Headers that readers interpret differently are rejected with the reason."""
    with pytest.raises(RequestError) as raised:
        look(plain + END)
    assert said in str(raised.value)


def signed_checksum() -> bytes:
    """Return a member whose checksum was added with signed bytes, as by SunOS 4."""
    header = bytearray(block("foo-1.0/é"))
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(byte - 256 * (byte > 127) for byte in header)
    return bytes(header)


CORRUPT = {
    "no end": START,
    "half a block": START + END[:300],
    "another checksum": START + block()[:148] + b"000000\0 " + block()[156:] + END,
    "a signed checksum": START + signed_checksum() + END,
    "another format": START + block(at257=b"ustar\x0001") + END,
    "an underscore in a number": START + block(at124=b"0000000_000\0") + END,
    "a sign in a number": START + block(at124=b"-0000000000\0") + END,
    "a decimal number": START + block(at124=b"00000000009\0") + END,
    "a time that is not one": START + block(at136=b"\1") + END,
    "an owner below zero": START + block(at108=b"\xff" * 8) + END,
    "an owner that is not one": START + block(at108=b"x") + END,
    "bytes after a number": START + block(at124=b"0\0" + b"7" * 10) + END,
    "a negative binary number": START + block(at124=b"\xff" * 12) + END,
    "a pax header that is too short": START + block("pax", b"30 path=foo-1.0/b\n", b"x") + block() + END,
    "a pax header without a length": START + block("pax", b"path=foo-1.0/b\n", b"x") + block() + END,
    "a pax header without its line end": START + block("pax", b"17 path=foo-1.0/b", b"x") + block() + END,
    "a pax record of no bytes": START + block("pax", b"0 path=\n", b"x") + block() + END,
}


@pytest.mark.parametrize("plain", CORRUPT.values(), ids=CORRUPT.keys())
def test_rejects_truncated_archives(plain: bytes) -> None:
    """Headers that the formats do not allow are rejected."""
    with pytest.raises(RequestError, match="Invalid or corrupt archive: "):
        look(plain)


COMPRESSED = {
    "two members": gzip.compress(START) + gzip.compress(END),
    "an empty second member": sdist() + gzip.compress(b""),
    "bytes after it": sdist() + b"x",
    "zeros after it": sdist() + bytes(512),
    "another archive after it": sdist() + tarred({"evil": "x"}),
    "another kind": zlib.compress(gzip.decompress(sdist())),
    "another checksum": sdist()[:-8] + bytes(4) + sdist()[-4:],
    "another length": sdist()[:-4] + bytes(4),
}


@pytest.mark.parametrize("content", COMPRESSED.values(), ids=COMPRESSED.keys())
def test_rejects_more_than_one_gzip_stream(content: bytes) -> None:
    """A second gzip stream is rejected: uv reads the first one only, and pip all of them."""
    with pytest.raises(RequestError, match="Invalid or corrupt archive: "):
        check_archive(SDIST, io.BytesIO(content), LIMITS)


@given(st.data())
def test_any_header_agrees_with_tarfile(data: st.DataObject) -> None:
    """For any header with a valid checksum: what is accepted is what tarfile unpacks."""
    fields = data.draw(st.lists(st.tuples(st.integers(0, 500), st.binary(min_size=1, max_size=8)), max_size=3))
    plain = START + block("foo-1.0/a", b"abc", **{f"at{at}": value for at, value in fields}) + END
    plain = plain[: len(plain) - len(plain) % 512]
    found = []
    try:
        headers = TarHeaders(GzipStream(io.BytesIO(gzip.compress(plain)), UnpackLimits(len(plain), LIMITS)))
        found = [(member.name.rstrip("/"), member.target, headers.content(member.size)) for member in headers.members()]
    except (RequestError, tarfile.TarError, EOFError):
        return
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        seen = [(one.name, one.linkname, archive.extractfile(one).read() if one.isreg() else b"") for one in archive]
    assert found == seen


def test_reads_every_byte_once() -> None:
    """The work is proportional to the size: nothing is read twice, and no header is kept."""
    members = b"".join(pax(("mtime", "1")) + block(f"foo-1.0/{number}") for number in range(500))
    look(START + members + END)
