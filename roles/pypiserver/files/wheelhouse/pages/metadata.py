"""Core metadata: what a distribution says of itself, taken out of its archive."""

import errno
import gzip
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import NamedTuple

# More than any real project's; a larger one is not read into memory.
LARGEST = 10 << 20
CHUNK = 1 << 20

# What the standard library raises over archives that are none, are torn, or use what it does not know.
TORN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(ValueError, OverflowError, RuntimeError, NotImplementedError),
)

# What installers want to know before they download. A source distribution may leave
# these open until it is built, and then says so (PEP 643).
RESOLVED_BY = {"requires-dist", "requires-python", "provides-extra"}


class Broken(Exception):
    """A file that is no distribution. Its text says why."""


class Metadata(NamedTuple):
    """core: the METADATA file's bytes as PEP 658 serves them, or None where they may not be relied on.

    requires_python: its Requires-Python field (core metadata 1.2), or None.
    """

    core: bytes | None
    requires_python: str | None


def read(path: Path) -> Metadata:
    """Read a wheel's METADATA or an sdist's PKG-INFO. Raises Broken, or OSError if the file cannot be read."""
    try:
        return understood(path)
    except TORN as error:
        raise Broken(f"no archive, or a torn one: {error}") from None
    except OSError as error:
        # Wrong content is an OSError as well: one without a number, or about a place that cannot be.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise Broken(f"no archive, or a torn one: {error}") from None


def understood(path: Path) -> Metadata:
    """As read, with all that the standard library may raise."""
    raw = from_wheel(path) if path.suffix == ".whl" else from_sdist(path)
    if raw is None:
        if path.suffix == ".whl":
            raise Broken("a wheel without METADATA")
        return Metadata(None, None)
    return told(path.name, raw)


def told(filename: str, raw: bytes) -> Metadata:
    """What a METADATA or PKG-INFO says, and whether it may be relied on."""
    fields = BytesHeaderParser().parsebytes(raw)
    requires_python = fields.get("Requires-Python")
    requires_python = str(requires_python).strip() or None if requires_python is not None else None
    reliable = filename.endswith(".whl") or is_reliable(fields)
    return Metadata(raw if reliable else None, requires_python)


def from_wheel(path: Path) -> bytes | None:
    """The METADATA of <name>-<version>.dist-info (PEP 427)."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            directory, _, file = name.rpartition("/")
            if file == "METADATA" and directory.endswith(".dist-info") and "/" not in directory:
                if archive.getinfo(name).file_size > LARGEST:
                    raise Broken("its METADATA is larger than 10 MiB")
                return archive.read(name)
    return None


def from_sdist(path: Path) -> bytes | None:
    """The PKG-INFO in an sdist's one top-level directory (PEP 625), or None."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if is_pkg_info(name) and archive.getinfo(name).file_size <= LARGEST:
                    return archive.read(name)
        return None
    with gzip.open(path) as content, tarfile.open(fileobj=content, mode="r:") as archive:
        fitting = (member for member in archive if is_pkg_info(member.name) and member.isfile())
        member = next((member for member in fitting if member.size <= LARGEST), None)
        raw = archive.extractfile(member).read() if member is not None else None
        # On to the end, where the checksum is. Half an archive may well have its PKG-INFO.
        while content.read(CHUNK):
            pass
    return raw


def is_pkg_info(name: str) -> bool:
    """Whether a member is <top-level directory>/PKG-INFO."""
    return name.removeprefix("./").count("/") == 1 and name.endswith("/PKG-INFO")


def is_reliable(fields) -> bool:
    """Whether an sdist's metadata is that of the wheels built from it: version 2.2 or later, nothing left open."""
    version = str(fields.get("Metadata-Version", "0")).strip()
    if not re.fullmatch("[0-9]{1,9}([.][0-9]{1,9})*", version) or [int(part) for part in version.split(".")] < [2, 2]:
        return False
    dynamic = {str(field).strip().lower() for field in fields.get_all("Dynamic", [])}
    return not dynamic & RESOLVED_BY
