"""A package that hatchling builds."""


def where() -> str:
    """Say which package this is."""
    return "acme-basket"
