"""Checks zip archives: wheels (PEP 427) and old sdists."""

import stat
from typing import BinaryIO

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelhouse.config import Limits
from wheelhouse.distributions.archives.limits import UnpackLimits, size_of
from wheelhouse.distributions.archives.members import Members, check_sdist_layout
from wheelhouse.distributions.archives.wheel_record import MAX_RECORD_SIZE, WheelRecord
from wheelhouse.distributions.archives.zip_layout import Member, ZipLayout
from wheelhouse.distributions.core_metadata import MAX_METADATA_SIZE, is_pkg_info
from wheelhouse.distributions.filenames import parse_filename
from wheelhouse.errors import RequestError, short_repr

# Bytes. The content of a symbolic link is its target.
MAX_TARGET_SIZE = 4096


class Archive:
    """A zip archive whose headers are consistent and whose members stay inside it. files: by normalised path."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        """Check everything except the contents. Raises RequestError, BadZipFile."""
        self.layout = ZipLayout(file, limits)
        self.files: dict[str, Member] = {}
        self.directories: list[Member] = []
        self._members = Members()
        unpacked = UnpackLimits(size_of(file), limits)
        for member in self.layout.members:
            # The declared size, which decompress_member enforces.
            unpacked.count_member()
            unpacked.count_bytes(member.size)
            self._add(member)
        self._members.check()
        self.layout.check_contiguous()

    def _add(self, member: Member) -> None:
        name, kind = member.text, stat.S_IFMT(member.attributes >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            raise RequestError(f"its member {short_repr(name)} is not a file, directory or link")
        is_directory = name.endswith("/")
        if is_directory != (kind == stat.S_IFDIR) and kind != 0:
            raise RequestError(f"its member {short_repr(name)} is a directory by its name or its mode, and not by both")
        if is_directory and member.size:
            raise RequestError(f"its member {short_repr(name)} is a directory with content")
        if kind == stat.S_IFLNK:
            target = self.layout.read(member, MAX_TARGET_SIZE).decode(errors="surrogateescape")
            path = self._members.add_symlink(name, target)
        else:
            path = self._members.add(name, is_directory)
        if is_directory:
            self.directories.append(member)
        else:
            self.files[path] = member

    def top_level(self) -> set[str]:
        """Return the names at the archive's root."""
        return self._members.top_level()

    def check_contents(self, record: WheelRecord | None = None) -> None:
        """Decompress every member once, in chunks, and compare checksums, sizes, and the hashes of RECORD.

        Raises RequestError, BadZipFile.
        """
        for member in self.directories:
            self.layout.verify(member)
        for path, member in self.files.items():
            digest = record.hash_for(path) if record else None
            for chunk in self.layout.content(member):
                if digest is not None:
                    digest.update(chunk)
            if record:
                record.check(path, digest, member.size)


def check_wheel(filename: str, file: BinaryIO, limits: Limits) -> bytes:
    """Check a wheel, and return its METADATA. Raises RequestError, ARCHIVE_ERRORS, OSError."""
    archive = Archive(file, limits)
    infos = sorted(name for name in archive.top_level() if name.endswith(".dist-info"))
    if len(infos) != 1:
        raise RequestError(f"a wheel has one .dist-info directory (PEP 427), and this has {len(infos)}")
    if not is_named_after(infos[0], filename):
        raise RequestError(f"its directory {short_repr(infos[0])} is another release's (PEP 427)")
    for name, max_size in (("METADATA", MAX_METADATA_SIZE), ("WHEEL", MAX_METADATA_SIZE), ("RECORD", MAX_RECORD_SIZE)):
        member = archive.files.get(f"{infos[0]}/{name}")
        # Installers look it up by this exact name.
        if member is None or member.text != f"{infos[0]}/{name}":
            raise RequestError(f"it has no {name} in {infos[0]} (PEP 427). Build it again")
        if member.size > max_size:
            raise RequestError(f"its {name} is larger than {max_size} bytes")
    record_member = archive.files[f"{infos[0]}/RECORD"]
    # Verify its checksum first: otherwise a corrupt upload would be reported as a wheel that was built incorrectly.
    archive.layout.verify(record_member)
    record = WheelRecord(infos[0], archive.layout.content(record_member))
    record.check_paths(set(archive.files))
    archive.check_contents(record)
    return archive.layout.read(archive.files[f"{infos[0]}/METADATA"], MAX_METADATA_SIZE)


def is_named_after(directory: str, filename: str) -> bool:
    """Return whether <name>-<version>.dist-info is that of the release in the filename."""
    name, _, version = directory.removesuffix(".dist-info").rpartition("-")
    try:
        # Hyphens of the version are escaped as underscores (PEP 427, "Escaping").
        return (canonicalize_name(name), Version(version.replace("_", "-"))) == parse_filename(filename)
    except InvalidVersion:
        return False


def check_sdist(file: BinaryIO, limits: Limits) -> bytes:
    """Check an sdist, and return its PKG-INFO. Raises RequestError, ARCHIVE_ERRORS, OSError."""
    archive = Archive(file, limits)
    found = [member for member in archive.files.values() if is_pkg_info(member.text)]
    check_sdist_layout(archive.top_level(), len(found))
    archive.check_contents()
    return archive.layout.read(found[0], MAX_METADATA_SIZE)
