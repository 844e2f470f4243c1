"""Project names for tests of a live index, such as playbooks/verify.yml.

Nothing of such a project outlives its files, so that tests leave no trace: no tombstone, no owner, no used name. The
site never redirects these names to another index.
"""

RESERVED = "wheelhouse-verify-"


def is_reserved(project: str) -> bool:
    """Return whether the normalized name (PEP 503) of a project is reserved for tests."""
    return project.startswith(RESERVED)
