"""A package that poetry builds."""


def where() -> str:
    """Say which package this is."""
    return "acme-barrel"
