"""Wheels that can be installed, with any metadata."""

from support.archives import wheel


def installable(name: str, version: str, *fields: str) -> bytes:
    """Build a wheel of one module that contains its version. fields: additional metadata lines."""
    more = "".join(f"{field}\n" for field in fields)
    return wheel(name, version, more, files={f"{name}.py": f"VERSION = {version!r}\n"})
