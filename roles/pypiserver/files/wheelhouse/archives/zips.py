"""Zip archives: wheels (PEP 427) and old sdists.

The directory is read, and of the members what has to be there. What it says of the others' sizes is what those who
unpack them go by, too.
"""

import stat
from typing import BinaryIO
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile, ZipInfo

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelhouse.archives.bounded import Unpacked, size_of
from wheelhouse.archives.members import Members, check_layout, shown
from wheelhouse.distributions import release_of
from wheelhouse.pages.metadata import LARGEST, is_pkg_info
from wheelhouse.refusals import Refused, Unable
from wheelhouse.settings import Limits

# The directory is read into memory as a whole. An entry takes some 100 bytes.
LARGEST_DIRECTORY = 32 << 20
ENTRY = b"PK\x01\x02"
ENCRYPTED = 0x1 | 0x40 | 0x2000  # PKWARE's APPNOTE, section 4.4.4
LONGEST_TARGET = 4096


class Directory:
    """A file that ZipFile reads its directory from. Refuses one that would fill the memory."""

    def __init__(self, file: BinaryIO, limits: Limits):
        self._file, self._limits, self._size = file, limits, size_of(file)
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes, or all that are left."""
        if size < 0:
            size = self._size - self.tell()
        if size > LARGEST_DIRECTORY:
            raise Refused(f"its directory is larger than {LARGEST_DIRECTORY} bytes")
        try:
            content = self._file.read(size)
        except OSError as error:
            # zipfile would take it for wrong content.
            raise Unable("What was received cannot be read again just now. Send it again") from error
        if content.count(ENTRY) > self._limits.max_members:
            raise Refused(f"it has more than {self._limits.max_members} members (pypi_max_members)")
        return content


def checked(archive: ZipFile, packed: int, limits: Limits) -> Members:
    """Look at all members. packed: the archive's size in bytes. Raises Refused."""
    unpacked, members = Unpacked(packed, limits), Members()
    for info in archive.infolist():
        unpacked.member()
        unpacked.bytes(info.file_size)
        if info.flag_bits & ENCRYPTED:
            raise Refused(f"its member {shown(info.filename)} is encrypted")
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA):
            raise Refused(f"its member {shown(info.filename)} is compressed in a way that installers do not know")
        kind = stat.S_IFMT(info.external_attr >> 16)
        # As it stands there: ZipInfo.filename ends at a NUL.
        if kind == stat.S_IFLNK:
            target = read(archive, info, LONGEST_TARGET).decode(errors="surrogateescape")
            members.add_symlink(info.orig_filename, target)
        elif kind in (0, stat.S_IFREG, stat.S_IFDIR):
            members.add(info.orig_filename, info.orig_filename.endswith("/"))
        else:
            raise Refused(f"its member {shown(info.filename)} is no file, directory or link")
    members.check()
    return members


def read(archive: ZipFile, info: ZipInfo, most: int) -> bytes:
    """A member's content. Raises Refused if there is more of it than that."""
    if info.file_size > most:
        raise Refused(f"its member {shown(info.filename)} is larger than {most} bytes")
    return archive.read(info)


def look_inside_wheel(filename: str, file: BinaryIO, limits: Limits) -> bytes:
    """Check a wheel, and return its METADATA. Raises Refused, or what zipfile raises."""
    packed = size_of(file)
    with ZipFile(Directory(file, limits)) as archive:
        tops = checked(archive, packed, limits).tops()
        infos = sorted(name for name in tops if name.endswith(".dist-info"))
        if len(infos) != 1:
            raise Refused(f"a wheel has one .dist-info directory (PEP 427), and this has {len(infos)}")
        if not is_named_after(infos[0], filename):
            raise Refused(f"its directory {shown(infos[0])} is another release's (PEP 427)")
        names = set(archive.namelist())
        for wanted in ("METADATA", "WHEEL", "RECORD"):
            if f"{infos[0]}/{wanted}" not in names:
                raise Refused(f"it has no {wanted} in {infos[0]} (PEP 427). Build it again")
        # WHEEL for its checksum alone.
        read(archive, archive.getinfo(f"{infos[0]}/WHEEL"), LARGEST)
        return read(archive, archive.getinfo(f"{infos[0]}/METADATA"), LARGEST)


def is_named_after(directory: str, filename: str) -> bool:
    """Whether <name>-<version>.dist-info is of the release that the file name says."""
    name, _, version = directory.removesuffix(".dist-info").rpartition("-")
    try:
        # A hyphen of the version is an underscore here (PEP 427, "Escaping").
        return (canonicalize_name(name), Version(version.replace("_", "-"))) == release_of(filename)
    except InvalidVersion:
        return False


def look_inside_sdist(file: BinaryIO, limits: Limits) -> bytes:
    """Check an sdist, and return its PKG-INFO. Raises Refused, or what zipfile raises."""
    packed = size_of(file)
    with ZipFile(Directory(file, limits)) as archive:
        tops = checked(archive, packed, limits).tops()
        found = [info for info in archive.infolist() if is_pkg_info(info.filename)]
        check_layout(tops, len(found))
        return read(archive, found[0], LARGEST)
