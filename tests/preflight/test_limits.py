"""Sizes and numbers: what the preflight refuses, and what it lets through."""

import pytest
from support import kit, load, short

problems = load("roles/pypi/filter_plugins/limits.py").limit_problems

# What is given, and what the message must say: which setting, what is wrong, what to write.
WRONG = [
    ({"pypi_max_upload_size": "1GB"}, ["pypi_max_upload_size", "'1GB'", "such as 300M"]),
    ({"pypi_max_upload_size": "0"}, ["pypi_max_upload_size", "no size"]),
    ({"pypi_max_upload_size": ""}, ["pypi_max_upload_size", "no size"]),
    ({"pypi_max_upload_size": "-1"}, ["pypi_max_upload_size", "no size"]),
    ({"pypi_max_upload_size": "1.5G"}, ["pypi_max_upload_size", "no size"]),
    ({"pypi_max_total_size": "500 G"}, ["pypi_max_total_size", "'500 G'", "500G", "leave it empty"]),
    ({"pypi_max_total_size": "0"}, ["pypi_max_total_size", "'0'", "leave it empty"]),
    ({"pypi_max_total_size": "unlimited"}, ["pypi_max_total_size", "leave it empty"]),
    ({"pypi_min_free_space": ""}, ["pypi_min_free_space", "''", "512M, or 0"]),
    ({"pypi_min_free_space": "5%"}, ["pypi_min_free_space", "'5%'"]),
    ({"pypi_min_free_space": "512m"}, ["pypi_min_free_space", "'512m'"]),
    ({"pypi_max_unpacked_size": "0"}, ["pypi_max_unpacked_size", "'0'", "such as 10G"]),
    ({"pypi_max_unpacked_size": ""}, ["pypi_max_unpacked_size", "''"]),
    ({"pypi_max_unpacked_size": "10G\n"}, ["pypi_max_unpacked_size", "no size"]),
    ({"pypi_max_members": 0}, ["pypi_max_members", "0 files", "from 1 on"]),
    ({"pypi_max_members": "-5"}, ["pypi_max_members", "-5 files", "from 1 on"]),
    ({"pypi_max_unpacked_ratio": 0}, ["pypi_max_unpacked_ratio", "from 1 on"]),
    ({"pypi_audit_months": 0}, ["pypi_audit_months", "0 months", "from 1 on"]),
    ({"pypi_max_failed_logins": 0}, ["pypi_max_failed_logins", "0 wrong passwords", "from 1 on"]),
]

RIGHT = [
    {},
    {"pypi_max_upload_size": "300M"},
    {"pypi_max_upload_size": "1048576"},
    {"pypi_max_total_size": ""},
    {"pypi_max_total_size": "2T"},
    {"pypi_min_free_space": "0"},
    {"pypi_min_free_space": "100K"},
    {"pypi_max_unpacked_size": "1"},
    {"pypi_max_members": 1, "pypi_max_unpacked_ratio": "1", "pypi_audit_months": 1},
    {"pypi_max_failed_logins": 1},
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=short)
def test_refused(given: dict, said: list[str]) -> None:
    """One look at the message is enough to mend the setting: it says which, why, and what to write."""
    (problem,) = problems(kit.settings(**given))
    assert [words for words in said if words not in problem] == []


@pytest.mark.parametrize("given", RIGHT, ids=short)
def test_accepted(given: dict) -> None:
    """A check that refuses what would work is worse than none; and what it accepts, the application is told."""
    assert problems(kit.settings(**given)) == []
    assert kit.render("templates/etc/pypi/settings.json.j2", **given)
