"""Names of distribution files and projects."""

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_version,
    is_normalized_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

from wheelhouse.errors import RequestError

# Characters of a filename, a project name, and a version. File systems allow 255 bytes of a name, and a suffix such as
# .metadata needs some of them.
MAX_LENGTH = 240


def parse_project(filename: str) -> str:
    """Return the normalized project name (PEP 503) of a wheel (PEP 427, PEP 491) or sdist (PEP 625, and before).

    Raises RequestError if the filename is invalid, or has characters that are not safe in a path or URL.
    """
    # packaging accepts other characters, and converts them to lower case. A filename is also a path and a part of a
    # URL, so it must be ASCII without spaces and slashes (path traversal).
    if not filename.isascii() or not filename.isprintable() or set(filename) & set(" /\\%\"'<>&?#"):
        raise RequestError("the file name has characters that no distribution's has")
    if len(filename) > MAX_LENGTH:
        raise RequestError(f"the file name has more than {MAX_LENGTH} characters")
    project, _version = parse_filename(filename)
    return project


def parse_filename(filename: str) -> tuple[str, Version]:
    """Return the normalized project name and the version of a filename. Raises RequestError if it is invalid."""
    try:
        if filename.endswith(".whl"):
            project, version, *_tags = parse_wheel_filename(filename)
        else:
            project, version = parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename):
        raise RequestError(f"{filename} is not the file name of a wheel or sdist") from None
    if not is_normalized_name(project):
        raise RequestError(
            f"{filename} has no valid project name: letters, digits and ._- are allowed, a letter or digit at each end"
        )
    return project, version


def canonical_filename(filename: str) -> str:
    """Return the canonical filename: equal for all spellings of one distribution. Raises RequestError if it is invalid.

    The project name is normalized as in PEP 503, with underscores as in filenames (PEP 491, PEP 625): with hyphens,
    foo-1's version 2 and build 2 of foo's version 1 would be equal. The version is normalized without trailing zeros:
    1.0 and 1.0.0 are the same release to installers (PEP 440). Tags are sorted and in lower case (PEP 425).
    """
    parse_project(filename)  # rejects characters that lower() would convert to ASCII letters
    project, version = parse_filename(filename)
    start = f"{project.replace('-', '_')}-{canonicalize_version(version)}"
    if not filename.endswith(".whl"):
        return start + (".zip" if filename.endswith(".zip") else ".tar.gz")
    _project, _version, build, tags = parse_wheel_filename(filename)
    parts = [{tag.interpreter for tag in tags}, {tag.abi for tag in tags}, {tag.platform for tag in tags}]
    number = ["".join(map(str, build))] if build else []
    return "-".join([start, *number, *(".".join(sorted(part)) for part in parts)]) + ".whl"


def is_valid_project_name(name: str) -> bool:
    """Return whether a normalized name is a valid project name (PEP 503), short enough for the file of its page."""
    return is_normalized_name(name) and len(name) <= MAX_LENGTH
