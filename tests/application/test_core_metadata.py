"""Core metadata: parsed once, with time and memory bounded by its size."""

import tracemalloc
from email.parser import BytesHeaderParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.archives import METADATA, fitting, tarred
from support.web import Index, upload_form
from wheelhouse.distributions.core_metadata import (
    MAX_HEADER_LINES,
    MAX_METADATA_SIZE,
    MAX_REQUIRES_PYTHON,
    CoreMetadata,
    InvalidMetadataError,
    header_section,
    parse,
)

NAME = b"Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n"


def test_fields() -> None:
    """Field names are case-insensitive, and blanks around values are removed."""
    found = parse(
        b"metadata-version: 2.2 \nNAME:foo\nVersion: 1.0\nRequires-Python:  >=3.8,\n   <4\n"
        b"Dynamic: License\nDynamic: Requires-Dist\n\nName: bar\n"
    )
    assert found.metadata_version == "2.2"
    assert (found.names, found.versions) == (("foo",), ("1.0",))
    assert found.requires_python.split() == [">=3.8,", "<4"]
    assert found.dynamic == {"license", "requires-dist"}
    found.check_requires_python()
    assert not found.is_static()


def filled(line: bytes, size: int = MAX_METADATA_SIZE) -> bytes:
    """Return metadata of that size, which repeats one line."""
    return (NAME + line * (size // len(line) + 1))[:size]


COSTLY = {
    "a value": NAME + b"Summary: " + b"x" * (MAX_METADATA_SIZE - 100),
    "a name": NAME.replace(b"foo", b"x" * (MAX_METADATA_SIZE - 100)),
    "colons": filled(b":"),
    "lines of a colon": filled(b":\n"),
    "short headers": filled(b"a:\n"),
    "different headers": b"".join(b"%d:\n" % number for number in range(140_000))[:MAX_METADATA_SIZE],
    "folded lines": filled(b" x\n"),
    "long folded lines": filled(b" " + b"x" * 110 + b"\n"),
    "encoded words": filled(b"=?utf-8?q?a?= "),
    "folded encoded words": filled(b" =?utf-8?q?a?=\n"),
    "other letters": filled("é".encode() * 50),
    "no letters": filled(b"\xff"),
    "no letters, folded": filled(b" \xff=?utf-8?q?\xff?=\n"),
    "carriage returns": filled(b"x:\r"),
    "both line ends": filled(b"x:\r\n"),
    "NULs": filled(b"\0"),
    "a description": NAME + b"\n" + b"x\n" * (MAX_METADATA_SIZE // 2 - 100),
    "a message of parts": b"Content-Type: multipart/mixed; boundary=x\n" + NAME + b"\n" + b"--x\n\n" * 200_000,
    "as many headers as are allowed": NAME + b"Classifier: x\n" * (MAX_HEADER_LINES - 3) + b"\n",
}


@pytest.mark.parametrize("raw", COSTLY.values(), ids=COSTLY.keys())
def test_work_is_bounded(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """For any metadata of 1 MiB, the parser gets few lines, runs once, and uses little memory."""
    parsed = []
    parsebytes = BytesHeaderParser.parsebytes

    def counting(self: BytesHeaderParser, text: bytes) -> object:
        parsed.append(text)
        return parsebytes(self, text)

    monkeypatch.setattr(BytesHeaderParser, "parsebytes", counting)
    assert len(raw) <= MAX_METADATA_SIZE
    tracemalloc.start()
    try:
        found = parse(raw)
        found.check_requires_python()
    except InvalidMetadataError as reason:
        assert str(MAX_HEADER_LINES) in str(reason)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
    assert len(parsed) <= 1
    for text in parsed:
        assert len(text.splitlines()) <= MAX_HEADER_LINES + 1


def test_limits() -> None:
    """The limits are exact to the byte and to the line, and the message contains them."""
    assert parse(NAME + b"\n" + b"x" * (MAX_METADATA_SIZE - len(NAME) - 1)).names == ("foo",)
    with pytest.raises(InvalidMetadataError, match=f"has {MAX_METADATA_SIZE + 1} bytes; at most {MAX_METADATA_SIZE}"):
        parse(NAME + b"\n" + b"x" * (MAX_METADATA_SIZE - len(NAME)))
    allowed = b"a:\n" * (MAX_HEADER_LINES - 3)
    assert parse(NAME + allowed).names == ("foo",)
    for more in (b"a:\n", b" \n", b"a:\r", b"a:\r\n"):
        with pytest.raises(InvalidMetadataError, match=f"more than {MAX_HEADER_LINES} header lines"):
            parse(NAME + allowed + more)


PIECES = [b"a: b", b" c", b"\n", b"\r\n", b"\r", b"x", b":", b"From y", b"\t", b"\xff"]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_the_section_is_what_the_parser_reads(pieces: list[bytes]) -> None:
    """The parser finds the same fields without the description."""
    raw = b"".join(pieces)
    assert BytesHeaderParser().parsebytes(header_section(raw)).items() == BytesHeaderParser().parsebytes(raw).items()


@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    """Any bytes result in an object whose texts can be written on a page."""
    found = parse(b"Requires-Python: " + raw)
    assert isinstance(found, CoreMetadata)
    assert (found.requires_python or "").encode() is not None


@pytest.mark.parametrize("filename", ["foo-1.0-py3-none-any.whl", "foo-1.0.tar.gz", "foo-1.0.zip"])
def test_parsed_once(index: Index, monkeypatch: pytest.MonkeyPatch, filename: str) -> None:
    """All checks of an upload share one parsed object."""
    parsed = []
    parsebytes = BytesHeaderParser.parsebytes

    def counting(self: BytesHeaderParser, text: bytes) -> object:
        parsed.append(text)
        return parsebytes(self, text)

    monkeypatch.setattr(BytesHeaderParser, "parsebytes", counting)
    content = fitting(filename, "Requires-Python: >=3.8\n")
    assert index.post(upload_form(filename, content, requires_python=">=3.8")).code == 200
    assert len(parsed) == 1


UPLOADS = {
    "legacy": (">=3.6.*", "its Requires-Python is '>=3.6.*', which is not a version specifier (PEP 440)"),
    "nonsense": ("three", "its Requires-Python is 'three', which is not a version specifier"),
    "too long": (">=3.8" + ",!=3.9" * 200, f"has 1205 characters; at most {MAX_REQUIRES_PYTHON} are allowed"),
    "two": (">=3.8\nRequires-Python: >=3.9", "more than one Requires-Python"),
}


@pytest.mark.parametrize(("value", "said"), UPLOADS.values(), ids=UPLOADS.keys())
def test_requires_python_of_an_upload(index: Index, value: str, said: str) -> None:
    """An invalid value is rejected while the uploader can correct it."""
    for filename in ("foo-1.0-py3-none-any.whl", "foo-1.0.tar.gz"):
        answer = index.upload(filename, fitting(filename, f"Requires-Python: {value}\n"))
        assert answer.code == 400
        assert said in answer.reason
    assert index.stored() == {}


@pytest.mark.parametrize("field", ["name", "version"])
def test_long_names_and_versions(index: Index, field: str) -> None:
    """Python does not parse numbers of thousands of digits: such a version is an error of the client."""
    text = METADATA.format(**{"name": "foo", "version": "1.0"} | {field: "1" * 10_000})
    answer = index.upload("foo-1.0.tar.gz", tarred({"foo-1.0/PKG-INFO": text}))
    assert answer.code == 400
    assert answer.reason.startswith("foo-1.0.tar.gz was rejected: its metadata")
