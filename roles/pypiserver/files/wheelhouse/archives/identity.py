"""Whether a distribution is the one that its file name and its form say."""

from collections.abc import Mapping

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from wheelhouse.core_metadata import CoreMetadata, InvalidMetadata
from wheelhouse.distributions import LONGEST, normalise, release_of
from wheelhouse.refusals import Refused


def check_metadata(filename: str, metadata: CoreMetadata) -> None:
    """Compare METADATA or PKG-INFO with the file name, and check Requires-Python. Raises Refused."""
    for field, values in (("Name", metadata.names), ("Version", metadata.versions)):
        if len(values) != 1:
            raise Refused(f"{filename} is refused: its metadata has not one {field}. Build it again")
    if len(metadata.requires_pythons) > 1:
        raise Refused(f"{filename} is refused: its metadata has more than one Requires-Python. Build it again")
    try:
        metadata.check_requires_python()
    except InvalidMetadata as reason:
        raise Refused(f"{filename} is refused: {reason}") from None
    check_release(filename, "its metadata", metadata.names[0], metadata.versions[0])


def check_form(filename: str, form: Mapping[str, str], metadata: CoreMetadata | None = None) -> None:
    """Compare what a form says with the file name, and with METADATA or PKG-INFO where it is given. Raises Refused.

    Not metadata_version and pyversion, which some clients make up.
    """
    check_release(filename, "the form", form.get("name") or None, form.get("version") or None)
    filetype = "bdist_wheel" if filename.endswith(".whl") else "sdist"
    if form.get("filetype", "") not in ("", filetype):
        raise Refused(f"{filename} is refused: the form calls it {form['filetype']}, and its name says {filetype}")
    said = form.get("requires_python", "")
    if said and metadata is not None:
        inside = metadata.requires_python or ""
        if not same_pythons(said, inside):
            raise Refused(f"{filename} is refused: the form requires Python {said}, and its metadata {inside or 'any'}")


def check_release(filename: str, who: str, name: str | None, version: str | None) -> None:
    """Compare a name and a version, in any spelling (PEP 503, PEP 440), with a file name. Raises Refused."""
    its_name, its_version = release_of(filename)
    if name is not None and normalise(name.strip()) != its_name:
        raise Refused(f"{filename} is refused: {who} names {name.strip()[:LONGEST]}, and its file name {its_name}")
    if version is not None and not same_version(version.strip(), str(its_version)):
        said = version.strip()[:LONGEST]
        raise Refused(f"{filename} is refused: {who} says version {said}, and its file name {its_version}")


def same_version(one: str, other: str) -> bool:
    """Whether two spellings mean the same version (PEP 440)."""
    if max(len(one), len(other)) > LONGEST:
        # Version() raises another error for numbers of thousands of digits.
        return False
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def same_pythons(one: str, other: str) -> bool:
    """Whether two spellings mean the same versions of Python."""
    try:
        return SpecifierSet(one) == SpecifierSet(other)
    except InvalidSpecifier:
        return one.strip() == other.strip()
