"""Distributions to upload, made on the spot: a few hundred bytes each."""

import gzip
import io
import tarfile
import zipfile

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def zipped(members: dict[str, str], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Make a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name), text, compression)
    return buffer.getvalue()


def tarred(members: dict[str, str]) -> bytes:
    """Make a gzipped tar archive, the same bytes each time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(buffer.getvalue(), mtime=0)


def wheel(name: str = "foo", version: str = "1.0", more: str = "") -> bytes:
    """Make a wheel with metadata and one module. more: further lines of metadata."""
    metadata = METADATA.format(name=name, version=version) + more
    return zipped({f"{name}.py": "answer = 42\n", f"{name}-{version}.dist-info/METADATA": metadata})


def sdist(name: str = "foo", version: str = "1.0") -> bytes:
    """Make an sdist with metadata."""
    return tarred({f"{name}-{version}/PKG-INFO": METADATA.format(name=name, version=version)})


def fitting(filename: str) -> bytes:
    """Make an archive of the kind that a file name promises; the wheel's if it promises none."""
    if filename.endswith(".tar.gz"):
        return sdist()
    return zipped({"foo-1.0/PKG-INFO": METADATA}) if filename.endswith(".zip") else wheel()
