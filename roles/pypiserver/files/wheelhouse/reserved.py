"""Names for tests of a live index, as playbooks/verify.yml makes them.

Nothing of such a project outlives its files, or each test would leave an entry behind: no tombstone, no owner, no name
that was ever used. The site never redirects these names to another index.
"""

RESERVED = "wheelhouse-verify-"


def is_reserved(project: str) -> bool:
    """Return whether a project's name, normalised (PEP 503), is one for tests."""
    return project.startswith(RESERVED)
