"""Metadata of copied distributions: valid, invalid, and too large."""

import gzip
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import short
from support.archives import METADATA, fitting, tarred, wheel, with_entry, zipped
from wheelhouse.distributions import metadata
from wheelhouse.distributions.core_metadata import MAX_HEADER_LINES, MAX_METADATA_SIZE, MAX_REQUIRES_PYTHON
from wheelhouse.distributions.metadata import InvalidDistributionError, ServedMetadata

WHEEL = "foo-1.0-py3-none-any.whl"
INSIDE = "foo-1.0.dist-info/METADATA"
SDIST = "foo-1.0.tar.gz"
ZIP = "foo-1.0.zip"


def read(directory: Path, filename: str, content: bytes) -> ServedMetadata:
    """Read the metadata of a file with this content."""
    path = directory / filename
    path.write_bytes(content)
    return metadata.read_metadata(path)


def pkg_info(version: str = "2.2", more: str = "") -> str:
    """Return an sdist's metadata. version: of the metadata format, not of the sdist."""
    return f"Metadata-Version: {version}\nName: foo\nVersion: 1.0\nRequires-Python: >=3.8\n{more}"


def sdists(text: str, member: str = "foo-1.0/PKG-INFO") -> list[tuple[str, bytes]]:
    """Return an sdist of each kind."""
    members = {"foo-1.0/setup.py": "", member: text, "foo-1.0/foo.py": "#" * 5000}
    return [(SDIST, tarred(members)), (ZIP, zipped(members))]


def test_wheel(tmp_path: Path) -> None:
    """The served metadata is METADATA, byte for byte (PEP 658)."""
    found = read(tmp_path, WHEEL, wheel(more="Requires-Python: >=3.8, <4\nRequires-Dist: bar\n\nLong.\n"))
    assert found.core.decode() == METADATA.format(name="foo", version="1.0") + (
        "Requires-Python: >=3.8, <4\nRequires-Dist: bar\n\nLong.\n"
    )
    assert found.requires_python == ">=3.8, <4"


def test_the_wheels_own(tmp_path: Path) -> None:
    """A wheel may contain other wheels; only METADATA at the top level is its own."""
    members = {"foo/_vendor/bar-2.0.dist-info/METADATA": "Name: bar\n", "METADATA": "Name: no\n"}
    found = read(tmp_path, WHEEL, zipped(members | {"foo-1.0.dist-info/METADATA": "Name: foo\n"}))
    assert found.core == b"Name: foo\n"
    with pytest.raises(InvalidDistributionError, match="without METADATA"):
        read(tmp_path, WHEEL, zipped(members))


@pytest.mark.parametrize(
    ("version", "more", "reliable"),
    [
        ("2.2", "", True),
        ("2.3", "Requires-Dist: bar\n", True),
        ("2.10", "", True),
        ("3.0", "", True),
        ("2.2", "Dynamic: Version\nDynamic: Description\n", True),
        ("2.1", "", False),
        ("1.2", "", False),
        ("2.2", "Dynamic: Requires-Dist\n", False),
        ("2.2", "Dynamic: Version\nDynamic: requires-dist\n", False),
        ("2.2", "Dynamic: Requires-Python\n", False),
        ("2.4", "Dynamic: Provides-Extra\n", False),
        ("two", "", False),
        ("", "", False),
        ("9" * 5000, "", False),
        ("²", "", False),
    ],
    ids=short,
)
def test_sdist(tmp_path: Path, version: str, more: str, reliable: bool) -> None:
    """An sdist's metadata is reliable only since PEP 643, which marks the fields that a build may change."""
    text = pkg_info(version, more)
    for filename, content in sdists(text):
        found = read(tmp_path, filename, content)
        assert found.core == (text.encode() if reliable else None)
        assert found.requires_python == ">=3.8"


@pytest.mark.parametrize("member", ["foo-1.0/PKG-INFO", "./foo-1.0/PKG-INFO"])
def test_sdists_own(tmp_path: Path, member: str) -> None:
    """The PKG-INFO of the top-level directory is the sdist's."""
    for filename, content in sdists(pkg_info(), member):
        assert read(tmp_path, filename, content).core == pkg_info().encode()


@pytest.mark.parametrize("member", ["PKG-INFO", "foo-1.0/foo.egg-info/PKG-INFO", "foo-1.0/NO-PKG-INFO"])
def test_others_in_sdists(tmp_path: Path, member: str) -> None:
    """Other members are ignored; an sdist without its own PKG-INFO is old, but valid."""
    for filename, content in sdists(pkg_info(), member):
        assert read(tmp_path, filename, content) == ServedMetadata(None, None)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("", None),
        ("Requires-Python:\n", None),
        ("Requires-Python:   \n", None),
        ("Requires-Python: >=3.8\n", ">=3.8"),
        ("requires-python: >=3.8\n", ">=3.8"),
        ("\nRequires-Python: >=3.8\n", None),  # in the description
        ("Requires-Python: >=3.8\nRequires-Python: >=2\n", ">=3.8"),
    ],
    ids=short,
)
def test_requires_python(tmp_path: Path, lines: str, found: str | None) -> None:
    """A missing value is None; an empty text would be an unsatisfiable requirement."""
    assert read(tmp_path, WHEEL, wheel(more=lines)).requires_python == found


REQUIRES_PYTHON_REFUSED = {
    "other bytes": (b">=3.8 \xff\xfe", "which is not a version specifier"),
    "a legacy specifier": (b">=3.6.*", "'>=3.6.*', which is not a version specifier"),
    "no specifier": (b"3", "'3', which is not a version specifier"),
    "too long": (b">=3.8" + b",!=3.9" * 200, "1205 characters; at most 1000 are allowed"),
}


@pytest.mark.parametrize(("value", "said"), REQUIRES_PYTHON_REFUSED.values(), ids=REQUIRES_PYTHON_REFUSED.keys())
def test_requires_python_that_is_not_valid(tmp_path: Path, value: bytes, said: str) -> None:
    """The page would contain it for each file, and some installers reject such a page."""
    raw = b"Metadata-Version: 2.2\nRequires-Python: " + value + b"\n"
    for filename, content in (
        (WHEEL, zipped({INSIDE: raw})),
        (SDIST, tarred({"foo-1.0/PKG-INFO": raw})),
        (ZIP, zipped({"foo-1.0/PKG-INFO": raw})),
    ):
        with pytest.raises(InvalidDistributionError) as raised:
            read(tmp_path, filename, content)
        assert said in str(raised.value)


def test_the_longest_requires_python(tmp_path: Path) -> None:
    """1,000 characters are allowed."""
    longest = ">=3" + ",!=3.99" * 142 + "," * 3
    assert len(longest) == MAX_REQUIRES_PYTHON
    assert read(tmp_path, WHEEL, wheel(more=f"Requires-Python: {longest}\n")).requires_python == longest


def deflated() -> bytearray:
    """Return a wheel with compressed METADATA, and the offset of its data."""
    members = {"foo-1.0.dist-info/METADATA": METADATA + "".join(f"Keywords: {n}\n" for n in range(100))}
    return bytearray(zipped(members, zipfile.ZIP_DEFLATED))


def damaged(content: bytes, at: int, much: int = 40) -> bytes:
    """Return content with some bytes replaced."""
    return content[:at] + b"\xff" * much + content[at + much :]


def with_flag(offset: int, value: int) -> bytes:
    """Return a wheel with a changed byte in its central directory."""
    return with_entry(wheel(), INSIDE, offset, bytes([value]))


def claiming(size: int) -> bytes:
    """Return a wheel whose central directory declares this size for METADATA."""
    return with_entry(wheel(), INSIDE, 24, size.to_bytes(4, "little"))


BROKEN = {
    "empty wheel": (WHEEL, b""),
    "empty sdist": (SDIST, b""),
    "empty zip": (ZIP, b""),
    "text as wheel": (WHEEL, b"a page of text"),
    "text as sdist": (SDIST, b"a page of text"),
    "text as zip": (ZIP, b"a page of text"),
    "text in gzip": (SDIST, gzip.compress(b"a page of text" * 100)),
    "sdist as wheel": (WHEEL, fitting(SDIST)),
    "wheel as sdist": (SDIST, fitting(WHEEL)),
    "truncated wheel": (WHEEL, wheel()[:-30]),
    "truncated sdist": (SDIST, sdists(pkg_info())[0][1][:60]),
    "an sdist that lacks its last bytes": (SDIST, sdists(pkg_info())[0][1][:-4]),
    "a wrong checksum at its end": (SDIST, damaged(sdists(pkg_info())[0][1], -8, 4)),
    "no METADATA": (WHEEL, zipped({"foo.py": ""})),
    "an empty archive": (WHEEL, zipped({})),
    "METADATA that does not inflate": (WHEEL, damaged(bytes(deflated()), 60)),
    "METADATA with a wrong checksum": (WHEEL, wheel().replace(b"Name: foo", b"Name: bar")),
    "METADATA behind a password": (WHEEL, with_flag(8, 1)),
    "unknown compression": (WHEEL, with_flag(10, 99)),
    "a later zip": (WHEEL, with_flag(6, 255)),
    "a member beyond the end": (WHEEL, with_flag(44, 255)),
    "METADATA too large": (WHEEL, claiming(MAX_METADATA_SIZE + 1)),
    "METADATA really too large": (
        WHEEL,
        zipped({"foo-1.0.dist-info/METADATA": "x" * (MAX_METADATA_SIZE + 1)}, zipfile.ZIP_DEFLATED),
    ),
    "a wrong place of the directory": (WHEEL, wheel()[:-6] + b"\xff\xff\xff\x7f\0\0"),
}


@pytest.mark.parametrize(("filename", "content"), BROKEN.values(), ids=BROKEN.keys())
def test_invalid_files(tmp_path: Path, filename: str, content: bytes) -> None:
    """Invalid files are distinguished from disk errors, with a message."""
    with pytest.raises(InvalidDistributionError) as raised:
        read(tmp_path, filename, content)
    assert str(raised.value)


def test_an_sdists_metadata_too_large(tmp_path: Path) -> None:
    """The sdist is left out with a reason: installers would have to parse the metadata."""
    text = pkg_info() + "x" * MAX_METADATA_SIZE
    for filename, content in sdists(text):
        with pytest.raises(InvalidDistributionError, match=f"its metadata is larger than {MAX_METADATA_SIZE} bytes"):
            read(tmp_path, filename, content)


def test_too_many_headers(tmp_path: Path) -> None:
    """The parser would create an object for each line."""
    text = pkg_info(more="Classifier: x\n" * MAX_HEADER_LINES)
    for filename, content in [*sdists(text), (WHEEL, zipped({INSIDE: text}))]:
        with pytest.raises(InvalidDistributionError, match=f"more than {MAX_HEADER_LINES} header lines"):
            read(tmp_path, filename, content)


def bombs() -> list[tuple[str, bytes]]:
    """Return small files that decompress to more than the memory (decompression bombs) with small declared sizes."""
    zeros = bytes(40 << 20)
    found = [
        (WHEEL, with_entry(zipped({INSIDE: zeros}, method), INSIDE, 24, (10).to_bytes(4, "little")))
        for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    ]
    name = tarfile.TarInfo("x")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, len(zeros)
    tar = name.tobuf(tarfile.GNU_FORMAT) + zeros + bytes(1024)
    return [*found, (SDIST, gzip.compress(tar, 1))]


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A copied file does not exhaust the memory of the program that writes the pages."""
    for filename, content in bombs():
        path = tmp_path / filename
        path.write_bytes(content)
        tracemalloc.start()
        try:
            with pytest.raises(InvalidDistributionError):
                metadata.read_metadata(path)
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 20 << 20, filename


@pytest.mark.parametrize("filename", [WHEEL, SDIST, ZIP])
@given(st.data())
def test_any_corruption(filename: str, tmp_path: Path, data: st.DataObject) -> None:
    """Any bytes result in metadata or in InvalidDistributionError."""
    whole = bytes(deflated()) if filename == WHEEL else dict(sdists(pkg_info(more="Dynamic: Version\n")))[filename]
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.sampled_from([len(content), len(content) // 2, len(content) - 1]))]
    try:
        found = read(tmp_path, filename, bytes(content))
    except InvalidDistributionError as reason:
        assert str(reason)
    else:
        assert isinstance(found, ServedMetadata)
        assert (found.requires_python or "").encode() is not None


@pytest.mark.parametrize("filename", [WHEEL, SDIST, ZIP])
@given(st.binary(max_size=300))
def test_any_metadata(filename: str, tmp_path: Path, raw: bytes) -> None:
    """Any metadata of a valid archive can be written on a page, or the file is left out with a reason."""
    member = "foo-1.0.dist-info/METADATA" if filename == WHEEL else "foo-1.0/PKG-INFO"
    text = (b"Metadata-Version: 2.2\nRequires-Python: " + raw).decode("latin-1")
    content = tarred({member: text}) if filename == SDIST else zipped({member: text})
    try:
        found = read(tmp_path, filename, content)
    except InvalidDistributionError as reason:
        assert "Requires-Python" in str(reason)
    else:
        assert (found.requires_python or "").encode() is not None


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), OSError(24, "Too many open files")], ids=str)
@pytest.mark.parametrize("filename", [WHEEL, SDIST, ZIP])
def test_disk_errors_are_not_corruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filename: str, error: OSError
) -> None:
    """An error of the disk says nothing about the file, which must not be left out because of it."""

    def fail(_path: Path) -> None:
        raise error

    for kind in ("from_wheel", "from_sdist"):
        monkeypatch.setattr(metadata, kind, fail)
    with pytest.raises(OSError, match=error.strerror):
        read(tmp_path, filename, b"")
