"""Build small distributions to upload."""

import base64
import csv
import gzip
import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Mapping

from wheelhouse.distributions.filenames import parse_filename
from wheelhouse.errors import RequestError

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def zipped(members: Mapping[str, str | bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Build a zip archive with reproducible bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return buffer.getvalue()


def tarred(members: Mapping[str, str | bytes | tarfile.TarInfo]) -> bytes:
    """Build a gzipped tar archive with reproducible bytes. A TarInfo as content is written as a header only."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                archive.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            content = content.encode() if isinstance(content, str) else content
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def with_entry(archive: bytes, member: str, offset: int, value: bytes) -> bytes:
    """Change a field of a member in a zip's central directory. offset: into its entry (APPNOTE, section 4.3.12)."""
    entries = [found.start() for found in re.finditer(b"PK\\x01\\x02", archive)]
    (entry,) = (at for at in entries if archive[at + 46 :].startswith(member.encode()))
    return archive[: entry + offset] + value + archive[entry + offset + len(value) :]


def escaped(name: str) -> str:
    """Escape a project's name as in file names (PEP 427)."""
    return re.sub(r"[-_.]+", "_", name)


def record_line(name: str, content: str | bytes) -> str:
    """Return a line of RECORD (PEP 376, 427): path, urlsafe base64 of the SHA-256 without padding, size in bytes."""
    content = content.encode() if isinstance(content, str) else content
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow((name, f"sha256={digest}", len(content)))
    return buffer.getvalue()


def wheel_members(
    name: str = "foo", version: str = "1.0", more: str = "", files: Mapping[str, str | bytes] | None = None
) -> dict[str, str | bytes]:
    """Return the members of a wheel. more: additional metadata lines; files: to use in place of its one module."""
    info = f"{escaped(name)}-{version}.dist-info"
    members = dict(files or {f"{escaped(name)}.py": "answer = 42\n"})
    members |= {f"{info}/METADATA": METADATA.format(name=name, version=version) + more, f"{info}/WHEEL": WHEEL}
    return recorded(members, info)


def recorded(members: Mapping[str, str | bytes], info: str = "foo-1.0.dist-info") -> dict[str, str | bytes]:
    """Return members of a wheel with a RECORD of all files. info: the name of its .dist-info directory."""
    record = f"{info}/RECORD"
    files = {name: content for name, content in members.items() if not name.endswith("/") and name != record}
    lines = [record_line(*item) for item in files.items()]
    return dict(members) | {record: "".join(lines) + f"{record},,\n"}


def wheel(
    name: str = "foo",
    version: str = "1.0",
    more: str = "",
    files: Mapping[str, str | bytes] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """Build a wheel with metadata and one module."""
    return zipped(wheel_members(name, version, more, files), compression)


def sdist_members(name: str = "foo", version: str = "1.0", more: str = "") -> dict[str, str | bytes]:
    """Return the members of an sdist."""
    return {f"{escaped(name)}-{version}/PKG-INFO": METADATA.format(name=name, version=version) + more}


def sdist(name: str = "foo", version: str = "1.0", more: str = "") -> bytes:
    """Build an sdist with metadata."""
    return tarred(sdist_members(name, version, more))


def fitting(filename: str, more: str = "") -> bytes:
    """Build an archive whose type and release match a file name; a wheel of foo if the name is invalid."""
    try:
        name, version = parse_filename(filename)
    except RequestError:
        name, version = "foo", "1.0"
    if filename.endswith(".tar.gz"):
        return sdist(name, str(version), more)
    if filename.endswith(".zip"):
        return zipped(sdist_members(name, str(version), more))
    return wheel(name, str(version), more)
