#!/usr/bin/env python3
"""Build a wheel (PEP 427) of one module with a constant VERSION, without a build tool or network access.

Usage: make_wheel.py PROJECT VERSION DIRECTORY
"""

import base64
import hashlib
import sys
import zipfile
from pathlib import Path


def record_line(name: str, text: str) -> str:
    """Return a line of RECORD: path, urlsafe base64 of the SHA-256 without padding, size in bytes."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(text.encode())}\n"


def make_wheel(project: str, version: str, directory: Path) -> Path:
    """Write <project>-<version>-py3-none-any.whl into a directory and return its path."""
    module = project.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    files = {
        f"{module}.py": f'VERSION = "{version}"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: wheelhouse\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(record_line(*item) for item in files.items()) + f"{info}/RECORD,,\n"
    wheel = directory / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


if __name__ == "__main__":
    make_wheel(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
