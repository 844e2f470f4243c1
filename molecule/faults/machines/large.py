"""Create a wheel of any size on a client container with constant memory.

Runs with the standard library only. Usage: large.py PATH SIZE (bytes in one member). Prints its SHA-256 in hexadecimal.
"""

import base64
import hashlib
import random
import sys
import zipfile
from pathlib import Path

BLOCK = 1 << 20


def record_line(name, content, size):
    """Return a line of RECORD. content: a hashlib object (SHA-256); size in bytes."""
    return f"{name},sha256={base64.urlsafe_b64encode(content.digest()).rstrip(b'=').decode()},{size}\n"


def main(path, size):
    """Create the wheel."""
    project, version, *_tags = path.name.split("-")
    info = f"{project}-{version}.dist-info"
    block = random.Random(path.name).randbytes(BLOCK)
    texts = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        content = hashlib.sha256()
        with archive.open(f"{project}.dat", "w", force_zip64=True) as member:
            for _ in range(size // BLOCK):
                member.write(block)
                content.update(block)
        record = record_line(f"{project}.dat", content, size // BLOCK * BLOCK)
        for name, text in texts.items():
            archive.writestr(name, text)
            record += record_line(name, hashlib.sha256(text.encode()), len(text))
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    with path.open("rb") as file:
        print(hashlib.file_digest(file, "sha256").hexdigest())


main(Path(sys.argv[1]), int(sys.argv[2]))
