"""Distribution files: what their names say."""

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    canonicalize_version,
    is_normalized_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from wheelhouse.refusals import Refused

# Characters of a file name, a project name, and a version. File systems take 255 bytes, and a suffix such as .metadata
# needs some of them.
LONGEST = 240


def project_of(filename: str) -> str:
    """The normalised project name (PEP 503) of a wheel (PEP 427, PEP 491) or sdist (PEP 625, and its forerunners).

    Raises Refused if the name is neither's.
    """
    # packaging lower-cases and is generous; a name is also a file on disk and a
    # part of a URL, so it is held to ASCII without spaces or slashes.
    if not filename.isascii() or not filename.isprintable() or set(filename) & set(" /\\%\"'<>&?#"):
        raise Refused("the file name has characters that no distribution's has")
    if len(filename) > LONGEST:
        raise Refused(f"the file name has more than {LONGEST} characters")
    project, _version = release_of(filename)
    return project


def release_of(filename: str) -> tuple[str, Version]:
    """The normalised project name and the version that a file name says. Raises Refused if it is no distribution's."""
    try:
        if filename.endswith(".whl"):
            project, version, *_tags = parse_wheel_filename(filename)
        else:
            project, version = parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename):
        raise Refused(f"{filename} is not the file name of a wheel or sdist") from None
    if not is_normalized_name(project):
        raise Refused(f"{filename} names no project: names are letters, digits and ._-, a letter or digit at each end")
    return project, version


def canonical_filename(filename: str) -> str:
    """The one spelling of all file names that mean the same distribution. Raises Refused if it is no distribution's.

    The name is normalised as in PEP 503 with underscores, as file names have it (PEP 491, PEP 625): hyphens would make
    foo-1's version 2 and build 2 of foo's version 1 the same. The version is normalised without its closing zeros:
    installers take 1.0 and 1.0.0 for the same release (PEP 440). Tags are in order, and in small letters (PEP 425).
    """
    project_of(filename)  # refuses what lower() would make a letter of ours
    project, version = release_of(filename)
    start = f"{project.replace('-', '_')}-{canonicalize_version(version)}"
    if not filename.endswith(".whl"):
        return start + (".zip" if filename.endswith(".zip") else ".tar.gz")
    _project, _version, build, tags = parse_wheel_filename(filename)
    parts = [{tag.interpreter for tag in tags}, {tag.abi for tag in tags}, {tag.platform for tag in tags}]
    number = ["".join(map(str, build))] if build else []
    return "-".join([start, *number, *(".".join(sorted(part)) for part in parts)]) + ".whl"


def is_project_name(name: str) -> bool:
    """Whether a normalised name is one that a project can have (PEP 503), and a file of its pages."""
    return is_normalized_name(name) and len(name) <= LONGEST


def normalise(name: str) -> str:
    """A project's name as PEP 503 normalises it."""
    return canonicalize_name(name)
