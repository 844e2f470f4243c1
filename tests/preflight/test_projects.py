"""Preflight checks of project names and versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from support import ansible_templates, load, short

problems = load("roles/pypi/filter_plugins/projects.py").project_problems

FILE = "inventory/group_vars/pypi_servers/users.yml"


def right(*patterns: str) -> dict:
    """Return settings with one right."""
    return {"pypi_rights": [{"users": ["alice"], "may": ["upload"], "projects": list(patterns)}]}


def private(*patterns: str) -> dict:
    """Return settings with private names."""
    return {"pypi_private_names": list(patterns)}


def yanked(project: str = "foo", version: str = "1.0") -> dict:
    """Return settings with a yanked release."""
    return {"pypi_yanked": [{"project": project, "version": version, "reason": "broken"}]}


# Settings, and texts in the message: the place, the fault, the correction.
WRONG = [
    (right("Acme_*"), ["pypi_rights, entry 1", "'Acme_*' is not normalized", "Write 'acme-*'", FILE]),
    (right("acme.core"), ["entry 1", "Write 'acme-core'"]),
    (right("acme/*"), ["entry 1", "'acme/*' is not a valid pattern"]),
    (right("[a-z]*"), ["entry 1", "not a valid pattern"]),
    (right(""), ["entry 1", "not a valid pattern"]),
    (right("acme-"), ["entry 1", "'acme-' is not a valid pattern"]),
    (private("Acme_*"), ["pypi_private_names", "'Acme_*' is not normalized", "Write 'acme-*'"]),
    (private("acme-*", "Acme.Core"), ["pypi_private_names", "'Acme.Core' is not normalized", "Write 'acme-core'"]),
    (private("acme/*"), ["pypi_private_names", "'acme/*' is not a valid pattern"]),
    (private("(acme|b)"), ["pypi_private_names", "not a valid pattern"]),
    (private("acme$"), ["pypi_private_names", "not a valid pattern"]),
    (private("acme "), ["pypi_private_names", "not a valid pattern"]),
    (private(""), ["pypi_private_names", "not a valid pattern"]),
    (yanked(project="foo/bar"), ["pypi_yanked, entry 1", "'foo/bar'", "not a valid project name"]),
    (yanked(project=""), ["pypi_yanked, entry 1", "not a valid project name"]),
    (yanked(project="-foo"), ["pypi_yanked, entry 1", "not a valid project name"]),
    (yanked(project="foo\n"), ["pypi_yanked, entry 1", "not a valid project name"]),
    (yanked(version="one"), ["pypi_yanked, entry 1", "'one' is not a valid version", "'1.0.2'"]),
    (yanked(version="1.*"), ["pypi_yanked, entry 1", "not a valid version"]),
    (yanked(version=""), ["pypi_yanked, entry 1", "not a valid version"]),
    (yanked(version=">=1.0"), ["pypi_yanked, entry 1", "not a valid version"]),
    (
        {"pypi_yanked": [{"project": "Foo.Bar", "version": "1.0"}, {"project": "foo-bar", "version": "v1.0.0"}]},
        ["pypi_yanked, foo-bar 1", "twice", "Remove one"],
    ),
]

RIGHT = [
    {},
    right("acme-*", "foo", "*-tests", "a?c", "*"),
    private("acme-*", "foo", "*-internal", "a?c"),
    yanked(),
    yanked(project="Foo.Bar_baz", version="v1.0-rc.1"),
    yanked(version="1!2.0.post1.dev3+local.7"),
    {"pypi_yanked": [{"project": "foo", "version": "1.0"}, {"project": "foo", "version": "1.0.1"}]},
    {"pypi_yanked": [{"project": "foo", "version": "1.0"}, {"project": "bar", "version": "1.0"}]},
]


@pytest.mark.parametrize(("given", "expected"), WRONG, ids=short)
def test_rejects_invalid_settings(given: dict, expected: list[str]) -> None:
    """The message contains the place, the fault and a correction."""
    found = problems(ansible_templates.settings(**given))
    assert len(found) == 1, found
    assert [part for part in expected if part not in found[0]] == []


@pytest.mark.parametrize("given", RIGHT, ids=short)
def test_accepts_valid_settings(given: dict) -> None:
    """Valid settings are not reported."""
    assert problems(ansible_templates.settings(**given)) == []


@given(st.text(max_size=12) | st.from_regex(r"[A-Za-z0-9.*?_-]{1,9}", fullmatch=True))
def test_accepted_patterns_are_safe(pattern: str) -> None:
    """A pattern is converted to a regular expression for Apache and compared with normalized names."""
    if not problems(kit_settings | private(pattern)):
        assert set(pattern) <= set("abcdefghijklmnopqrstuvwxyz0123456789-*?")
        assert canonicalize_name(pattern) == pattern


kit_settings = ansible_templates.settings()
