"""Preflight checks of sizes and numbers."""

import pytest
from support import ansible_templates, load, short

problems = load("roles/pypi/filter_plugins/limits.py").limit_problems

WHERE = "Change it in inventory/group_vars/pypi_servers/settings.yml"

# Settings, and texts in the message: the setting, the fault, the correction.
WRONG = [
    ({"pypi_max_upload_size": "1GB"}, ["pypi_max_upload_size", "'1GB'", "such as 300M"]),
    ({"pypi_max_upload_size": "0"}, ["pypi_max_upload_size", "not a valid size"]),
    ({"pypi_max_upload_size": ""}, ["pypi_max_upload_size", "not a valid size"]),
    ({"pypi_max_upload_size": "-1"}, ["pypi_max_upload_size", "not a valid size"]),
    ({"pypi_max_upload_size": "1.5G"}, ["pypi_max_upload_size", "not a valid size"]),
    ({"pypi_max_total_size": "500 G"}, ["pypi_max_total_size", "'500 G'", "500G", "leave it empty"]),
    ({"pypi_max_total_size": "0"}, ["pypi_max_total_size", "'0'", "leave it empty"]),
    ({"pypi_max_total_size": "unlimited"}, ["pypi_max_total_size", "leave it empty"]),
    ({"pypi_min_free_space": ""}, ["pypi_min_free_space", "''", "512M, or 0"]),
    ({"pypi_min_free_space": "5%"}, ["pypi_min_free_space", "'5%'"]),
    ({"pypi_min_free_space": "512m"}, ["pypi_min_free_space", "'512m'"]),
    ({"pypi_max_unpacked_size": "0"}, ["pypi_max_unpacked_size", "'0'", "such as 10G"]),
    ({"pypi_max_unpacked_size": ""}, ["pypi_max_unpacked_size", "''"]),
    ({"pypi_max_unpacked_size": "10G\n"}, ["pypi_max_unpacked_size", "not a valid size"]),
    ({"pypi_timeout": 0}, ["pypi_timeout must be at least 1 second (got 0)", WHERE]),
    ({"pypi_timeout": "-1"}, ["pypi_timeout must be at least 1 second (got -1)"]),
    ({"pypi_upload_min_rate": "0"}, ["pypi_upload_min_rate", "'0'", "such as 16K"]),
    ({"pypi_upload_min_rate": "16KB"}, ["pypi_upload_min_rate", "'16KB'", "such as 16K"]),
    ({"pypi_max_application_memory": ""}, ["pypi_max_application_memory", "''", "such as 1G"]),
    ({"pypi_max_application_memory": "50%"}, ["pypi_max_application_memory", "'50%'", "such as 1G"]),
    ({"pypi_max_application_memory": "infinity"}, ["pypi_max_application_memory", "'infinity'"]),
    ({"pypi_max_uploads": 1001}, ["pypi_max_uploads: 1001", "from 1 to 1000", WHERE]),
    ({"pypi_max_uploads": 0}, ["pypi_max_uploads: 0", "from 1 to 1000", WHERE]),
    ({"pypi_max_uploads": "-3"}, ["pypi_max_uploads: -3", "from 1 to 1000", WHERE]),
    ({"pypi_max_uploads": 63}, ["pypi_max_uploads_per_client: 64", "from 1 to 63", "at most pypi_max_uploads", WHERE]),
    ({"pypi_max_uploads_per_client": 0}, ["pypi_max_uploads_per_client: 0", "from 1 to 128", WHERE]),
    ({"pypi_max_uploads_per_client": "129"}, ["pypi_max_uploads_per_client: 129", "from 1 to 128", WHERE]),
    ({"pypi_upload_deadline": 60}, ["pypi_upload_deadline: 60", "at least 61", "more than pypi_timeout", WHERE]),
    ({"pypi_upload_deadline": "0"}, ["pypi_upload_deadline: 0", "at least 61", WHERE]),
    ({"pypi_timeout": 7200}, ["pypi_upload_deadline: 7200", "at least 7201", "more than pypi_timeout", WHERE]),
    ({"pypi_tls_days": 398}, ["pypi_tls_days: 398", "from 2 to 397", "clients reject more than 398 days", WHERE]),
    ({"pypi_tls_days": "820"}, ["pypi_tls_days: 820", "from 2 to 397", WHERE]),
    ({"pypi_tls_days": 0}, ["pypi_tls_days: 0", "from 2 to 397", WHERE]),
    ({"pypi_tls_days": 90}, ["pypi_tls_renew_days: 90", "from 1 to 89", "less than pypi_tls_days", WHERE]),
    ({"pypi_tls_renew_days": "365"}, ["pypi_tls_renew_days: 365", "from 1 to 364", WHERE]),
    ({"pypi_tls_renew_days": 0}, ["pypi_tls_renew_days: 0", "from 1 to 364", WHERE]),
    ({"pypi_kept_releases": 0}, ["pypi_kept_releases: 0", "from 1 to 100", "rollbacks need the previous", WHERE]),
    ({"pypi_kept_releases": "101"}, ["pypi_kept_releases: 101", "from 1 to 100", WHERE]),
    ({"pypi_max_members": 0}, ["pypi_max_members must be at least 1 file (got 0)", WHERE]),
    ({"pypi_max_members": "-5"}, ["pypi_max_members", "at least 1", "(got -5)"]),
    ({"pypi_max_unpacked_ratio": 0}, ["pypi_max_unpacked_ratio must be at least 1 times the size"]),
    ({"pypi_audit_months": 0}, ["pypi_audit_months must be at least 1 month"]),
    ({"pypi_max_failed_logins": 0}, ["pypi_max_failed_logins must be at least 1 wrong password"]),
]

RIGHT = [
    {},
    {"pypi_timeout": 1, "pypi_upload_deadline": 2},
    {"pypi_timeout": "120", "pypi_upload_deadline": "121"},
    {"pypi_upload_min_rate": "1"},
    {"pypi_upload_min_rate": "2M", "pypi_max_application_memory": "300M"},
    {"pypi_max_uploads": 1, "pypi_max_uploads_per_client": 1},
    {"pypi_max_uploads": "1000", "pypi_max_uploads_per_client": "1000"},
    {"pypi_tls_days": 397, "pypi_tls_renew_days": 396},
    {"pypi_tls_days": "2", "pypi_tls_renew_days": "1"},
    # The kit issues no certificate in these cases.
    {"pypi_tls": "provided", "pypi_tls_days": 820},
    {"pypi_tls": "none", "pypi_tls_days": 0, "pypi_tls_renew_days": 900},
    {"pypi_max_upload_size": "300M"},
    {"pypi_max_upload_size": "1048576"},
    {"pypi_max_total_size": ""},
    {"pypi_max_total_size": "2T"},
    {"pypi_min_free_space": "0"},
    {"pypi_min_free_space": "100K"},
    {"pypi_max_unpacked_size": "1"},
    {"pypi_max_members": 1, "pypi_max_unpacked_ratio": "1", "pypi_audit_months": 1},
    {"pypi_max_failed_logins": 1},
    {"pypi_kept_releases": 1},
    {"pypi_kept_releases": "100"},
]


@pytest.mark.parametrize(("given", "expected"), WRONG, ids=short)
def test_rejects_invalid_limits(given: dict, expected: list[str]) -> None:
    """The message names the setting, the value, and what is allowed."""
    (problem,) = problems(ansible_templates.settings(**given))
    assert [part for part in expected if part not in problem] == []


@pytest.mark.parametrize("given", RIGHT, ids=short)
def test_accepts_valid_limits(given: dict) -> None:
    """Valid limits are not reported, and settings.json can be rendered with them."""
    assert problems(ansible_templates.settings(**given)) == []
    assert ansible_templates.render("templates/etc/pypi/settings.json.j2", **given)
