"""playbooks/verify.yml checks in advance whether its user has the needed rights."""

from datetime import UTC, datetime, timedelta

import pytest
from support import ROOT, ansible_templates, load
from wheelhouse.distributions.reserved import RESERVED

problems = load("roles/verify/filter_plugins/permissions.py").permission_problems

READERS = {"pypi_users": [{"name": "verify", "groups": ["readers"]}, {"name": "alice", "groups": ["admins"]}]}
RIGHT = {"users": ["verify"], "may": ["upload", "remove"], "projects": ["wheelhouse-verify-*"]}
TODAY = datetime.now(UTC).date()


def found(**changed: object) -> list[str]:
    """Return the problems of settings in which a user has the needed rights, with some overrides."""
    return problems(ansible_templates.settings(**READERS | {"pypi_rights": [RIGHT]} | changed))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"pypi_read": "anyone"},
        {"pypi_read": ["readers"]},
        {"pypi_read": ["admins", "readers"]},
        # In allowed networks no login is needed; whether this machine is in one is unknown here.
        {"pypi_read": ["admins"], "pypi_access": "any", "pypi_allowed_networks": ["10.0.0.0/8"]},
        {"pypi_rights": [RIGHT | {"users": [], "groups": ["readers"]}]},
        {"pypi_rights": [RIGHT | {"may": ["upload"]}, RIGHT | {"may": ["remove"]}]},
        {"pypi_users": [{"name": "verify", "expires": str(TODAY + timedelta(1))}]},
        ansible_templates.sample(),
    ],
    ids=str,
)
def test_accepts_user_with_rights(changed: dict) -> None:
    """The user may read, and upload and remove wheelhouse-verify-*."""
    assert found(**changed) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"pypi_read": ["admins"]},
            ["verify is not allowed to read", "pypi_read: [admins]", "Add the user to one of the groups"],
        ),
        (
            {"pypi_read": ["admins"], "pypi_allowed_networks": ["10.0.0.0/8"]},
            ["verify is not allowed to read", "pypi_read: [admins]"],
        ),
        (
            {"pypi_rights": []},
            ["verify is not allowed to upload and remove wheelhouse-verify-*", "pypi_rights", "users: [verify]"],
        ),
        ({"pypi_rights": [RIGHT | {"may": ["upload"]}]}, ["verify is not allowed to remove wheelhouse-verify-*"]),
        ({"pypi_rights": [RIGHT | {"projects": ["wheelhouse-*-x"]}]}, ["verify is not allowed to upload and remove"]),
        (
            {"pypi_rights": [RIGHT | {"projects": ["*"]}]},
            ["verify is allowed to upload other projects", "pypi_verify_user"],
        ),
        ({"pypi_users": [{"name": "verify", "expires": str(TODAY)}]}, ["verify has expired", str(TODAY), "expires"]),
        ({"pypi_users": [{"name": "verify", "expires": TODAY}]}, ["verify has expired"]),
        ({"pypi_users": [{"name": "verify", "state": "absent"}]}, ["the user verify is not in pypi_users"]),
        ({"pypi_verify_user": "nobody"}, ["the user nobody is not in pypi_users", "wheelhouse-verify-*"]),
    ],
    ids=str,
)
def test_rejects_user_without_rights(changed: dict, expected: list[str]) -> None:
    """The message contains the change and its place."""
    (problem,) = found(**changed)
    assert problem.startswith("pypi_verify_user: ")
    assert [part for part in expected if part not in problem] == []


def test_role_runs_the_check() -> None:
    """The role evaluates the filter."""
    settings = READERS | {"pypi_rights": [RIGHT], "pypi_read": ["admins"]}
    messages = ansible_templates.evaluate(
        ansible_templates.trust_as_template("{{ __verify_permission_problems }}"), **settings
    )
    assert len(messages) == 1
    assert "is not allowed to read" in messages[0]


@pytest.mark.parametrize(
    ("settings", "authority"),
    [
        ({}, "/control-node/inventory/ca/pypi.example.com.crt"),
        ({"pypi_tls": "provided", "pypi_tls_ca": "/c/ca.pem"}, "/c/ca.pem"),
        ({"pypi_tls": "provided"}, None),
        ({"pypi_tls": "none", "pypi_tls_ca": "/c/ca.pem"}, None),
    ],
    ids=str,
)
def test_clients_trust_configured_ca(settings: dict, authority: str | None) -> None:
    """pypi_tls_ca or the self-signed CA is set for twine and pip."""
    found = ansible_templates.evaluate(ansible_templates.trust_as_template("{{ __verify_ca_environment }}"), **settings)
    assert found == ({"REQUESTS_CA_BUNDLE": authority} if authority else {})


def test_reserved_names_agree() -> None:
    """Application, site, role and settings use the same prefix."""
    pattern = load("roles/verify/filter_plugins/permissions.py").RESERVED
    assert f"{RESERVED}*" == pattern
    assert (
        ansible_templates.read_yaml("roles/apache/vars/main.yml")["__apache_private_names"].count(f"'{pattern}'") == 1
    )
    assert RESERVED in (ROOT / "roles/verify/tasks/prepare.yml").read_text(encoding="utf-8")
    assert [
        right["projects"] for right in ansible_templates.sample()["pypi_rights"] if right.get("users") == ["verify"]
    ] == [[pattern]]
