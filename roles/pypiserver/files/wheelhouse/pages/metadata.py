"""What the pages say of a distribution, taken out of its core metadata."""

import errno
import lzma
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from wheelhouse.core_metadata import CoreMetadata, InvalidMetadata, parse
from wheelhouse.pages.copied import from_sdist, from_wheel

# What the standard library raises over archives that are none, are torn, or use what it does not know.
TORN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(ValueError, OverflowError, RuntimeError, NotImplementedError),
)


class Broken(Exception):
    """A file that is no distribution. Its text says why."""


class Metadata(NamedTuple):
    """core: the METADATA file's bytes as PEP 658 serves them, or None where they may not be relied on.

    requires_python: its Requires-Python field (core metadata 1.2), or None.
    """

    core: bytes | None
    requires_python: str | None


def read(path: Path) -> Metadata:
    """Read a wheel's METADATA or an sdist's PKG-INFO. Raises Broken, or OSError if the file cannot be read.

    This is for files that were copied by hand: an upload brings its metadata along (of).
    """
    try:
        return understood(path)
    except InvalidMetadata as reason:
        raise Broken(str(reason)) from None
    except TORN as error:
        raise Broken(f"no archive, or a torn one: {error}") from None
    except OSError as error:
        # Wrong content is an OSError as well: one without a number, or about a place that cannot be.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise Broken(f"no archive, or a torn one: {error}") from None


def understood(path: Path) -> Metadata:
    """As read, with all that the standard library may raise, and InvalidMetadata."""
    raw = from_wheel(path) if path.suffix == ".whl" else from_sdist(path)
    if raw is None:
        if path.suffix == ".whl":
            raise Broken("a wheel without METADATA")
        return Metadata(None, None)
    metadata = parse(raw)
    metadata.check_requires_python()
    return of(path.name, metadata)


def of(filename: str, metadata: CoreMetadata) -> Metadata:
    """Return what the pages say of a file with this metadata."""
    is_reliable = filename.endswith(".whl") or metadata.is_static()
    return Metadata(metadata.raw if is_reliable else None, metadata.requires_python)
