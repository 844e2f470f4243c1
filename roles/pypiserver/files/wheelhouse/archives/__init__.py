"""What is inside a distribution file, before it is taken: an archive that opens and stays within bounds.

Nothing is unpacked to disk. Every byte is decompressed and checked, a piece at a time; only names and the metadata stay
in memory. Modules: bounded (limits), members (names and links), zips with ziplayout and wheel_record, tars with
tarheaders and gzips (the two kinds of archive), identity (name and version inside).
"""

from typing import BinaryIO

from wheelhouse.archives import tars, zips
from wheelhouse.core_metadata import CoreMetadata, InvalidMetadata, parse
from wheelhouse.pages.metadata import TORN
from wheelhouse.refusals import Refused
from wheelhouse.settings import Limits


def look_inside(filename: str, file: BinaryIO, limits: Limits) -> CoreMetadata:
    """Check the archive, and return its METADATA or PKG-INFO, parsed.

    Raises Refused, whose text names what is wrong; OSError if the file cannot be read.
    """
    try:
        return parse(metadata_of(filename, file, limits))
    except (Refused, InvalidMetadata) as reason:
        raise Refused(f"{filename} is refused: {reason}") from None
    except TORN as error:
        raise Refused(f"{filename} is not the archive that its name promises, or it is torn: {error}") from None


def metadata_of(filename: str, file: BinaryIO, limits: Limits) -> bytes:
    """Check the archive, and return its METADATA or PKG-INFO. Raises Refused, and all of TORN; OSError."""
    if filename.endswith(".whl"):
        return zips.look_inside_wheel(filename, file, limits)
    if filename.endswith(".zip"):
        return zips.look_inside_sdist(file, limits)
    return tars.look_inside_sdist(file, limits)
