"""Checks of archives: corruption, path traversal, decompression bombs, metadata that differs from the filename."""

import gzip
import io
import resource
import stat
import struct
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import short
from support.archives import (
    METADATA,
    fitting,
    recorded,
    sdist,
    sdist_members,
    tarred,
    wheel,
    wheel_members,
    with_entry,
    zipped,
)
from wheelhouse.config import Limits
from wheelhouse.distributions import consistency
from wheelhouse.distributions.archives import limits
from wheelhouse.distributions.archives.check import check_archive
from wheelhouse.distributions.archives.tar_headers import MAX_EXTENSION_SIZE
from wheelhouse.distributions.core_metadata import MAX_METADATA_SIZE, parse
from wheelhouse.errors import RequestError

WHEEL, SDIST, ZIP = "foo-1.0-py3-none-any.whl", "foo-1.0.tar.gz", "foo-1.0.zip"
INFO = "foo-1.0.dist-info"
MANY = 1 << 20
LIMITS = Limits(None, 0, max_members=100, max_unpacked_size=1 << 30, max_unpacked_ratio=200)
SAID = METADATA.format(name="foo", version="1.0")


def look(filename: str, content: bytes, limits: Limits = LIMITS) -> bytes:
    """Check a file with this content. Returns its metadata, byte for byte."""
    return check_archive(filename, io.BytesIO(content), limits).raw


def both(members: dict) -> list[tuple[str, bytes]]:
    """Return a wheel, and an sdist of each kind, with these members in addition to the required ones."""
    plain = sdist_members()
    return [
        (WHEEL, zipped(recorded(wheel_members() | members))),
        (SDIST, tarred(plain | members)),
        (ZIP, zipped(plain | members)),
    ]


@pytest.mark.parametrize(
    "filename",
    [
        WHEEL,
        SDIST,
        ZIP,
        "Foo_Bar.baz-1.0.post1+local.1-py3-none-any.whl",
        "foo-1!2.0rc1-cp311-cp311-win32.whl",
        "foo-1.0-3-py3-none-any.whl",
        "foo-bar-1.0.tar.gz",
    ],
)
def test_accepts_valid_archives(filename: str) -> None:
    """The metadata of each kind is returned unchanged, and the file is not modified."""
    file = io.BytesIO(fitting(filename))
    found = check_archive(filename, file, LIMITS)
    assert found.raw.startswith(b"Metadata-Version: 2.1\nName: ")
    consistency.check_metadata(filename, found)
    assert file.getvalue() == fitting(filename)


@pytest.mark.parametrize("name", ["foo/__init__.py", "foo-1.0/foo.py", "föö/x", "a/b/..c/d..", "foo-1.0/a:b"])
def test_accepts_safe_member_names(name: str) -> None:
    """Dots and non-ASCII letters are allowed in names."""
    assert look(WHEEL, zipped(recorded(wheel_members() | {name: ""}))) == SAID.encode()


ODD_MEMBERS = ["../x", "foo-1.0/../../x", "/etc/x", "..", "foo-1.0\\..\\x", "C:x", "c:/x", "foo-1.0/..", "//x"]


@pytest.mark.parametrize("name", ODD_MEMBERS)
def test_rejects_path_traversal(name: str) -> None:
    """Some programs unpack archives without checks of their own (PEP 706)."""
    for filename, content in both({name: "x"}):
        with pytest.raises(RequestError, match="is not inside it"):
            look(filename, content)


def with_nul(content: bytes) -> bytes:
    """Put a NUL into a zip member's name."""
    return content.replace(b"foo-1.0/a.py", b"foo-1.0/a\0py")


def test_rejects_nul_in_names() -> None:
    """C strings end at a NUL, and Python strings do not."""
    with pytest.raises(RequestError, match="no name that a file could have"):
        look(WHEEL, with_nul(zipped(recorded(wheel_members() | {"foo-1.0/a.py": ""}))))
    header = tarfile.TarInfo()
    header.pax_headers = {"path": "foo-1.0/a\0py"}
    with pytest.raises(RequestError):
        look(SDIST, tarred(sdist_members() | {"foo-1.0/a.py": header}))


@pytest.mark.parametrize(
    "names", [("foo-1.0/a", "foo-1.0/a"), ("foo-1.0/a", "foo-1.0/./a"), ("foo-1.0/a", "foo-1.0//a")]
)
def test_rejects_duplicate_names(names: tuple[str, str]) -> None:
    """Which of the two members is installed depends on the program that unpacks the archive."""
    one, two = (name.replace("/a", "/a1") if at == 0 else name.replace("a", "a2") for at, name in enumerate(names))
    for filename, content in both({one: "x", two: "y"}):
        assert look(filename, content)
    first, second = names
    placeholder = second[:-1] + "b"
    members = recorded(wheel_members() | {first: "x", placeholder: "y"})
    doubled = zipped(members).replace(placeholder.encode(), second.encode())
    with pytest.raises(RequestError, match=r"two members named 'foo-1\.0/a'"):
        look(WHEEL, doubled)
    buffer = io.BytesIO(gzip.decompress(tarred(sdist_members())))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        archive.addfile(tarfile.TarInfo(first))
        archive.addfile(tarfile.TarInfo(second))
    with pytest.raises(RequestError, match=r"two members named 'foo-1\.0/a'"):
        look(SDIST, gzip.compress(buffer.getvalue()))


def test_accepts_duplicate_directories() -> None:
    """Duplicate directories are harmless: the result is the same in any order."""
    buffer = io.BytesIO(gzip.decompress(sdist()))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        for name in ("foo-1.0", "foo-1.0/", "./foo-1.0"):
            directory = tarfile.TarInfo(name)
            directory.type = tarfile.DIRTYPE
            archive.addfile(directory)
    assert look(SDIST, gzip.compress(buffer.getvalue()))


def link(target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """Return a link's header."""
    header = tarfile.TarInfo()
    header.type, header.linkname = kind, target
    return header


def zipped_link(name: str, target: str) -> bytes:
    """Make a wheel with a symbolic link, as Unix's zip does."""
    content = zipped(recorded(wheel_members() | {name: target}))
    return with_entry(content, name, 38, struct.pack("<L", (stat.S_IFLNK | 0o777) << 16))


@pytest.mark.parametrize("target", ["b", "../b", "../c/b", "./b", "c/../b"[2:], "..", "c//d"])
def test_accepts_links_inside(target: str) -> None:
    """Some sdists contain links to their own files."""
    assert look(SDIST, tarred(sdist_members() | {"foo-1.0/a/link": link(target)}))
    assert look(WHEEL, zipped_link("foo-1.0/a/link", target))
    assert look(SDIST, tarred(sdist_members() | {"foo-1.0/link": link("foo-1.0/PKG-INFO", tarfile.LNKTYPE)}))


@pytest.mark.parametrize(
    "target",
    ["../../..", "../../../x", "/etc/passwd", "", "c/../../../../x", "b/../c", "C:\\x", "..\\..\\..\\x", "c:x"],
)
def test_rejects_links_outside(target: str) -> None:
    """A file written below such a link would be outside the directory (path traversal)."""
    with pytest.raises(RequestError, match="leads outside it"):
        look(SDIST, tarred(sdist_members() | {"foo-1.0/a/link": link(target)}))
    with pytest.raises(RequestError, match="leads outside it"):
        look(WHEEL, zipped_link("foo-1.0/a/link", target))


@pytest.mark.parametrize("target", ["../x", "/etc/passwd", "foo-1.0/../../x", ""])
def test_rejects_hard_links_outside(target: str) -> None:
    """The targets of hard links are relative to the archive's root."""
    with pytest.raises(RequestError, match="leads outside it"):
        look(SDIST, tarred(sdist_members() | {"foo-1.0/link": link(target, tarfile.LNKTYPE)}))


@pytest.mark.parametrize("order", [1, -1])
def test_rejects_members_beneath_a_link(order: int) -> None:
    """Several links, each of which stays inside, can lead outside in combination."""
    more = [("foo-1.0/a", link("b/c")), ("foo-1.0/a/x", b"x")][::order]
    with pytest.raises(RequestError, match=r"below 'foo-1\.0/a', which is a link"):
        look(SDIST, tarred(sdist_members() | dict(more)))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, b"z"])
def test_rejects_devices(kind: bytes) -> None:
    """A distribution contains only files, directories and links."""
    header = tarfile.TarInfo()
    header.type = kind
    content = tarred(sdist_members() | {"foo-1.0/a": header})
    with pytest.raises(RequestError, match="not a plain file, directory or link"):
        look(SDIST, content)


def test_rejects_devices_in_a_zip() -> None:
    """Devices in zip archives are rejected as well."""
    content = with_entry(wheel(), "foo.py", 38, struct.pack("<L", stat.S_IFCHR << 16))
    with pytest.raises(RequestError, match="not a file, directory or link"):
        look(WHEEL, content)


@pytest.mark.parametrize("flag", [0x1, 0x41, 0x2000])
def test_rejects_encryption(flag: int) -> None:
    """Installers cannot decrypt members."""
    content = with_entry(wheel(), "foo.py", 8, struct.pack("<H", flag))
    with pytest.raises(RequestError, match="encrypted"):
        look(WHEEL, content)


def test_rejects_unsupported_compression() -> None:
    """Installers cannot read this compression."""
    with pytest.raises(RequestError, match="compressed in a way"):
        look(WHEEL, with_entry(wheel(), "foo.py", 10, struct.pack("<H", 99)))


def without(*names: str, **more: str) -> bytes:
    """Make a wheel without some members. more: members to add to its .dist-info."""
    members = {name: content for name, content in wheel_members().items() if name.rpartition("/")[2] not in names}
    members |= {f"{INFO}/{name}": content for name, content in more.items()}
    return zipped(members if "RECORD" in names else recorded(members))


LAYOUTS = {
    "no METADATA": (WHEEL, without("METADATA"), f"no METADATA in {INFO}"),
    "no WHEEL": (WHEEL, without("WHEEL"), f"no WHEEL in {INFO}"),
    "no RECORD": (WHEEL, without("RECORD"), f"no RECORD in {INFO}"),
    "no .dist-info": (WHEEL, zipped({"foo.py": ""}), "and this has 0"),
    "nothing in a wheel": (WHEEL, zipped({}), "and this has 0"),
    "two .dist-info": (
        WHEEL,
        zipped(recorded(wheel_members() | {"bar-1.0.dist-info/METADATA": SAID})),
        "and this has 2",
    ),
    "another's .dist-info": (WHEEL, wheel("bar"), "another release's"),
    "another version's .dist-info": (WHEEL, wheel(version="1.1"), "another release's"),
    "no version's .dist-info": (WHEEL, wheel(version="x"), "another release's"),
    "METADATA too large": (
        WHEEL,
        zipped(wheel_members() | {f"{INFO}/METADATA": "x" * (MAX_METADATA_SIZE + 1)}, zipfile.ZIP_DEFLATED),
        "is larger than",
    ),
    "no PKG-INFO": (SDIST, tarred({"foo-1.0/foo.py": ""}), "this has 0. Build it again"),
    "no PKG-INFO in a zip": (ZIP, zipped({"foo-1.0/foo.py": ""}), "this has 0. Build it again"),
    "PKG-INFO at the root": (SDIST, tarred({"PKG-INFO": SAID}), "one PKG-INFO in its top directory"),
    "PKG-INFO too deep": (SDIST, tarred({"foo-1.0/foo.egg-info/PKG-INFO": SAID}), "one PKG-INFO in its top directory"),
    "PKG-INFO a link": (SDIST, tarred({"foo-1.0/PKG-INFO": link("x")}), "one PKG-INFO in its top directory"),
    "PKG-INFO too large": (SDIST, sdist(more="x" * MAX_METADATA_SIZE), "PKG-INFO is larger than"),
    "two at the top": (
        SDIST,
        tarred(sdist_members() | {"foo/x": ""}),
        "one directory at its top (PEP 625), and this has 2",
    ),
    "two in a zip": (
        ZIP,
        zipped(sdist_members() | {"foo/x": ""}),
        "one directory at its top (PEP 625), and this has 2",
    ),
    "empty tar": (SDIST, tarred({}), "and this has 0"),
    "empty zip": (ZIP, zipped({}), "and this has 0"),
}


@pytest.mark.parametrize(("filename", "content", "said"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_rejects_a_wrong_layout(filename: str, content: bytes, said: str) -> None:
    """Installers look for these members in these places (PEP 427, PEP 625)."""
    with pytest.raises(RequestError) as raised:
        look(filename, content)
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"{filename} was rejected: ")


def damaged_deflated(filename: str) -> bytes:
    """Return a zip archive with one wrong bit in the compressed data of its module."""
    source = "".join(f"x{number} = {number * number}\n" for number in range(500))
    members = recorded({"foo.py": source} | wheel_members(files={"foo.py": source}))
    if filename == ZIP:
        members = {"foo-1.0/foo.py": source} | sdist_members()
    content = bytearray(zipped(members, zipfile.ZIP_DEFLATED))
    content[1000] ^= 0x10
    return bytes(content)


CORRUPT = {
    "empty wheel": (WHEEL, b""),
    "text as wheel": (WHEEL, b"a page of text"),
    "sdist as wheel": (WHEEL, sdist()),
    "half a wheel": (WHEEL, wheel()[:-30]),
    "a later zip": (WHEEL, with_entry(wheel(), "foo.py", 6, b"\xff")),
    "damaged module": (WHEEL, wheel().replace(b"answer = 42", b"answer = 43")),
    "damaged module, deflated": (WHEEL, damaged_deflated(WHEEL)),
    "damaged RECORD": (WHEEL, wheel().replace(b"RECORD,,", b"RECORZ,,")),
    "damaged module of an old sdist": (ZIP, damaged_deflated(ZIP)),
    "damaged METADATA": (WHEEL, wheel().replace(b"Name: foo", b"Name: fog")),
    "damaged WHEEL": (WHEEL, wheel().replace(b"Generator: by hand", b"Generator: by band")),
    "METADATA shorter than declared": (WHEEL, with_entry(wheel(), f"{INFO}/METADATA", 24, struct.pack("<L", 5))),
    "a directory elsewhere": (WHEEL, wheel()[:-6] + b"\xff\xff\xff\x7f\0\0"),
    "empty sdist": (SDIST, b""),
    "text as sdist": (SDIST, b"a page of text"),
    "text in gzip": (SDIST, gzip.compress(b"a page of text" * 100)),
    "wheel as sdist": (SDIST, wheel()),
    "start of an sdist": (SDIST, sdist()[:40]),
    "sdist without its checksum": (SDIST, sdist()[:-8]),
    "sdist with a wrong checksum": (SDIST, sdist()[:-8] + b"\0" * 8),
    "sdist cut in a member": (SDIST, gzip.compress(gzip.decompress(sdist())[:520])),
    "something after it": (SDIST, sdist() + b"something"),
    "empty old sdist": (ZIP, b""),
    "tar as zip": (ZIP, sdist()),
}


@pytest.mark.parametrize(("filename", "content"), CORRUPT.values(), ids=CORRUPT.keys())
def test_rejects_corrupt_archives(filename: str, content: bytes) -> None:
    """Truncated or wrong content is rejected while the uploader can still correct it."""
    with pytest.raises(RequestError, match=f"Invalid or corrupt archive: {filename}: "):
        look(filename, content)


def test_rejects_trailing_members() -> None:
    """Some readers skip what Python takes for the end of a tar, and unpack the members after it."""
    plain = gzip.decompress(sdist())
    end = plain.index(b"\0" * 1024)
    end += -end % 512
    hidden = gzip.decompress(tarred({"../evil": "x"}))
    for between in (b"\0" * 1024, b"garbage!" * 64):
        reasons = r"after its last member there is something else|Invalid or corrupt archive"
        with pytest.raises(RequestError, match=reasons):
            look(SDIST, gzip.compress(plain[:end] + between + hidden))


def test_rejects_two_gzip_members() -> None:
    """Reject it: pip reads all members of a gzip file (RFC 1952, section 2.2), and uv only the first."""
    plain = gzip.decompress(sdist())
    for content in (gzip.compress(plain[:700]) + gzip.compress(plain[700:]), sdist() + gzip.compress(b"")):
        with pytest.raises(RequestError, match="or another gzip stream"):
            look(SDIST, content)


# Each is small here, and represents one of gigabytes.
def many_members() -> tuple[str, bytes]:
    return SDIST, tarred(sdist_members() | {f"foo-1.0/{number}": "" for number in range(100)})


def many_in_a_zip() -> tuple[str, bytes]:
    return WHEEL, zipped(wheel_members() | {f"{number}": "" for number in range(100)})


BOMBS: dict[str, tuple[Callable[[], tuple[str, bytes]], dict[str, int], str]] = {
    "members": (many_members, {}, "more than 100 members"),
    "members of a zip": (many_in_a_zip, {}, "more than 100 members"),
    "size": (lambda: (SDIST, sdist(more="x" * 30_000)), {"max_unpacked_size": 20_000}, "more than 20000 bytes"),
    "size of a zip": (
        lambda: (WHEEL, wheel(more="x" * 30_000)),
        {"max_unpacked_size": 20_000},
        "more than 20000 bytes",
    ),
    "ratio": (
        lambda: (SDIST, tarred(sdist_members() | {"foo-1.0/zeros": bytes(MANY)})),
        {"max_unpacked_ratio": 10},
        "more than 10 times its size",
    ),
    "ratio of a zip": (
        lambda: (WHEEL, zipped(recorded(wheel_members() | {"zeros": bytes(MANY)}), zipfile.ZIP_DEFLATED)),
        {"max_unpacked_ratio": 10},
        "more than 10 times its size",
    ),
    "after the last member": (
        lambda: (SDIST, gzip.compress(gzip.decompress(sdist()) + bytes(MANY))),
        {"max_unpacked_ratio": 10},
        "more than 10 times its size",
    ),
}


@pytest.mark.parametrize(("make", "changed", "said"), BOMBS.values(), ids=BOMBS.keys())
def test_rejects_decompression_bombs(
    make: Callable[[], tuple[str, bytes]], changed: dict[str, int], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small upload must not fill the disks of clients, or occupy this server for long (decompression bomb)."""
    monkeypatch.setattr(limits, "RATIO_EXEMPT_SIZE", MANY)
    filename, content = make()
    with pytest.raises(RequestError, match=said):
        look(filename, content, replace(LIMITS, **changed))
    assert look(filename, fitting(filename), replace(LIMITS, **changed))


def test_ratio_does_not_limit_small_archives() -> None:
    """The ratio is not checked up to 64 MiB unpacked: tables of numbers are mostly zeros."""
    assert limits.RATIO_EXEMPT_SIZE == 64 << 20
    content = tarred(sdist_members() | {"foo-1.0/zeros": bytes(MANY)})
    assert look(SDIST, content, replace(LIMITS, max_unpacked_ratio=2))


def overlapping() -> bytes:
    """Return a wheel with a thousand names for the same data."""
    content, count = wheel(files={"foo.py": "x" * 100_000}), 1000
    directory, end = content[: content.rindex(b"PK\x05\x06")], bytearray(content[content.rindex(b"PK\x05\x06") :])
    start = content.index(b"PK\x01\x02")
    entry = bytearray(content[start : content.index(b"PK\x01\x02", start + 1)])
    entries = b"".join(bytes(entry).replace(b"foo.py", f"{n:06d}".encode()) for n in range(count))
    size = len(directory) - start + len(entries)
    end[8:16] = struct.pack("<HHL", count + 4, count + 4, size)
    return directory + entries + bytes(end)


def test_rejects_overlapping_members() -> None:
    """A zip whose directory lists the same data many times unpacks to more than it contains (decompression bomb)."""
    with pytest.raises(RequestError, match="times its size"):
        look(WHEEL, overlapping(), replace(LIMITS, max_members=10_000))


def pax(name: bytes, value: bytes) -> bytes:
    """Return one record of a pax header."""
    size = len(name) + len(value) + 3
    size += len(str(size + len(str(size))))
    return str(size).encode() + b" " + name + b"=" + value + b"\n"


def raw_tar(*members: tuple[bytes, bytes, int | None]) -> bytes:
    """Make a gzipped tar of raw members: kind, content, and the size in the header, or None."""
    whole = b""
    for number, (kind, content, size) in enumerate(members):
        header = tarfile.TarInfo(f"foo-1.0/{number}")
        header.type, header.size = kind, len(content) if size is None else size
        block = header.tobuf(tarfile.GNU_FORMAT)
        whole += block + content + bytes(-len(content) % 512)
    return gzip.compress(whole + bytes(1024))


HUGE = 1 << 32
GREEDY = {
    "a name of 4 GiB": raw_tar((tarfile.GNUTYPE_LONGNAME, bytes(1 << 20), HUGE)),
    "a field of 4 GiB": raw_tar((tarfile.XHDTYPE, bytes(1 << 20), HUGE)),
    "common fields of 4 GiB": raw_tar((tarfile.XGLTYPE, bytes(1 << 20), HUGE)),
    "fields of fields": raw_tar(*[(tarfile.XHDTYPE, b"", 0)] * 600),
    "names of names": raw_tar(*[(tarfile.GNUTYPE_LONGNAME, b"x", 1)] * 600),
    "a long name": raw_tar((tarfile.GNUTYPE_LONGNAME, b"x" * MAX_EXTENSION_SIZE, MAX_EXTENSION_SIZE), (b"0", b"", 0)),
    "a map without end": raw_tar(
        (tarfile.XHDTYPE, pax(b"GNU.sparse.major", b"1") + pax(b"GNU.sparse.minor", b"0"), 46),
        (b"0", b"99999999\n" + b"0\n" * 300_000, 600_009),
    ),
    "a map in one line": raw_tar(
        (tarfile.XHDTYPE, pax(b"GNU.sparse.major", b"1") + pax(b"GNU.sparse.minor", b"0"), 46),
        (b"0", b"9" * 1_000_000, 1_000_000),
    ),
    "common fields": raw_tar(
        *(one for n in range(300) for one in ((tarfile.XGLTYPE, pax(f"x{n}".encode(), b"y"), None), (b"0", b"", None)))
    ),
    "a member of 4 GiB": raw_tar((b"0", b"", HUGE)),
    "a negative size": gzip.compress(gzip.decompress(raw_tar((b"0", b"", 0))).replace(b"0" * 11, b"\xff" * 12, 1)),
}


@pytest.mark.parametrize("content", GREEDY.values(), ids=GREEDY.keys())
def test_rejects_large_headers(content: bytes) -> None:
    """The module tarfile keeps extension headers in memory, at the size that the archive declares."""
    began = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(RequestError) as raised:
            look(SDIST, content, replace(LIMITS, max_members=5000, max_unpacked_ratio=10_000))
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "PKG-INFO" not in str(raised.value)  # not the error of the missing PKG-INFO
    assert peak < 24 << 20
    assert time.process_time() - began < 5


def test_rejects_a_large_directory() -> None:
    """The module zipfile keeps the whole directory in memory, with an object for each entry."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, 0, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    count = 300_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(entry) * count, 0, 0)
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match="more than 100 members"):
            look(WHEEL, entry * count + end)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20


def test_rejects_a_directory_larger_than_memory(tmp_path: Path) -> None:
    """A sparse file represents the large one."""
    path, size = tmp_path / "zip", 1 << 31
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0)
    with path.open("wb+") as file:
        file.seek(size)
        file.write(end)
        file.flush()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(RequestError, match="directory is larger than"):
            check_archive(WHEEL, file, LIMITS)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # in KiB


def memory_of(members: int) -> int:
    """Return the maximum memory that checking an sdist with so many members uses, in bytes."""
    content = tarred(sdist_members() | {f"foo-1.0/{number:05d}": "" for number in range(members)})
    tracemalloc.start()
    try:
        assert look(SDIST, content, replace(LIMITS, max_members=members + 1, max_unpacked_ratio=10_000))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_bounded_for_many_members() -> None:
    """An sdist with many files is accepted, and only their names are kept in memory."""
    assert memory_of(2500) - memory_of(500) < 2000 * 250


METADATA_REFUSED = [
    ("Version: 1.0\n", "has not one Name"),
    ("Name: foo\n", "has not one Version"),
    ("", "has not one Name"),
    ("\nName: foo\nVersion: 1.0\n", "has not one Name"),
    ("Name: foo\nName: bar\nVersion: 1.0\n", "has not one Name"),
    ("Name: foo\nVersion: 1.0\nVersion: 1.0\n", "has not one Version"),
    ("Name: bar\nVersion: 1.0\n", "its metadata names bar, and its file name foo"),
    ("Name: foo\nVersion: 1.1\n", "its metadata has version 1.1, and its file name 1.0"),
    ("Name: foo\nVersion: 1.0+local\n", "version 1.0+local"),
    ("Name: foo\nVersion: latest\n", "version latest"),
    ("Name: f\xf6\xf6\nVersion: 1.0\n", "its metadata names"),
]


@pytest.mark.parametrize(("text", "said"), METADATA_REFUSED, ids=short)
@pytest.mark.parametrize("filename", [WHEEL, SDIST])
def test_rejects_metadata_of_another_release(filename: str, text: str, said: str) -> None:
    """Some installers use the filename and others the metadata, so both must agree."""
    with pytest.raises(RequestError) as raised:
        consistency.check_metadata(filename, parse(text.encode("latin-1")))
    assert said in str(raised.value)


@pytest.mark.parametrize("text", ["Name: FOO\nVersion: 1.0", "Name: foo\nVersion: 1", "name:  foo \nversion: v1.0.0 "])
def test_accepts_other_spellings_in_metadata(text: str) -> None:
    """Names and versions are compared in normalized form (PEP 503, PEP 440)."""
    consistency.check_metadata(WHEEL, parse(text.encode()))


FORMS = [
    ({}, None),
    ({"name": "", "version": "", "filetype": "", "requires_python": ""}, None),
    ({"name": "Foo", "version": "1", "filetype": "bdist_wheel", "requires_python": "<4,>=3.8"}, None),
    ({"metadata_version": "9", "pyversion": "cp27"}, None),
    ({"name": "bar"}, "the form names bar"),
    ({"version": "1.1"}, "the form has version 1.1"),
    ({"version": "none"}, "the form has version none"),
    ({"filetype": "sdist"}, "the form has filetype sdist, and its file name bdist_wheel"),
    ({"requires_python": ">=3.9"}, "the form requires Python >=3.9, and its metadata >=3.8, <4"),
    ({"requires_python": "3"}, "the form requires Python 3"),
]


@pytest.mark.parametrize(("form", "said"), FORMS, ids=short)
def test_rejects_forms_that_differ_from_the_file(form: dict[str, str], said: str | None) -> None:
    """The form and the file must agree; otherwise the client has mixed up two uploads."""
    found = parse(f"{SAID}Requires-Python: >=3.8, <4\n".encode())
    if said is None:
        consistency.check_form(WHEEL, form, found)
        return
    with pytest.raises(RequestError) as raised:
        consistency.check_form(WHEEL, form, found)
    assert said in str(raised.value)


@pytest.mark.parametrize("filename", [WHEEL, SDIST, ZIP])
@given(st.data())
def test_any_corruption_is_detected_or_harmless(filename: str, data: st.DataObject) -> None:
    """Any bytes result in metadata or in an error message."""
    whole = fitting(filename)
    if filename == SDIST and data.draw(st.booleans()):
        plain = bytearray(gzip.decompress(whole)[:2048])
        for _ in range(data.draw(st.integers(0, 3))):
            plain[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
        content = bytearray(gzip.compress(bytes(plain)))
    else:
        content = bytearray(whole)
        for _ in range(data.draw(st.integers(0, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        raw = look(filename, bytes(content[: data.draw(st.integers(0, len(content)))]))
    except RequestError as reason:
        assert filename in str(reason)
    else:
        assert isinstance(raw, bytes)


MEMBER_NAMES = st.text(st.sampled_from("ab./\\:-\0é"), min_size=1, max_size=9)


def test_rejects_a_member_without_a_name() -> None:
    """Python's zipfile has failed on such a member."""
    with pytest.raises(RequestError, match="no name that a file could have"):
        look(WHEEL, zipped(recorded(wheel_members() | {"\0": ""})))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(st.dictionaries(MEMBER_NAMES, st.binary(max_size=5), max_size=4))
@example({"foo-1.0.dist-info/METADATA/x": b""})
@example({"./foo-1.0.dist-info/METADATA": b""})
def test_any_member_names(members: dict[str, bytes]) -> None:
    """Accepted members stay in the directory in which a careful tool unpacks them."""
    content = zipped(recorded(wheel_members() | members))
    try:
        look(WHEEL, content)
    except RequestError:
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            assert not name.startswith("/")
            assert ".." not in name.split("/")
            assert "\\" not in name


def test_disk_errors_are_not_corruption() -> None:
    """An error of the disk says nothing about the file."""

    class Failing(io.BytesIO):
        def read(self, _size: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    for filename in (WHEEL, SDIST, ZIP):
        with pytest.raises(OSError, match="Input/output error"):
            check_archive(filename, Failing(fitting(filename)), LIMITS)
