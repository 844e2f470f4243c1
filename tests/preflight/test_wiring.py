"""The preflight as the role runs it: all checks on the settings of an inventory."""

from pathlib import Path

import pytest
from support import ansible_templates, preflight
from support.preflight import problems


@pytest.mark.parametrize(
    "given",
    [ansible_templates.sample(), {"pypi_read": "anyone"}],
    ids=["the shipped inventory", "the defaults, for anyone"],
)
def test_accepts_shipped_settings(given: dict) -> None:
    """The shipped inventory and the defaults are valid."""
    assert problems(**given) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"pypi_allowed_network": []}, "Did you mean pypi_allowed_networks?"),
        ({"pypi_server_name": "no_name"}, "pypi_server_name"),
        ({"pypi_rights": [{"users": ["zoe"], "may": ["upload"], "projects": ["*"]}]}, "the user 'zoe'"),
        ({"pypi_private_names": ["Acme_*"]}, "pypi_private_names"),
        ({"pypi_max_total_size": "much"}, "pypi_max_total_size"),
        ({"pypi_backup_repository": "backup"}, "pypi_backup_repository"),
        ({"pypi_backup_max_age": 0}, "pypi_backup_max_age must be at least 1 hour (got 0)"),
        ({"pypi_backup_check_max_age": 0}, "pypi_backup_check_max_age must be at least 1 hour (got 0)"),
        ({"pypi_backup_retention": {"dayly": 3}}, "Did you mean daily?"),
        ({"pypi_tls": "provided"}, "must be the path of a PEM file"),
        ({"pypi_tls": "provided", "pypi_tls_certificate": "/nowhere/a.crt"}, "/nowhere/a.crt is missing"),
        ({"pypi_public_ca_file": "/nowhere/a.crt"}, "/nowhere/a.crt is missing"),
    ],
    ids=str,
)
def test_runs_every_check(given: dict, expected: str) -> None:
    """The role runs each filter."""
    found = problems(**ansible_templates.sample() | given)
    assert [line for line in found if expected in line]


@pytest.mark.parametrize("day", ["2026-12-31", "'2026-12-31'"])
def test_accepts_dates_with_and_without_quotes(tmp_path: Path, day: str) -> None:
    """YAML parses an unquoted date as a date; the role passes both on as text."""
    file = tmp_path / "users.yml"
    file.write_text(f"pypi_users: [{{name: ci, expires: {day}}}]\npypi_rights: []\n")
    given = ansible_templates.read_yaml(file)
    assert problems(**ansible_templates.sample() | given) == []
    (user,) = ansible_templates.evaluate(ansible_templates.trust_as_template("{{ __accounts_present }}"), **given)
    assert str(user["expires"]) == "2026-12-31"


def test_ignores_certificate_if_self_signed() -> None:
    """By default, the server creates its own certificate."""
    assert problems(**ansible_templates.sample() | {"pypi_tls_certificate": "/nowhere/a.crt"}) == []


def test_tag_accounts_ignores_ca_files() -> None:
    """Files for the role tls are checked only if it is applied."""
    wrong = {"pypi_tls": "provided", "pypi_tls_ca": "/nowhere/ca.pem", "pypi_public_ca_file": "/nowhere/public.pem"}
    found = {tag: problems(**ansible_templates.sample() | wrong, ansible_run_tags=[tag]) for tag in ("tls", "accounts")}
    assert len([line for line in found["tls"] if "/nowhere/" in line]) == 2
    assert [line for line in found["accounts"] if "/nowhere/" in line] == []


def test_warns_of_other_variables() -> None:
    """An unknown variable does not fail the run."""
    mine = ansible_templates.sample() | {"pypi_mirror": "x"}
    assert problems(**mine) == []
    (warning,) = preflight.found("__pypi_warnings", **mine)
    assert warning.startswith("pypi_mirror is not a setting")
    assert preflight.found("__pypi_warnings", **ansible_templates.sample()) == []


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({"pypi_users": [{"name": 2024}], "pypi_rights": []}, "pypi_users"),
        ({"pypi_users": [{"name": "alice", "password": 12345678}], "pypi_rights": []}, "pypi_users"),
        ({"pypi_users": [{"name": "alice", "password": None}], "pypi_rights": []}, "pypi_users"),
        ({"pypi_users": [{"name": "alice", "groups": None}], "pypi_rights": []}, "pypi_users"),
        ({"pypi_users": [{"name": "alice", "groups": "admins"}], "pypi_rights": []}, "pypi_users"),
        ({"pypi_rights": [{"users": "alice", "may": ["upload"], "projects": ["*"]}]}, "pypi_rights"),
        ({"pypi_rights": [{"users": ["alice"], "may": "upload", "projects": ["*"]}]}, "pypi_rights"),
        ({"pypi_rights": [{"users": ["alice"], "may": ["upload"], "projects": "acme"}]}, "pypi_rights"),
        ({"pypi_rights": [{"users": None, "groups": ["admins"], "may": ["upload"], "projects": ["*"]}]}, "pypi_rights"),
        ({"pypi_allowed_networks": "10.0.0.0/8"}, "pypi_allowed_networks"),
        ({"pypi_private_names": "acme-*"}, "pypi_private_names"),
        ({"pypi_users": [{"name": "alice", "expires": None}], "pypi_rights": []}, "pypi_users"),
        ({"pypi_yanked": [{"project": "foo", "version": 1.0}]}, "pypi_yanked"),
        ({"pypi_yanked": [{"project": "foo", "version": "1.0", "reason": None}]}, "pypi_yanked"),
        ({"pypi_max_upload_size": 1048576}, "pypi_max_upload_size"),
        ({"pypi_min_free_space": 0}, "pypi_min_free_space"),
        ({"pypi_max_total_size": None}, "pypi_max_total_size"),
    ],
    ids=str,
)
def test_rejects_wrong_types(given: dict, setting: str) -> None:
    """Missing quotes or brackets are reported in one line with the setting."""
    (problem,) = problems(**ansible_templates.sample() | given)
    assert setting in problem
