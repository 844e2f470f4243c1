"""Sdists as gzipped tar archives (PEP 517, PEP 625), read once, from one end to the other."""

import gzip
import tarfile
from typing import BinaryIO

from wheelhouse.archives.bounded import CHUNK, Unpacked, size_of
from wheelhouse.archives.members import Members, check_layout, shown
from wheelhouse.pages.metadata import LARGEST, is_pkg_info
from wheelhouse.refusals import Refused
from wheelhouse.settings import Limits

# What comes before a member's content. tarfile reads all of it into memory: names as long as the archive says, and
# fields without end (pax), and maps of sparse files.
LONGEST_HEADERS = 256 << 10
MOST_COMMON_FIELDS = 100


class Stream:
    """The unpacked bytes of a gzip file, which go by once. tarfile takes it for a file that can seek."""

    def __init__(self, file: BinaryIO, unpacked: Unpacked):
        self._file, self._unpacked = gzip.GzipFile(fileobj=file), unpacked
        self._position = 0
        self.headers = LONGEST_HEADERS

    def tell(self) -> int:
        """The number of bytes that have gone by."""
        return self._position

    def read(self, size: int) -> bytes:
        """What tarfile reads: headers, and the contents of members that were asked for."""
        self.headers -= size
        if self.headers < 0:
            raise Refused(f"it has a member whose headers are longer than {LONGEST_HEADERS} bytes")
        return self.next(size)

    def next(self, size: int) -> bytes:
        """The next bytes, as many as asked for unless it ends."""
        content = self._file.read(size)
        self._position += len(content)
        self._unpacked.bytes(len(content))
        return content

    def seek(self, position: int) -> int:
        """Go on to there, or to the end."""
        if position < self._position:
            raise tarfile.ReadError("it leads backwards")
        while position > self._position and self.next(min(CHUNK, position - self._position)):
            pass
        return self._position

    def is_blank(self) -> bool:
        """Whether there is nothing but zeros up to the end, where the checksum is."""
        while content := self.next(CHUNK):
            if content.count(0) != len(content):
                return False
        return True


def look_inside_sdist(file: BinaryIO, limits: Limits) -> bytes:
    """Check an sdist, and return its PKG-INFO. Raises Refused, or what gzip and tarfile raise."""
    unpacked, members, found = Unpacked(size_of(file), limits), Members(), []
    stream = Stream(file, unpacked)
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        while (member := archive.next()) is not None:
            unpacked.member()
            add(members, member)
            if member.isfile() and is_pkg_info(member.name):
                if member.size > LARGEST:
                    raise Refused(f"its PKG-INFO is larger than {LARGEST} bytes")
                stream.seek(member.offset_data)
                found.append(stream.next(member.size))
            if len(archive.pax_headers) > MOST_COMMON_FIELDS:
                raise Refused(f"it has more than {MOST_COMMON_FIELDS} fields that are common to all members")
            # tarfile would keep them all.
            archive.members = []
            stream.headers = LONGEST_HEADERS
        # tarfile takes for the end what is no header. Others may go on from there.
        if not stream.is_blank():
            raise Refused("after its last member there is something else")
    members.check()
    check_layout(members.tops(), len(found))
    return found[0]


def add(members: Members, member: tarfile.TarInfo) -> None:
    """Add a member. Raises Refused."""
    if member.issym():
        members.add_symlink(member.name, member.linkname)
    elif member.islnk():
        members.add_hard_link(member.name, member.linkname)
    elif (member.isreg() and not member.issparse()) or member.isdir():
        members.add(member.name, member.isdir())
    else:
        raise Refused(f"its member {shown(member.name)} is no plain file, directory or link")
