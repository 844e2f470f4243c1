"""A package that flit builds."""


def where() -> str:
    """Say which package this is."""
    return "acme-crate"
