"""Wheels that two readers would unpack differently (central directory or local headers) are rejected."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from support.archives import recorded, wheel, wheel_members, zipped
from support.zips import CRC, FLAGS, METHOD, PACKED, SIZE, Raw, raw_zip, raws
from wheelhouse.config import Limits
from wheelhouse.distributions.archives import inflate
from wheelhouse.distributions.archives.check import check_archive
from wheelhouse.distributions.archives.zip_layout import ZipLayout
from wheelhouse.errors import RequestError

WHEEL = "foo-1.0-py3-none-any.whl"
LIMITS = Limits(None, 0, max_members=100, max_unpacked_size=1 << 30, max_unpacked_ratio=200)
MODULE = b"answer = 42\n"


def look(content: bytes) -> None:
    """Check a wheel."""
    assert check_archive(WHEEL, io.BytesIO(content), LIMITS)


def module(**changed: object) -> bytes:
    """Return a wheel whose module is built from these parts."""
    return raw_zip(raws(foo=Raw(b"foo.py", MODULE, **changed)))


def extra(kind: int, data: bytes = b"") -> bytes:
    """Return an extra field."""
    return struct.pack("<2H", kind, len(data)) + data


def descriptor(crc: int = zlib.crc32(MODULE), packed: int = 14, size: int = len(MODULE)) -> bytes:
    """Return a data descriptor."""
    return struct.pack("<4s3L", b"PK\7\b", crc, packed, size)


def streamed(method: int) -> bytes:
    """Return a wheel as written to a pipe: sizes and checksum follow the data."""

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.content = b""

        def writable(self) -> bool:
            return True

        def write(self, content: bytes) -> int:
            self.content += bytes(content)
            return len(content)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", method) as archive:
        for name, content in wheel_members().items():
            archive.writestr(name, content)
    return pipe.content


def zip64() -> bytes:
    """Return a wheel with ZIP64 fields in its local headers, as for a file of unknown size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in wheel_members().items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content.encode())
    return buffer.getvalue()


def zip64_end() -> bytes:
    """Return a wheel with a ZIP64 end record, as for 65,536 members."""
    content = wheel()
    start, end = content.index(b"PK\1\2"), content.rindex(b"PK\5\6")
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 4, 4, end - start, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return content[:end] + record + locator + last


TIMES = extra(0x5455, b"\3" + bytes(8))
TAKEN = {
    "put together": raw_zip(raws()),
    "deflated": module(deflated=True),
    "streamed": streamed(zipfile.ZIP_DEFLATED),
    "zip64": zip64(),
    "zip64 at the end": zip64_end(),
    "descriptor": module(deflated=True, flags=8, local={CRC: 0, PACKED: 0, SIZE: 0}, after=descriptor()),
    "descriptor, and in front, too": module(deflated=True, flags=8, after=descriptor()),
    "times, and owners": module(extra_local=TIMES + extra(0x7875, bytes(11)), extra_central=TIMES[:4] + TIMES[4:]),
    "alignment": module(extra_local=extra(0xD935, b"\4\0" + bytes(40))),
    "java": module(extra_local=extra(0xCAFE), extra_central=extra(0xCAFE)),
    "utf-8": zipped(recorded(wheel_members() | {"föö/bär.py": "x"})),
    "another case": zipped(recorded(wheel_members() | {"README": "x", "readme": "y"})),
    "directories": zipped(recorded(wheel_members() | {"foo/": "", "foo/bar.py": "x"})),
    "another order": raw_zip(raws()[::-1]),
}


@pytest.mark.parametrize("content", TAKEN.values(), ids=TAKEN.keys())
def test_accepts_valid_archives(content: bytes) -> None:
    """The output of common wheel tools is accepted."""
    look(content)


def with_comment(comment: bytes) -> bytes:
    """Return a wheel with an archive comment."""
    content = wheel()
    return content[:-2] + struct.pack("<H", len(comment)) + comment


OTHER = raw_zip([Raw(b"evil.py", b"evil")])
EVIL = Raw(b"evil.py", b"evil").record()


def shifted() -> bytes:
    """Return a wheel with bytes between two members that are not in the central directory."""
    first, *others = raws()
    return raw_zip([Raw(first.name, first.content, after=b"\0" * 7), *others])


DIFFERENT = {
    "name": module(local_name=b"bar.py"),
    "name of another length": module(local_name=b"foo/__init__.py"),
    "flags": module(local={FLAGS: 2}),
    "method": module(local={METHOD: 8}),
    "checksum": module(local={CRC: 1}),
    "compressed size": module(local={PACKED: 5}),
    "size": module(local={SIZE: 5}),
    "no sizes": module(local={CRC: 0, PACKED: 0, SIZE: 0}),
    "zip64 in front": module(
        local={PACKED: 0xFFFFFFFF, SIZE: 0xFFFFFFFF}, extra_local=extra(1, struct.pack("<2Q", 5, 5))
    ),
    "zip64 that is not asked for": module(extra_local=extra(1, struct.pack("<2Q", 5, 5))),
    "zip64 of half its size": module(extra_local=extra(1, struct.pack("<Q", 12))),
    "zip64 in the directory": module(extra_central=extra(1, struct.pack("<Q", 12))),
    "zip64 twice": module(extra_local=extra(1, struct.pack("<2Q", 12, 12)) * 2),
    "descriptor's checksum": module(deflated=True, flags=8, after=descriptor(crc=1)),
    "descriptor's size": module(deflated=True, flags=8, after=descriptor(size=1)),
    "descriptor without signature": module(deflated=True, flags=8, after=descriptor()[4:]),
    "no descriptor": module(deflated=True, flags=8),
    "extra field too long": module(extra_local=struct.pack("<2H", 0x5455, 9)),
    "extra field in the directory too long": module(extra_central=struct.pack("<2H", 0x5455, 9)),
    "half an extra field": module(extra_local=b"\0\0\0"),
    "between members": shifted(),
    "bytes in front of the directory": raw_zip(raws(), unlisted=bytes(5)),
    "a member that is not listed": raw_zip(raws(), unlisted=EVIL),
    "bytes at the beginning": b"#!/bin/sh\n" + wheel(),
    "bytes at the end": wheel() + b"\0",
    "comment": with_comment(b"by hand"),
    "archive in the comment": with_comment(OTHER),
    "two archives": OTHER + wheel(),
    "two archives, in the other order": wheel() + OTHER,
    "fewer entries": raw_zip(raws(), end={3: 3, 4: 3}),
    "more entries": raw_zip(raws(), end={3: 5, 4: 5}),
    "two counts": raw_zip(raws(), end={3: 3}),
    "second disk": raw_zip(raws(), end={1: 1}),
    "directory on another disk": raw_zip(raws(), end={2: 1}),
    "zip64 end that differs": zip64_end()[:-12] + struct.pack("<LLH", 1, 1, 0),
    "zip64 end that is missing": wheel()[:-6] + struct.pack("<LH", 0xFFFFFFFF, 0),
    "more data than is decompressed": module(deflated=True, data=Raw(b"", MODULE, deflated=True).packed() + b"evil"),
    "half the data": module(deflated=True, data=Raw(b"", MODULE, deflated=True).packed()[:-3]),
    "a size too small": module(deflated=True, local={SIZE: 5}, central={SIZE: 5}),
    "a size too large": module(deflated=True, local={SIZE: 50}, central={SIZE: 50}),
    "damaged module": wheel().replace(b"answer = 42", b"answer = 43"),
}


@pytest.mark.parametrize("content", DIFFERENT.values(), ids=DIFFERENT.keys())
def test_rejects_different_descriptions(content: bytes) -> None:
    """The checked content must be the installed content, for every program."""
    with pytest.raises(RequestError, match="Invalid or corrupt archive: "):
        look(content)


UNICODE_PATH = extra(0x7075, b"\1" + struct.pack("<L", zlib.crc32(b"foo.py")) + b"evil.py")
REFUSED = {
    "second name in front": (module(extra_local=UNICODE_PATH), "extra field 0x7075"),
    "second name in the directory": (module(extra_central=UNICODE_PATH), "extra field 0x7075"),
    "second comment": (module(extra_central=extra(0x6375, bytes(9))), "extra field 0x6375"),
    "name in an unknown encoding": (raw_zip([*raws(), Raw("föö.py".encode(), b"")]), "not marked as UTF-8"),
    "name that is not UTF-8": (raw_zip([*raws(), Raw(b"f\xf6\xf6.py", b"", flags=0x800)]), "not marked as UTF-8"),
    "patched data": (module(flags=0x20), "general purpose bits 0x0020"),
    "stored with a descriptor": (streamed(zipfile.ZIP_STORED), "stored with a data descriptor"),
    "directory with content": (zipped(recorded(wheel_members() | {"foo/": "x"})), "a directory with content"),
    "file used as a directory": (
        zipped(recorded(wheel_members() | {"foo/bar": "x", "foo": "y"})),
        "members below 'foo', which is a file",
    ),
    "file used as a directory, far apart": (
        zipped(recorded(wheel_members() | {"foo.py/bar": "x", "foo-1": "", "foo.pyi": ""})),
        "members below 'foo.py', which is a file",
    ),
    "file and directory": (zipped(recorded(wheel_members() | {"foo": "x", "foo/": ""})), "two members named 'foo'"),
    "file in the place of the root": (zipped(recorded(wheel_members() | {"./.": "x"})), "no name that a file could"),
    "long name": (
        zipped(wheel_members() | {"a/" * 2048 + "b": "x"}),
        "has a name of 4097 characters; 4096 are allowed",
    ),
    "METADATA in another spelling": (
        zipped(recorded({name.replace("/METADATA", "//METADATA"): text for name, text in wheel_members().items()})),
        "no METADATA in foo-1.0.dist-info",
    ),
}


@pytest.mark.parametrize(("content", "said"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_rejects_unsupported_features(content: bytes, said: str) -> None:
    """Features that programs interpret differently are rejected with the reason."""
    with pytest.raises(RequestError) as raised:
        look(content)
    assert said in str(raised.value)


def test_rejects_any_modified_byte() -> None:
    """A change of any byte that affects the installed files is rejected."""
    content = wheel()
    start = content.index(b"PK\1\2")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        offsets = [info.header_offset for info in archive.infolist()]
    # Version, time and date of a local header affect nothing.
    free = {offset + position for offset in offsets for position in (4, 5, 10, 11, 12, 13)}
    for position in set(range(start)) - free:
        with pytest.raises(RequestError):
            look(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rejects_methods_that_some_installers_do_not_know(method: int) -> None:
    """Users of uv, which supports neither, could not install the release."""
    with pytest.raises(RequestError, match="compressed in a way that installers do not know"):
        look(wheel(compression=method))


def test_stops_at_the_declared_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that declares 10 bytes and decompresses to millions is rejected after the first piece."""
    produced = []
    decompressor_for = inflate.decompressor_for

    def counting(method: int) -> object:
        inner = decompressor_for(method)

        class Counting:
            eof, needs_input, unused_data = (
                property(lambda _self, name=name: getattr(inner, name))
                for name in ("eof", "needs_input", "unused_data")
            )

            def decompress(self, *some: object) -> bytes:
                output = inner.decompress(*some)
                produced.append(len(output))
                return output

        return Counting()

    content = zipped(recorded(wheel_members() | {"foo.py": bytes(20 << 20)}), zipfile.ZIP_DEFLATED)
    for kind, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = content.index(kind) + offset
        content = content[:at] + struct.pack("<L", 10) + content[at + 4 :]
    monkeypatch.setattr(inflate, "decompressor_for", counting)
    with pytest.raises(RequestError, match="more than the 10 bytes that it declares"):
        look(content)
    assert max(produced) <= inflate.CHUNK_SIZE
    assert sum(produced) < 3 * inflate.CHUNK_SIZE


def test_decompresses_in_chunks(tmp_path: Path) -> None:
    """Only one chunk of a member is in memory."""
    path = tmp_path / WHEEL
    path.write_bytes(zipped(recorded(wheel_members() | {"zeros": bytes(30 << 20)}), zipfile.ZIP_DEFLATED))
    with path.open("rb") as file:
        tracemalloc.start()
        try:
            check_archive(WHEEL, file, LIMITS)
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 4 << 20


def test_agrees_with_zipfile() -> None:
    """The strict reader finds the members that zipfile finds."""
    for content in TAKEN.values():
        layout = ZipLayout(io.BytesIO(content), LIMITS)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            seen = {info.filename: archive.read(info) for info in archive.infolist()}
        assert {member.text: b"".join(layout.content(member)) for member in layout.members} == seen
