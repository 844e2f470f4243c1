"""Wheels that can be installed, with whatever their metadata is to say."""

from support.archives import wheel


def installable(name: str, version: str, *fields: str) -> bytes:
    """Make a wheel of one module that knows its version. fields: further lines of its metadata."""
    more = "".join(f"{field}\n" for field in fields)
    return wheel(name, version, more, files={f"{name}.py": f"VERSION = {version!r}\n"})
