"""Checks that the filename, the metadata and the form of an upload agree."""

from collections.abc import Mapping

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelhouse.distributions.core_metadata import CoreMetadata, InvalidMetadataError
from wheelhouse.distributions.filenames import MAX_LENGTH, parse_filename
from wheelhouse.errors import RequestError


def check_metadata(filename: str, metadata: CoreMetadata) -> None:
    """Compare METADATA or PKG-INFO with the filename, and check Requires-Python. Raises RequestError."""
    for field, values in (("Name", metadata.names), ("Version", metadata.versions)):
        if len(values) != 1:
            raise RequestError(f"{filename} was rejected: its metadata has not one {field}. Build it again")
    if len(metadata.requires_pythons) > 1:
        raise RequestError(f"{filename} was rejected: its metadata has more than one Requires-Python. Build it again")
    try:
        metadata.check_requires_python()
    except InvalidMetadataError as error:
        raise RequestError(f"{filename} was rejected: {error}") from None
    check_release(filename, "its metadata", metadata.names[0], metadata.versions[0])


def check_form(filename: str, form: Mapping[str, str], metadata: CoreMetadata | None = None) -> None:
    """Compare a form with the filename, and with METADATA or PKG-INFO if it is given. Raises RequestError.

    metadata_version and pyversion are ignored: some clients send made-up values.
    """
    check_release(filename, "the form", form.get("name") or None, form.get("version") or None)
    filetype = "bdist_wheel" if filename.endswith(".whl") else "sdist"
    if form.get("filetype", "") not in ("", filetype):
        raise RequestError(
            f"{filename} was rejected: the form has filetype {form['filetype']}, and its file name {filetype}"
        )
    in_form = form.get("requires_python", "")
    if in_form and metadata is not None:
        in_file = metadata.requires_python or ""
        if not is_same_specifier(in_form, in_file):
            raise RequestError(
                f"{filename} was rejected: the form requires Python {in_form}, and its metadata {in_file or 'any'}"
            )


def check_release(filename: str, source: str, name: str | None, version: str | None) -> None:
    """Compare a name and a version, in any spelling (PEP 503, PEP 440), with a filename. Raises RequestError.

    source: of name and version, for the message.
    """
    file_name, file_version = parse_filename(filename)
    if name is not None and canonicalize_name(name.strip()) != file_name:
        raise RequestError(
            f"{filename} was rejected: {source} names {name.strip()[:MAX_LENGTH]}, and its file name {file_name}"
        )
    if version is not None and not is_same_version(version.strip(), str(file_version)):
        stated = version.strip()[:MAX_LENGTH]
        raise RequestError(f"{filename} was rejected: {source} has version {stated}, and its file name {file_version}")


def is_same_version(one: str, other: str) -> bool:
    """Return whether two strings are the same version (PEP 440)."""
    if max(len(one), len(other)) > MAX_LENGTH:
        # Version() raises ValueError for numbers of thousands of digits.
        return False
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def is_same_specifier(one: str, other: str) -> bool:
    """Return whether two strings are the same version specifier (PEP 440)."""
    try:
        return SpecifierSet(one) == SpecifierSet(other)
    except InvalidSpecifier:
        return one.strip() == other.strip()
