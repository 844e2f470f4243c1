"""The form that a client sends, read as it arrives: fields into memory, the file to where it is to stay.

Nothing is read twice, and nothing is kept that is not looked at. Forms are those of the upload API that twine and
others speak: multipart (RFC 7578), or urlencoded where there is no file.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl

from multipart import (
    MultipartSegment,
    ParserError,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from wheelhouse.core_metadata import MAX_METADATA_SIZE
from wheelhouse.refusals import Refused, RequestTimeout

CHUNK = 1 << 18
# A part for each requirement, classifier and link of a project: some have hundreds.
MOST_PARTS = 5000
# Bytes. Fields are copies of what the metadata says. A form may end each line of the description with CR LF, and the
# metadata with LF, so a field may be twice as long as the metadata.
LONGEST_FIELD = 2 * MAX_METADATA_SIZE
# Bytes of all fields together: the description is most of it.
LONGEST_FIELDS = 2 * LONGEST_FIELD
# Of those that are looked at, which are a word or two.
LONGEST_VALUE = 4096
LONGEST_URLENCODED = 1 << 16

DIGESTS = ("sha256_digest", "blake2_256_digest", "md5_digest")
LOOKED_AT = {":action", "name", "version", "filetype", "requires_python", *DIGESTS}
NOT_KEPT = {
    "gpg_signature": "This index keeps no GPG signatures. Upload without one",
    "attestations": "This index cannot verify attestations (PEP 740), and serves none that it has not verified. "
    "Upload without them",
}
TOO_SLOW = (
    "The upload was too slow: it has a minimum average rate and a deadline (pypi_upload_min_rate, pypi_upload_deadline)"
)
TORN = "The upload is torn: it ends before its form does. Send it again"


class Sink(Protocol):
    """Where a file goes, piece by piece."""

    def write(self, chunk: bytes, /) -> Any:
        """Take the next bytes."""


# Is told a file's name, and the fields that came before it. Raises Refused before a byte of the file is kept.
Receive = Callable[[str, Mapping[str, str]], Sink]


@dataclass
class Form:
    """What was sent. fields: those that are looked at; filename and file are None where there is none."""

    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    file: Sink | None = None

    def put(self, name: str, value: bytes) -> None:
        """Add a field. Raises Refused."""
        if name in NOT_KEPT and value:
            raise Refused(NOT_KEPT[name])
        if name == "content":
            raise Refused("An upload has one file, in a part named 'content', and this has 0: it has no file name")
        if name not in LOOKED_AT:
            return
        if name in self.fields:
            raise Refused(f"The form has two fields named {name}. Send one")
        try:
            self.fields[name] = value.decode()
        except UnicodeDecodeError:
            raise Refused(f"The form's field {name} is not UTF-8") from None


class Body:
    """A request's body, which is as long as its Content-Length says (RFC 9110, section 8.6)."""

    def __init__(self, environ: Mapping[str, Any]):
        length = environ.get("CONTENT_LENGTH") or "0"
        self.left = self.length = int(length) if length.isascii() and length.isdigit() else 0
        self.is_chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        self._read = environ["wsgi.input"].read
        self._has_begun = False

    @property
    def is_read_in_part(self) -> bool:
        """Whether some of it was read, and not all."""
        return self._has_begun and self.left > 0

    def read(self, size: int) -> bytes:
        """The next bytes, as many as asked for. Raises Refused where they do not come."""
        self._has_begun = True
        chunk = b""
        while size > len(chunk):
            try:
                more = self._read(size - len(chunk))
            except TimeoutError:
                raise RequestTimeout(TOO_SLOW) from None
            except OSError as error:
                # mod_wsgi says so of the deadline, of the minimum rate, and of a connection that was cut.
                if "timeout" in str(error).lower():
                    raise RequestTimeout(TOO_SLOW) from None
                raise Refused(f"The upload cannot be read: {error}") from None
            if not more:
                raise Refused(TORN)
            chunk = chunk + more if chunk else more
        self.left -= size
        return chunk

    def chunks(self) -> Iterator[bytes]:
        """All that is left. The last piece is no small one: the parser wants the form's end and what follows in one."""
        while self.left:
            yield self.read(CHUNK if self.left > 2 * CHUNK else self.left)


def read_form(content_type: str, body: Body, receive: Receive) -> Form:
    """Read a form, and hand its file to where receive says. Raises Refused, and what writing the file raises."""
    kind, options = parse_options_header(content_type)
    if kind == "multipart/form-data":
        return read_multipart(options.get("boundary", ""), body, receive)
    if kind == "application/x-www-form-urlencoded":
        return read_urlencoded(body)
    raise Refused("There is no form. Upload with twine, uv, or another client that sends multipart/form-data")


def read_urlencoded(body: Body) -> Form:
    """Read a form without a file, as those of removals may be."""
    if body.left > LONGEST_URLENCODED:
        raise Refused(f"The form is longer than {LONGEST_URLENCODED} bytes. Files are sent as multipart/form-data")
    form = Form()
    try:
        text = body.read(body.left).decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError as error:
        raise Refused(f"The form cannot be read: {error}") from None
    for name, value in pairs:
        form.put(name, value.encode())
    return form


def read_multipart(boundary: str, body: Body, receive: Receive) -> Form:
    """Read a form of parts, one of which may be a file."""
    form, write, value = Form(), None, None
    fields_left = LONGEST_FIELDS
    try:
        parser = PushMultipartParser(
            boundary,
            content_length=body.left,
            max_segment_count=MOST_PARTS,
            strict=True,
        )
        part: MultipartSegment | None = None
        for event in (event for chunk in body.chunks() for event in parser.parse(chunk)):
            if isinstance(event, MultipartSegment):
                part, value = event, bytearray()
                write = open_part(form, part, value, receive)
            elif event is not None:
                if part.filename is None:
                    fields_left -= len(event)
                if fields_left < 0:
                    raise Refused(f"The form's fields are longer than {LONGEST_FIELDS} bytes together")
                write(event)
            elif part.filename is None:
                form.put(part.name, bytes(value))
    except ParserLimitReached as error:
        raise Refused(f"The form is larger than any upload's: {error}") from None
    except ParserError as error:
        raise Refused(f"The form cannot be read: {error}") from None
    try:
        parser.close()
    except ParserError:
        raise Refused(TORN) from None
    return form


def open_part(form: Form, part: MultipartSegment, value: bytearray, receive: Receive) -> Callable[[bytes], Any]:
    """What takes the bytes of a part. value: gets a field's. Raises Refused."""
    if part.filename is None:
        return field_writer(part, value)
    if part.name != "content":
        raise Refused(NOT_KEPT.get(part.name, f"An upload has one file, named 'content', and no {part.name!r}"))
    if form.file is not None:
        raise Refused("An upload has one file, in a part named 'content', and this has 2")
    form.filename, form.file = part.filename, receive(part.filename, form.fields)
    return form.file.write


def field_writer(part: MultipartSegment, value: bytearray) -> Callable[[bytes], None]:
    """What takes a field's bytes, and keeps those that are looked at."""
    kept = part.name in LOOKED_AT
    most = LONGEST_VALUE if kept else LONGEST_FIELD
    # Of the others it matters whether there is anything.
    most_kept = LONGEST_VALUE if kept else 1

    def write(chunk: bytes) -> None:
        if part.bytes_received > most:
            raise Refused(f"The form's field {part.name[:40]} is longer than {most} bytes")
        value.extend(chunk[: most_kept - len(value)])

    return write
