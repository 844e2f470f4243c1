"""Checks the archive of an upload: every byte is decompressed and verified, in bounded memory."""

from typing import BinaryIO

from wheelhouse.config import Limits
from wheelhouse.distributions.archives import tar_archive, zip_archive
from wheelhouse.distributions.archives.errors import ARCHIVE_ERRORS
from wheelhouse.distributions.core_metadata import CoreMetadata, InvalidMetadataError, parse
from wheelhouse.errors import RequestError


def check_archive(filename: str, file: BinaryIO, limits: Limits) -> CoreMetadata:
    """Check the archive, and return its METADATA or PKG-INFO, parsed.

    Raises RequestError, whose text says what is wrong; OSError if the file cannot be read.
    """
    try:
        return parse(read_metadata(filename, file, limits))
    except (RequestError, InvalidMetadataError) as error:
        raise RequestError(f"{filename} was rejected: {error}") from None
    except ARCHIVE_ERRORS as error:
        raise RequestError(f"Invalid or corrupt archive: {filename}: {error}") from None


def read_metadata(filename: str, file: BinaryIO, limits: Limits) -> bytes:
    """Check the archive, and return its METADATA or PKG-INFO. Raises RequestError, ARCHIVE_ERRORS, OSError."""
    if filename.endswith(".whl"):
        return zip_archive.check_wheel(filename, file, limits)
    if filename.endswith(".zip"):
        return zip_archive.check_sdist(file, limits)
    return tar_archive.check_sdist(file, limits)
