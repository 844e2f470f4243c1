"""What the standard library raises for corrupt and unsupported archives."""

import lzma
import struct
import tarfile
import zipfile
import zlib

ARCHIVE_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(ValueError, OverflowError, RuntimeError, NotImplementedError),
)
