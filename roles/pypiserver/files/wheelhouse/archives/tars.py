"""Sdists as gzipped tar archives (PEP 517, PEP 625), read once, from one end to the other."""

import tarfile
from typing import BinaryIO

from wheelhouse.archives.bounded import Unpacked, size_of
from wheelhouse.archives.gzips import GzipStream
from wheelhouse.archives.members import Members, check_layout
from wheelhouse.archives.tarheaders import DIRECTORY, FILES, TarHeaders, TarMember
from wheelhouse.core_metadata import MAX_METADATA_SIZE, is_pkg_info
from wheelhouse.refusals import Refused
from wheelhouse.settings import Limits


def look_inside_sdist(file: BinaryIO, limits: Limits) -> bytes:
    """Check an sdist, and return its PKG-INFO. Raises Refused, or what zlib and tarfile raise."""
    unpacked, members, found = Unpacked(size_of(file), limits), Members(), []
    stream = GzipStream(file, unpacked)
    headers = TarHeaders(stream)
    for member in headers.members():
        unpacked.member()
        add(members, member)
        if member.kind in FILES and is_pkg_info(member.name):
            if member.size > MAX_METADATA_SIZE:
                raise Refused(f"its PKG-INFO is larger than {MAX_METADATA_SIZE} bytes")
            found.append(headers.content(member.size))
        else:
            headers.skip(member.size)
    # tarfile takes for the end what is no header. Others go on from there.
    if not stream.is_blank():
        raise Refused("after its last member there is something else")
    members.check()
    check_layout(members.tops(), len(found))
    return found[0]


def add(members: Members, member: TarMember) -> None:
    """Add a member. Raises Refused."""
    if member.kind == tarfile.SYMTYPE:
        members.add_symlink(member.name, member.target)
    elif member.kind == tarfile.LNKTYPE:
        members.add_hard_link(member.name, member.target)
    else:
        members.add(member.name, member.kind == DIRECTORY)
