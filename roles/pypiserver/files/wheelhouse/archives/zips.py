"""Zip archives: wheels (PEP 427) and old sdists."""

import stat
from typing import BinaryIO

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelhouse.archives.bounded import Unpacked, size_of
from wheelhouse.archives.members import Members, check_layout, shown
from wheelhouse.archives.wheel_record import MAX_RECORD_SIZE, WheelRecord
from wheelhouse.archives.ziplayout import Member, ZipLayout
from wheelhouse.core_metadata import MAX_METADATA_SIZE, is_pkg_info
from wheelhouse.distributions import release_of
from wheelhouse.refusals import Refused
from wheelhouse.settings import Limits

# Bytes. The content of a symbolic link is its target.
MAX_TARGET_SIZE = 4096


class Archive:
    """A zip archive whose headers are consistent and whose members stay inside it. files: by normalised path."""

    def __init__(self, file: BinaryIO, limits: Limits):
        """Check everything but the contents. Raises Refused, BadZipFile."""
        self.layout = ZipLayout(file, limits)
        self.files: dict[str, Member] = {}
        self.directories: list[Member] = []
        self._members = Members()
        unpacked = Unpacked(size_of(file), limits)
        for member in self.layout.members:
            # As declared, which no member may exceed.
            unpacked.member()
            unpacked.bytes(member.size)
            self._add(member)
        self._members.check()
        self.layout.check_contiguous()

    def _add(self, member: Member) -> None:
        name, kind = member.text, stat.S_IFMT(member.attributes >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            raise Refused(f"its member {shown(name)} is no file, directory or link")
        is_directory = name.endswith("/")
        if is_directory != (kind == stat.S_IFDIR) and kind != 0:
            raise Refused(f"its member {shown(name)} is a directory by its name or its mode, and not by both")
        if is_directory and member.size:
            raise Refused(f"its member {shown(name)} is a directory with content")
        if kind == stat.S_IFLNK:
            target = self.layout.read(member, MAX_TARGET_SIZE).decode(errors="surrogateescape")
            path = self._members.add_symlink(name, target)
        else:
            path = self._members.add(name, is_directory)
        if is_directory:
            self.directories.append(member)
        else:
            self.files[path] = member

    def tops(self) -> set[str]:
        """Return the names at the archive's root."""
        return self._members.tops()

    def check_contents(self, record: WheelRecord | None = None) -> None:
        """Decompress every member once, a piece at a time. Compares checksums, sizes, and the hashes of RECORD.

        Raises Refused, BadZipFile.
        """
        for member in self.directories:
            self.layout.verify(member)
        for path, member in self.files.items():
            digest = record.hash_for(path) if record else None
            for piece in self.layout.content(member):
                if digest is not None:
                    digest.update(piece)
            if record:
                record.check(path, digest, member.size)


def look_inside_wheel(filename: str, file: BinaryIO, limits: Limits) -> bytes:
    """Check a wheel, and return its METADATA. Raises Refused, or what zipfile raises."""
    archive = Archive(file, limits)
    infos = sorted(name for name in archive.tops() if name.endswith(".dist-info"))
    if len(infos) != 1:
        raise Refused(f"a wheel has one .dist-info directory (PEP 427), and this has {len(infos)}")
    if not is_named_after(infos[0], filename):
        raise Refused(f"its directory {shown(infos[0])} is another release's (PEP 427)")
    for wanted, most in (("METADATA", MAX_METADATA_SIZE), ("WHEEL", MAX_METADATA_SIZE), ("RECORD", MAX_RECORD_SIZE)):
        member = archive.files.get(f"{infos[0]}/{wanted}")
        # By this very name, as installers look it up.
        if member is None or member.text != f"{infos[0]}/{wanted}":
            raise Refused(f"it has no {wanted} in {infos[0]} (PEP 427). Build it again")
        if member.size > most:
            raise Refused(f"its {wanted} is larger than {most} bytes")
    listing = archive.files[f"{infos[0]}/RECORD"]
    # Its checksum first: otherwise a corrupt upload would be reported as a wheel that was built wrongly.
    archive.layout.verify(listing)
    record = WheelRecord(infos[0], archive.layout.content(listing))
    record.check_paths(set(archive.files))
    archive.check_contents(record)
    return archive.layout.read(archive.files[f"{infos[0]}/METADATA"], MAX_METADATA_SIZE)


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
    archive = Archive(file, limits)
    found = [member for member in archive.files.values() if is_pkg_info(member.text)]
    check_layout(archive.tops(), len(found))
    archive.check_contents()
    return archive.layout.read(found[0], MAX_METADATA_SIZE)
