"""Checks sdists that are gzipped tar archives (PEP 517, PEP 625), in one forward pass."""

import tarfile
from typing import BinaryIO

from wheelhouse.config import Limits
from wheelhouse.distributions.archives.gzip_stream import GzipStream
from wheelhouse.distributions.archives.limits import UnpackLimits, size_of
from wheelhouse.distributions.archives.members import Members, check_sdist_layout
from wheelhouse.distributions.archives.tar_headers import DIRECTORY, FILES, TarHeaders, TarMember
from wheelhouse.distributions.core_metadata import MAX_METADATA_SIZE, is_pkg_info
from wheelhouse.errors import RequestError


def check_sdist(file: BinaryIO, limits: Limits) -> bytes:
    """Check an sdist, and return its PKG-INFO. Raises RequestError, ARCHIVE_ERRORS, OSError."""
    unpacked, members = UnpackLimits(size_of(file), limits), Members()
    found: list[bytes] = []
    stream = GzipStream(file, unpacked)
    headers = TarHeaders(stream)
    for member in headers.members():
        unpacked.count_member()
        add(members, member)
        if member.kind in FILES and is_pkg_info(member.name):
            if member.size > MAX_METADATA_SIZE:
                raise RequestError(f"its PKG-INFO is larger than {MAX_METADATA_SIZE} bytes")
            found.append(headers.content(member.size))
        else:
            headers.skip(member.size)
    # tarfile treats an invalid header as the end of the archive. Other readers continue after it.
    if not stream.has_only_zeros_left():
        raise RequestError("after its last member there is something else")
    members.check()
    check_sdist_layout(members.top_level(), len(found))
    return found[0]


def add(members: Members, member: TarMember) -> None:
    """Add a tar member to the members of an archive. Raises RequestError."""
    if member.kind == tarfile.SYMTYPE:
        members.add_symlink(member.name, member.target)
    elif member.kind == tarfile.LNKTYPE:
        members.add_hard_link(member.name, member.target)
    else:
        members.add(member.name, member.kind == DIRECTORY)
