"""Misspelt settings: Ansible itself ignores them in silence."""

import pytest
from support import kit, load

problems = load("roles/pypi/filter_plugins/spelling.py").spelling_problems


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pypi_allowed_network", "Is pypi_allowed_networks meant?"),
        ("pypi_tls_privat_key", "Is pypi_tls_private_key meant?"),
        ("pypi_uesrs", "Is pypi_users meant?"),
        ("pypi_zzzzzzzzzz", "roles/pypi/defaults/main.yml lists all of them"),
    ],
)
def test_refused(name: str, said: str) -> None:
    """An access rule that nobody reads leaves the door open, so the right name is offered."""
    (problem,) = problems([*kit.default_names(), name], kit.default_names(), [])
    assert problem.startswith(f"{name}: ")
    assert said in problem
    assert "pypi_other_variables" in problem


def test_accepted() -> None:
    """The kit's own names, and those that are declared as somebody else's."""
    assert problems([*kit.default_names(), "pypi_mirror"], kit.default_names(), ["pypi_mirror"]) == []
