"""Forms: complete, truncated, malformed and too large."""

import io
import tracemalloc
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import short
from support.web import BOUNDARY, Part, multipart
from wheelhouse.distributions.core_metadata import MAX_METADATA_SIZE
from wheelhouse.errors import RequestError
from wheelhouse.web import body
from wheelhouse.web.body import READ_SIZE, RequestBody
from wheelhouse.web.forms import MAX_FIELD_SIZE, MAX_FIELDS_SIZE, MAX_PARTS, MAX_VALUE_SIZE, Form, FormFile, read_form

MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
URLENCODED = "application/x-www-form-urlencoded"
ACTION = Part(":action", b"file_upload")


class Received:
    """Receives the file of a form, and stores the fields before it."""

    def __init__(self):
        self.filename: str | None = None
        self.fields: dict[str, str] = {}
        self.content = bytearray()

    def __call__(self, filename: str, fields: Mapping[str, str]) -> "Received":
        self.filename, self.fields = filename, dict(fields)
        return self

    def write(self, chunk: bytes) -> None:
        """Receive the next chunk."""
        self.content += chunk


def body_of(content: bytes, length: object = None) -> RequestBody:
    """Return a body with this content and Content-Length."""
    return RequestBody(
        {"CONTENT_LENGTH": str(len(content)) if length is None else length, "wsgi.input": io.BytesIO(content)}
    )


def read(content: bytes, content_type: str = MULTIPART) -> tuple[Form, Received]:
    """Read a form. Returns it and its file."""
    received = Received()
    return read_form(content_type, body_of(content), received), received


def upload(*parts: Part, content: bytes = b"bytes") -> bytes:
    """Return the form of an upload with additional parts before its file."""
    return multipart([ACTION, *parts, Part("content", content, "foo-1.0.tar.gz")])


def test_reads_an_upload() -> None:
    """Known fields are returned, and the file is not kept in memory."""
    form, received = read(upload(Part("name", "föö".encode()), Part("classifiers", b"x"), Part("classifiers", b"y")))
    assert form.fields == {":action": "file_upload", "name": "föö"}
    assert form.file == FormFile("foo-1.0.tar.gz", received)
    assert bytes(received.content) == b"bytes"
    assert received.fields == form.fields


def test_accepts_the_longest_fields() -> None:
    """A description of the maximum size, with other line ends, and the fields of a large project are accepted."""
    description = b"x\r\n" * (MAX_METADATA_SIZE // 2)
    fields = [Part("description", description), *[Part("requires_dist", b"y" * 200)] * 4000]
    assert len(description) > MAX_METADATA_SIZE
    assert bytes(read(upload(*fields))[1].content) == b"bytes"
    with pytest.raises(RequestError, match=f"description is longer than {2 * MAX_METADATA_SIZE} bytes"):
        read(upload(Part("description", b"x" * (2 * MAX_METADATA_SIZE + 1))))


def test_accepts_fields_after_the_file() -> None:
    """Clients usually send the file last, but any order is valid."""
    content = [Part("content", b"bytes", "foo-1.0.tar.gz"), ACTION]
    form, received = read(multipart(content))
    assert form.fields == {":action": "file_upload"}
    assert received.fields == {}


@pytest.mark.parametrize(
    "size", [0, 1, READ_SIZE - 200, READ_SIZE, 2 * READ_SIZE - 250, 2 * READ_SIZE, 3 * READ_SIZE + 1]
)
@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\nepilogue\r\n"], ids=short)
def test_any_size(size: int, end: bytes) -> None:
    """The boundary may be split between chunks, and an epilogue may follow it (RFC 2046)."""
    content = (b"0123456789abcde\r" * (size // 16 + 1))[:size]
    for shift in (0, *range(1, 90, 7)):
        whole = upload(Part("name", b"x" * shift), content=content).removesuffix(b"\r\n") + end
        _form, received = read(whole)
        assert received.content == content


@given(st.binary(max_size=400), st.integers(1, 40), st.integers(0, 30))
@example(f"\r\n--{BOUNDARY}-".encode(), 1, 0)
@example(f"\r\n--{BOUNDARY[:-1]}".encode() * 9, 16, 3)
def test_any_content(content: bytes, chunk: int, shift: int) -> None:
    """Content is received unchanged for any chunk size, even if it resembles a boundary."""
    if f"\r\n--{BOUNDARY}\r\n".encode() in content or f"\r\n--{BOUNDARY}--".encode() in content:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "READ_SIZE", max(chunk, len(BOUNDARY) + 8))
        try:
            _form, received = read(upload(Part("name", b"x" * shift), content=content))
        except RequestError as reason:
            # RFC 2046 excludes such content: the client must choose another boundary.
            assert f"\r\n--{BOUNDARY}".encode() in content, reason
        else:
            assert received.content == content


def test_accepts_short_reads() -> None:
    """A server may return fewer bytes than requested."""

    class Dripping(io.BytesIO):
        def read(self, size: int = -1) -> bytes:
            return super().read(min(size, 7))

    whole = upload(content=b"x" * 1000)
    received = Received()
    body = RequestBody({"CONTENT_LENGTH": str(len(whole)), "wsgi.input": Dripping(whole)})
    assert read_form(MULTIPART, body, received).file.filename == "foo-1.0.tar.gz"
    assert received.content == b"x" * 1000


@given(st.data())
def test_rejects_truncation_anywhere(data: st.DataObject) -> None:
    """A truncated form is rejected, wherever it ends, and whatever the Content-Length is."""
    whole = upload(Part("name", b"foo")).removesuffix(b"--\r\n")
    cut = data.draw(st.integers(0, len(whole)))
    for length in (len(whole) + 4, cut):
        with pytest.raises(RequestError, match=r"Upload incomplete|cannot be read"):
            read_form(MULTIPART, body_of(whole[:cut], str(length)), Received())


def parts_of(*parts: Part, header: bytes | None = None) -> bytes:
    """Return a form, or one of a single part with this header."""
    if header is not None:
        return f"--{BOUNDARY}\r\n".encode() + header + f"\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode()
    return multipart([ACTION, *parts])


FILE = Part("content", b"x", "foo-1.0.tar.gz")
DISPOSITION = b'Content-Disposition: form-data; name="name"'
REFUSED = {
    "two files": (parts_of(FILE, FILE), "this has 2"),
    "file without a name": (parts_of(Part("content", b"x")), "The 'content' part has no filename"),
    "another file": (parts_of(Part("doc", b"x", "doc.zip"), FILE), "no 'doc'"),
    "signature as file": (parts_of(FILE, Part("gpg_signature", b"x", "foo-1.0.tar.gz.asc")), "no GPG signatures"),
    "signature": (parts_of(FILE, Part("gpg_signature", b"x")), "no GPG signatures"),
    "attestations": (parts_of(FILE, Part("attestations", b"[{}]")), "Upload without them"),
    "two names": (parts_of(Part("name", b"a"), Part("name", b"b")), "two fields named name"),
    "two actions": (parts_of(ACTION), "two fields named :action"),
    "latin-1": (parts_of(Part("name", b"f\xf6\xf6")), "name is not UTF-8"),
    "long value": (parts_of(Part("name", b"x" * (MAX_VALUE_SIZE + 1))), f"name is longer than {MAX_VALUE_SIZE}"),
    "long field": (parts_of(Part("description", b"x" * (MAX_FIELD_SIZE + 1))), f"longer than {MAX_FIELD_SIZE}"),
    "long fields": (
        parts_of(*[Part("description", b"x" * MAX_FIELD_SIZE)] * 3),
        f"fields are longer than {MAX_FIELDS_SIZE} bytes together",
    ),
    "many fields": (parts_of(*[Part("classifiers", b"x")] * MAX_PARTS), "larger than any upload's"),
    "no name": (parts_of(header=b"Content-Disposition: form-data"), "Missing name"),
    "no disposition": (parts_of(header=b"Content-Type: text/plain"), "Missing Content-Disposition"),
    "another disposition": (parts_of(header=b'Content-Disposition: attachment; name="name"'), "Wrong type"),
    "long header": (parts_of(header=b"X-Y: " + b"x" * 9000), "larger than any upload's"),
    "header without end": (f"--{BOUNDARY}\r\nX-Y: ".encode() + b"x" * 900_000, "larger than any upload's"),
    "many headers": (parts_of(header=b"\r\n".join([DISPOSITION, *[b"X: y"] * 20])), "larger than any upload's"),
    "header in latin-1": (parts_of(header=DISPOSITION + b'; filename="f\xf6"'), "cannot be read"),
    "folded header": (parts_of(header=DISPOSITION + b"\r\n\t; x=y"), "cannot be read"),
    "bare line ends": (parts_of(FILE).replace(b"\r\n", b"\n"), "cannot be read"),
    "length of a part": (parts_of(header=DISPOSITION + b"\r\nContent-Length: 999"), "cannot be read"),
    "nothing": (b"", "Upload incomplete"),
    "another boundary": (parts_of(FILE).replace(BOUNDARY.encode(), b"other"), "cannot be read"),
}


@pytest.mark.parametrize(("content", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_rejects_invalid_forms(content: bytes, said: str) -> None:
    """A form that is not an upload, or has fields that would be dropped silently, is rejected with a message."""
    with pytest.raises(RequestError, match=said):
        read(content)


@pytest.mark.parametrize("name", ["gpg_signature", "attestations"])
def test_nothing_sent_along(name: str) -> None:
    """Some clients send empty fields."""
    assert read(parts_of(Part(name, b"")))[0].fields == {":action": "file_upload"}


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/json",
        "multipart/mixed; boundary=x",
        "multipart/form-data",
        "multipart/form-data;;",
    ],
)
def test_rejects_other_bodies(content_type: str) -> None:
    """Bodies of other types are rejected."""
    with pytest.raises(RequestError):
        read(parts_of(FILE), content_type)


def test_reads_urlencoded_forms() -> None:
    """A removal has no file, so curl sends an urlencoded form. Values may contain any characters."""
    form, _ = read(b":action=remove_pkg&name=f%C3%B6%C3%B6&version=&x=y&x=z", URLENCODED)
    assert form.fields == {":action": "remove_pkg", "name": "föö", "version": ""}
    assert form.file is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name=a&name=b", "two fields"),
        (b"content=x", "The 'content' part has no filename"),
        (b"gpg_signature=x", "no GPG"),
        (b"name=%f6", "utf-8"),
        (b"name=\xf6", "utf-8"),
        (b"a=b&" * 200, "cannot be read"),
        (b"x" * 70_000, "longer than"),
    ],
    ids=short,
)
def test_rejects_invalid_urlencoded_forms(content: bytes, said: str) -> None:
    """Urlencoded forms have the same rules."""
    with pytest.raises(RequestError, match=said):
        read(content, URLENCODED)


@pytest.mark.parametrize("length", ["", "x", "-1", "1e3", "²", "12 "])
def test_ignores_invalid_lengths(length: str) -> None:
    """An invalid Content-Length counts as 0."""
    with pytest.raises(RequestError, match="Upload incomplete"):
        read_form(MULTIPART, body_of(parts_of(FILE), length), Received())


def test_reads_no_more_than_the_length() -> None:
    """The next request begins after Content-Length bytes."""
    whole = upload()
    read_form(MULTIPART, body_of(whole + b"GET / HTTP/1.1", str(len(whole))), Received())
    with pytest.raises(RequestError, match="Upload incomplete"):
        read_form(MULTIPART, body_of(whole, str(len(whole) - 10)), Received())


def test_stops_reading_at_a_rejection() -> None:
    """Reading the rest of a rejected body would occupy a thread."""
    whole = upload(content=b"x" * (3 * READ_SIZE))
    stream = io.BytesIO(whole + b"next")
    body = RequestBody({"CONTENT_LENGTH": str(len(whole)), "wsgi.input": stream})

    def refuse(_filename: str, _fields: Mapping[str, str]) -> Received:
        raise RequestError("not this one")

    with pytest.raises(RequestError, match="not this one"):
        read_form(MULTIPART, body, refuse)
    assert stream.tell() == READ_SIZE
    assert body.left == len(whole) - READ_SIZE


TIMED_OUT = "Apache/mod_wsgi request data read error: The timeout specified has expired."


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OSError(TIMED_OUT), 408, "pypi_upload_min_rate, pypi_upload_deadline"),
        (TimeoutError("timed out"), 408, "pypi_upload_min_rate, pypi_upload_deadline"),
        (OSError("Apache/mod_wsgi request data read error: Partial results are valid."), 400, "cannot be read"),
        (ConnectionResetError(104, "Connection reset by peer"), 400, "Connection reset by peer"),
    ],
    ids=short,
)
def test_distinguishes_timeouts_from_broken_connections(error: OSError, status: int, said: str) -> None:
    """mod_wsgi raises OSError for both; 408 means that the client was too slow."""

    class Broken(io.BytesIO):
        def read(self, _size: int = -1) -> bytes:
            raise error

    with pytest.raises(RequestError) as raised:
        RequestBody({"CONTENT_LENGTH": "10", "wsgi.input": Broken()}).read(10)
    assert raised.value.status == status
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("header", "chunked"),
    [("", False), ("identity", False), ("chunked", True), ("Chunked", True), ("gzip, chunked", True)],
)
def test_recognises_chunked_bodies(header: str, chunked: bool) -> None:
    """Their length is not known before they end (RFC 9112, section 7.1)."""
    assert RequestBody({"HTTP_TRANSFER_ENCODING": header, "wsgi.input": io.BytesIO()}).is_chunked is chunked


class Endless(io.RawIOBase):
    """A large form that is generated while it is read."""

    def __init__(self, start: bytes, size: int, end: bytes):
        self._left = [iter([start]), self._zeros(size), iter([end])]
        self._buffer = b""

    def _zeros(self, size: int) -> Iterator[bytes]:
        while size:
            yield bytes(min(size, 1 << 16))
            size -= min(size, 1 << 16)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        while self._left and len(self._buffer) < size:
            chunk = next(self._left[0], None)
            if chunk is None:
                self._left.pop(0)
            else:
                self._buffer += chunk
        content, self._buffer = self._buffer[:size], self._buffer[size:]
        return content


@pytest.mark.parametrize("name", ["content", "description"])
def test_memory_stays_flat(name: str) -> None:
    """A large upload takes no more memory than a small one."""
    size = 64 << 20 if name == "content" else MAX_FIELD_SIZE
    part = Part(name, b"", "foo-1.0.tar.gz" if name == "content" else None)
    start = f"--{BOUNDARY}\r\n".encode() + part.encoded().removesuffix(b"\r\n")
    end = f"\r\n--{BOUNDARY}--\r\n".encode()
    body = RequestBody({"CONTENT_LENGTH": str(len(start) + size + len(end)), "wsgi.input": Endless(start, size, end)})

    class Nowhere:
        def write(self, _chunk: bytes) -> None:
            pass

    tracemalloc.start()
    try:
        read_form(MULTIPART, body, lambda _filename, _fields: Nowhere())
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * READ_SIZE
