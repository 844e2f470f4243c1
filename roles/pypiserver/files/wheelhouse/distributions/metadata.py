"""The metadata that the pages serve (PEP 658, Requires-Python), taken out of the core metadata of a distribution."""

import errno
from pathlib import Path
from typing import NamedTuple

from wheelhouse.distributions.archives.errors import ARCHIVE_ERRORS
from wheelhouse.distributions.archives.unchecked import from_sdist, from_wheel
from wheelhouse.distributions.core_metadata import CoreMetadata, InvalidMetadataError, parse


class InvalidDistributionError(Exception):
    """The file is not a valid distribution. The text says why."""


class ServedMetadata(NamedTuple):
    """The metadata of a distribution on the pages.

    core: the METADATA file, byte for byte, as PEP 658 serves it, or None if it is not reliable before a build;
    requires_python: the field Requires-Python (core metadata 1.2), or None.
    """

    core: bytes | None
    requires_python: str | None


def served_metadata(filename: str, metadata: CoreMetadata) -> ServedMetadata:
    """Return what the pages serve of a file with this core metadata."""
    is_reliable = filename.endswith(".whl") or metadata.is_static()
    return ServedMetadata(metadata.raw if is_reliable else None, metadata.requires_python)


def read_metadata(path: Path) -> ServedMetadata:
    """Read the metadata of a file that was copied into the packages directory. Uploads are read by check_archive.

    Raises InvalidDistributionError, or OSError if the file cannot be read.
    """
    try:
        return read_unchecked(path)
    except InvalidMetadataError as error:
        raise InvalidDistributionError(str(error)) from None
    except ARCHIVE_ERRORS as error:
        raise InvalidDistributionError(f"invalid or corrupt archive: {error}") from None
    except OSError as error:
        # Invalid content also raises OSError, without an errno or with EINVAL (a seek to a negative position).
        if error.errno not in (None, errno.EINVAL):
            raise
        raise InvalidDistributionError(f"invalid or corrupt archive: {error}") from None


def read_unchecked(path: Path) -> ServedMetadata:
    """Read as read_metadata, but raise ARCHIVE_ERRORS and InvalidMetadataError as they are."""
    raw = from_wheel(path) if path.suffix == ".whl" else from_sdist(path)
    if raw is None:
        if path.suffix == ".whl":
            raise InvalidDistributionError("a wheel without METADATA")
        return ServedMetadata(None, None)
    metadata = parse(raw)
    metadata.check_requires_python()
    return served_metadata(path.name, metadata)
