"""Reads forms while they arrive: fields into memory, the file to where the caller wants it.

Forms of the upload API, as twine sends them: multipart (RFC 7578), or urlencoded if there is no file. Fields that are
not used are read and not kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import parse_qsl

from multipart import (
    MultipartSegment,
    ParserError,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from wheelhouse.distributions.core_metadata import MAX_METADATA_SIZE
from wheelhouse.errors import RequestError
from wheelhouse.storage.upload_file import DIGEST_ALGORITHMS
from wheelhouse.web.body import INCOMPLETE_MESSAGE, RequestBody

# One part for each requirement, classifier and URL of a project: some have hundreds.
MAX_PARTS = 5000
# Bytes. Fields are copies of the metadata. A form may end each line of the description with CR LF where the metadata
# has LF, so a field may be twice as long as the metadata.
MAX_FIELD_SIZE = 2 * MAX_METADATA_SIZE
# Bytes of all fields: most of it is the description.
MAX_FIELDS_SIZE = 2 * MAX_FIELD_SIZE
# Bytes of a field in KNOWN_FIELDS, which are one or two words.
MAX_VALUE_SIZE = 4096
MAX_URLENCODED_SIZE = 1 << 16

KNOWN_FIELDS = {":action", "name", "version", "filetype", "requires_python", *DIGEST_ALGORITHMS}
# Fields that must be empty, and the error message if they are not.
UNSUPPORTED_FIELDS = {
    "gpg_signature": "This index keeps no GPG signatures. Upload without one",
    "attestations": "This index cannot verify attestations (PEP 740), and serves none that it has not verified. "
    "Upload without them",
}


class Sink(Protocol):
    """The destination of a file."""

    def write(self, chunk: bytes, /) -> Any:
        """Write the next bytes."""


SinkT = TypeVar("SinkT", bound=Sink)

# Is called with the filename and the fields before the file. Returns where to write the file; raises RequestError.
OpenFile = Callable[[str, Mapping[str, str]], SinkT]


@dataclass
class FormFile(Generic[SinkT]):
    """The file of a form. sink: where it was written."""

    filename: str
    sink: SinkT


@dataclass
class Form(Generic[SinkT]):
    """A form. fields: those in KNOWN_FIELDS; file: None if there is none."""

    fields: dict[str, str] = field(default_factory=dict)
    file: FormFile[SinkT] | None = None

    def add_field(self, name: str, value: bytes) -> None:
        """Add a field. Raises RequestError."""
        if name in UNSUPPORTED_FIELDS and value:
            raise RequestError(UNSUPPORTED_FIELDS[name])
        if name == "content":
            raise RequestError("The 'content' part has no filename. Send the file in a part with a filename")
        if name not in KNOWN_FIELDS:
            return
        if name in self.fields:
            raise RequestError(f"The form has two fields named {name}. Send one")
        try:
            self.fields[name] = value.decode()
        except UnicodeDecodeError:
            raise RequestError(f"The form's field {name} is not UTF-8") from None


def read_form(content_type: str, body: RequestBody, open_file: OpenFile[SinkT]) -> Form[SinkT]:
    """Read a form, and write its file to the sink that open_file returns.

    Raises RequestError, and what open_file and the sink raise.
    """
    kind, options = parse_options_header(content_type)
    if kind == "multipart/form-data":
        return read_multipart(options.get("boundary", ""), body, open_file)
    if kind == "application/x-www-form-urlencoded":
        return read_urlencoded(body)
    raise RequestError("There is no form. Upload with twine, uv, or another client that sends multipart/form-data")


def read_urlencoded(body: RequestBody) -> Form[SinkT]:
    """Read a form without a file, as some clients send for removals. Raises RequestError."""
    if body.left > MAX_URLENCODED_SIZE:
        raise RequestError(f"The form is longer than {MAX_URLENCODED_SIZE} bytes. Send files as multipart/form-data")
    form: Form[SinkT] = Form()
    try:
        text = body.read(body.left).decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError as error:
        raise RequestError(f"The form cannot be read: {error}") from None
    for name, value in pairs:
        form.add_field(name, value.encode())
    return form


def read_multipart(boundary: str, body: RequestBody, open_file: OpenFile[SinkT]) -> Form[SinkT]:
    """Read a form of parts, one of which may be a file. Raises as read_form."""
    form: Form[SinkT] = Form()
    fields_left = MAX_FIELDS_SIZE
    part: MultipartSegment | None = None
    value = bytearray()
    write: Callable[[bytes], Any] = value.extend
    try:
        parser = PushMultipartParser(
            boundary,
            content_length=body.left,
            max_segment_count=MAX_PARTS,
            strict=True,
        )
        # The parser yields a segment for the headers of a part, then its bytes, then None.
        for event in (event for chunk in body.chunks() for event in parser.parse(chunk)):
            if isinstance(event, MultipartSegment):
                part, value = event, bytearray()
                write = open_part(form, part, value, open_file)
            elif part is None:
                continue
            elif event is not None:
                if part.filename is None:
                    fields_left -= len(event)
                if fields_left < 0:
                    raise RequestError(f"The form's fields are longer than {MAX_FIELDS_SIZE} bytes together")
                write(event)
            elif part.filename is None:
                form.add_field(part.name or "", bytes(value))
    except ParserLimitReached as error:
        raise RequestError(f"The form is larger than any upload's: {error}") from None
    except ParserError as error:
        raise RequestError(f"The form cannot be read: {error}") from None
    try:
        parser.close()
    except ParserError:
        raise RequestError(INCOMPLETE_MESSAGE) from None
    return form


def open_part(
    form: Form[SinkT], part: MultipartSegment, value: bytearray, open_file: OpenFile[SinkT]
) -> Callable[[bytes], Any]:
    """Return the function that writes the bytes of a part. value: the content of a field. Raises RequestError."""
    if part.filename is None:
        return field_writer(part, value)
    if part.name != "content":
        name = part.name or ""
        raise RequestError(UNSUPPORTED_FIELDS.get(name, f"An upload has one file, named 'content', and no {name!r}"))
    if form.file is not None:
        raise RequestError("An upload has one file, in a part named 'content', and this has 2")
    form.file = FormFile(part.filename, open_file(part.filename, form.fields))
    return form.file.sink.write


def field_writer(part: MultipartSegment, value: bytearray) -> Callable[[bytes], None]:
    """Return the function that adds bytes to the value of a field. Only the values in KNOWN_FIELDS are kept."""
    name = part.name or ""
    is_known = name in KNOWN_FIELDS
    max_size = MAX_VALUE_SIZE if is_known else MAX_FIELD_SIZE
    # Of other fields, it only matters whether they are empty.
    max_kept = MAX_VALUE_SIZE if is_known else 1

    def write(chunk: bytes) -> None:
        if part.bytes_received > max_size:
            raise RequestError(f"The form's field {name[:40]} is longer than {max_size} bytes")
        value.extend(chunk[: max_kept - len(value)])

    return write
