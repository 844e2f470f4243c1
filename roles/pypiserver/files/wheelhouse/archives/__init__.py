"""What is inside a distribution file, before it is taken: an archive that opens and stays within bounds.

Nothing is unpacked to disk, and no more than one member's metadata is held in memory. Modules: bounded (reading within
limits), members (names and links), zips and tars (the two kinds of archive), identity (name and version inside).
"""

from typing import BinaryIO

from wheelhouse.archives import tars, zips
from wheelhouse.pages.metadata import TORN
from wheelhouse.refusals import Refused, Unable
from wheelhouse.settings import Limits


def look_inside(filename: str, file: BinaryIO, limits: Limits) -> bytes:
    """Check the archive, and return its METADATA or PKG-INFO.

    Raises Refused, whose text names what is wrong; Unable or OSError if the file cannot be read.
    """
    try:
        file.seek(0)
        if filename.endswith(".whl"):
            return zips.look_inside_wheel(filename, file, limits)
        if filename.endswith(".zip"):
            return zips.look_inside_sdist(file, limits)
        return tars.look_inside_sdist(file, limits)
    except Unable:
        raise
    except Refused as reason:
        raise Refused(f"{filename} is refused: {reason}") from None
    except TORN as error:
        raise Refused(f"{filename} is not the archive that its name promises, or it is torn: {error}") from None
    except OSError as error:
        # The standard library says so of wrong content as well, without a number.
        if error.errno is not None:
            raise
        raise Refused(f"{filename} is not the archive that its name promises, or it is torn: {error}") from None
