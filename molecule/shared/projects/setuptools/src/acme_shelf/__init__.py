"""A package that setuptools builds."""


def where() -> str:
    """Say which package this is."""
    return "acme-shelf"
