"""Core metadata of a distribution, as METADATA (wheel) or PKG-INFO (sdist) states it.

The text is parsed once. Everything that needs a field gets the parsed object.
Source of the rules: https://packaging.python.org/en/latest/specifications/core-metadata/
"""

import re
from dataclasses import dataclass
from email.parser import BytesHeaderParser

from packaging.specifiers import InvalidSpecifier, SpecifierSet

# Bytes. The largest on PyPI have some hundred kB, nearly all of it the description.
MAX_METADATA_SIZE = 1 << 20
# Header lines, continuation lines included. Each one costs the parser an object; the description after the
# headers is not parsed.
MAX_HEADER_LINES = 10_000
# Characters. It is repeated on the project page, once for each file.
MAX_REQUIRES_PYTHON = 1000

# A line of METADATA ends with CR LF, LF or CR, as for the email parser.
LINE_END = rb"(?:\r\n|\r(?!\n)|\n)"
EMPTY_LINE = re.compile(LINE_END + LINE_END)
LINE_ENDS = re.compile(LINE_END)

# The fields that installers need before they download. An sdist may declare them as dynamic: they are known only after
# a build (PEP 643).
RESOLVED_BY = {"requires-dist", "requires-python", "provides-extra"}


class InvalidMetadataError(ValueError):
    """Metadata is too large, or has an invalid field. The text has the field, value and limit."""


@dataclass(frozen=True)
class CoreMetadata:
    """The fields that this index uses, and all bytes.

    raw: the file, byte for byte. names, versions and requires_pythons hold one string for each time that the field
    occurs; dynamic holds field names in lower case.
    """

    raw: bytes
    metadata_version: str
    names: tuple[str, ...]
    versions: tuple[str, ...]
    requires_pythons: tuple[str, ...]
    dynamic: frozenset[str]

    @property
    def requires_python(self) -> str | None:
        """The first Requires-Python, or None if there is none or it is empty."""
        return (self.requires_pythons[0] or None) if self.requires_pythons else None

    def is_static(self) -> bool:
        """Return whether the wheels of this sdist have the same dependencies (PEP 643): version 2.2 or later."""
        version = self.metadata_version
        if not re.fullmatch("[0-9]{1,9}([.][0-9]{1,9})*", version):
            return False
        return [int(part) for part in version.split(".")] >= [2, 2] and not self.dynamic & RESOLVED_BY

    def check_requires_python(self) -> None:
        """Raise InvalidMetadataError if Requires-Python is too long, or is not a version specifier (PEP 440)."""
        specifier = self.requires_python or ""
        if len(specifier) > MAX_REQUIRES_PYTHON:
            raise InvalidMetadataError(
                f"its Requires-Python has {len(specifier)} characters; at most {MAX_REQUIRES_PYTHON} are allowed. "
                "Shorten requires-python in the project's settings"
            )
        try:
            SpecifierSet(specifier)
        except InvalidSpecifier:
            raise InvalidMetadataError(
                f"its Requires-Python is {specifier[:80]!a}, which is not a version specifier (PEP 440) such as "
                "'>=3.9, <4'. Correct requires-python in the project's settings"
            ) from None


def parse(raw: bytes) -> CoreMetadata:
    """Parse METADATA or PKG-INFO. Raises InvalidMetadataError if it exceeds a limit.

    packaging.metadata.parse_email is not used: its time is quadratic in the number of different fields (6 seconds
    for 10,000 of them), and it parses the description as an e-mail body with attachments.
    """
    fields = BytesHeaderParser().parsebytes(header_section(raw))

    def values(name: str) -> tuple[str, ...]:
        return tuple(str(value).strip() for value in fields.get_all(name, []))

    return CoreMetadata(
        raw=raw,
        metadata_version=(values("Metadata-Version") or ("0",))[0],
        names=values("Name"),
        versions=values("Version"),
        requires_pythons=values("Requires-Python"),
        dynamic=frozenset(value.lower() for value in values("Dynamic")),
    )


def header_section(raw: bytes) -> bytes:
    """Return all bytes before the first empty line. Raises InvalidMetadataError if there are too many for the parser.

    This scan is what bounds the parser: 1 MiB of lines of two bytes would take it seconds, and 200 MB.
    """
    if len(raw) > MAX_METADATA_SIZE:
        raise InvalidMetadataError(f"its metadata has {len(raw)} bytes; at most {MAX_METADATA_SIZE} are allowed")
    if raw[:1] in (b"\r", b"\n"):
        return b""
    end = EMPTY_LINE.search(raw)
    headers = raw[: end.start()] if end else raw
    for number, _line_end in enumerate(LINE_ENDS.finditer(headers), 1):
        if number > MAX_HEADER_LINES:
            raise InvalidMetadataError(
                f"its metadata has more than {MAX_HEADER_LINES} header lines before the description"
            )
    return headers


def is_pkg_info(name: str) -> bool:
    """Return whether a member of an sdist is <top-level directory>/PKG-INFO."""
    return name.removeprefix("./").count("/") == 1 and name.endswith("/PKG-INFO")
