"""Preflight checks of types, choices and keys: at least as strict as Ansible's own, with one line per problem."""

from pathlib import Path

import pytest
from support import ansible_templates, control, load, preflight, short

problems = load("roles/pypi/filter_plugins/setting_types.py").type_problems

USER = {"name": "alice"}
RIGHT = {"users": ["alice"], "may": ["upload"], "projects": ["*"]}

# Settings, and texts in the message: the place, the value, the allowed values.
WRONG = [
    ({"pypi_tls": "letsencrypt"}, ["pypi_tls must be one of", "(got 'letsencrypt')", "self_signed, provided, none"]),
    ({"pypi_access": "both"}, ["pypi_access must be", "(got 'both')", "all, any"]),
    ({"pypi_upstream": "proxy"}, ["pypi_upstream must be", "(got 'proxy')", "none, redirect"]),
    ({"pypi_https_port": "https"}, ["pypi_https_port must be", "(got 'https')", "whole number"]),
    ({"pypi_timeout": 1.5}, ["pypi_timeout must be", "(got 1.5)", "whole number"]),
    ({"pypi_timeout": True}, ["pypi_timeout must be", "(got True)", "whole number"]),
    ({"pypi_timeout": [60]}, ["pypi_timeout must be", "whole number"]),
    ({"pypi_bcrypt_cost": 3}, ["pypi_bcrypt_cost must be", "(got 3)", "4, 5, 6"]),
    ({"pypi_bcrypt_cost": "21"}, ["pypi_bcrypt_cost must be", "(got '21')", "4, 5, 6"]),
    ({"pypi_data_is_mount": "perhaps"}, ["pypi_data_is_mount must be", "(got 'perhaps')", "true or false"]),
    ({"pypi_data_is_mount": []}, ["pypi_data_is_mount must be", "true or false"]),
    ({"pypi_users": [{"password": "canary"}]}, ["pypi_users, entry 1", "'name' is missing"]),
    (
        {"pypi_users": [USER, USER | {"passwd": "canary"}]},
        ["pypi_users, entry 2", "'passwd'", "Did you mean password?"],
    ),
    ({"pypi_users": [USER | {"zzz": "canary"}]}, ["pypi_users, entry 1", "'zzz'", "name, password, password_hash"]),
    ({"pypi_users": ["alice"]}, ["pypi_users, entry 1", "keys and values"]),
    ({"pypi_users": USER}, ["pypi_users must be a list", "(got dict)"]),
    (
        {"pypi_users": [USER | {"state": "gone"}]},
        ["pypi_users, entry 1, state must be", "(got 'gone')", "present, absent"],
    ),
    ({"pypi_users": [USER | {"password": 1234567}]}, ["pypi_users, entry 1, password", "text in quotes"]),
    ({"pypi_users": [USER | {"expires": None}]}, ["pypi_users, entry 1, expires", "has no value"]),
    (
        {"pypi_rights": [RIGHT | {"may": ["yank"]}]},
        ["pypi_rights, entry 1, may, entry 1 must be", "(got 'yank')", "upload, remove"],
    ),
    ({"pypi_rights": [{"users": ["alice"], "projects": ["*"]}]}, ["pypi_rights, entry 1", "'may' is missing"]),
    ({"pypi_yanked": [{"project": "foo", "version": "1.0", "because": "x"}]}, ["pypi_yanked, entry 1", "'because'"]),
    ({"pypi_yanked": [{"project": "foo"}]}, ["pypi_yanked, entry 1", "'version' is missing"]),
]

RIGHTS = [
    {"pypi_https_port": "8443", "pypi_timeout": 60, "pypi_bcrypt_cost": "12"},
    {"pypi_data_is_mount": "yes", "pypi_data_is_new": "false"},
    {"pypi_users": [USER | {"expires": "2027-01-01", "state": "absent", "groups": ["admins"]}]},
    {"pypi_rights": [RIGHT | {"may": ["upload", "remove"]}]},
    {"pypi_read": ["admins"]},
]


def found(**given: object) -> list[str]:
    """Return the problems of settings."""
    return problems(ansible_templates.settings(**given), ansible_templates.specs())


@pytest.mark.parametrize(("given", "expected"), WRONG, ids=short)
def test_rejects_invalid_values(given: dict, expected: list[str]) -> None:
    """The message contains the place, the value and the allowed values, but no secrets."""
    (line,) = found(**given)
    assert [part for part in expected if part not in line] == []
    assert "canary" not in line
    assert "1234567" not in line


@pytest.mark.parametrize("given", RIGHTS, ids=short)
def test_accepts_valid_values(given: dict) -> None:
    """Numbers and booleans may be text, as they are on the command line (-e)."""
    assert found(**given) == []


@pytest.mark.parametrize("given", [given for given, _ in WRONG] + RIGHTS, ids=short)
def test_is_at_least_as_strict_as_ansible(given: dict) -> None:
    """All settings that Ansible's validator rejects are rejected."""
    assert (
        found(**given) or not preflight.ansible_validator().validate(ansible_templates.settings(**given)).error_messages
    )


def test_run_prints_only_problems(tmp_path: Path) -> None:
    """Ansible's own check would print the complete specification."""
    settings = "pypi_tls: letsencrypt\npypi_timeout: soon\npypi_users: [{name: alice, passwd: canary}]\n"
    run = control.playbook(
        control.checks(tmp_path, "settings"), "-i", control.inventory(tmp_path / "inventory", settings)
    )
    _, _, message = run.output.partition("FAILED! =>")
    lines = [line for line in message.partition("PLAY RECAP")[0].splitlines() if line.strip()]
    assert run.code != 0
    assert "argument_spec" not in run.output
    assert "canary" not in run.output
    assert len(run.output.splitlines()) < 40, run.output
    assert sum(line.lstrip().startswith("- ") for line in lines) == 4, lines
