"""Wheels that can be installed, with whatever their metadata is to say."""

from support.archives import zipped


def installable(name: str, version: str, *fields: str) -> bytes:
    """Make a wheel of one module that knows its version. fields: further lines of its metadata."""
    info = f"{name}-{version}.dist-info"
    metadata = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *fields, ""])
    return zipped(
        {
            f"{name}.py": f"VERSION = {version!r}\n",
            f"{info}/METADATA": metadata,
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }
    )
