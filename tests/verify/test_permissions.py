"""Whether playbooks/verify.yml can do its work as the user that the settings name; told before it begins."""

from datetime import UTC, datetime, timedelta

import pytest
from support import ROOT, ansible_templates, load
from wheelhouse.distributions.reserved import RESERVED

problems = load("roles/verify/filter_plugins/permissions.py").permission_problems

READERS = {"pypi_users": [{"name": "verify", "groups": ["readers"]}, {"name": "alice", "groups": ["admins"]}]}
RIGHT = {"users": ["verify"], "may": ["upload", "remove"], "projects": ["wheelhouse-verify-*"]}
TODAY = datetime.now(UTC).date()


def found(**changed: object) -> list[str]:
    """Return what is wrong with the settings of a user who may do what verify needs, and what is changed of them."""
    return problems(ansible_templates.settings(**READERS | {"pypi_rights": [RIGHT]} | changed))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"pypi_read": "anyone"},
        {"pypi_read": ["readers"]},
        {"pypi_read": ["admins", "readers"]},
        # Inside the networks nobody needs a login; whether this machine is there, only the server can tell.
        {"pypi_read": ["admins"], "pypi_access": "any", "pypi_allowed_networks": ["10.0.0.0/8"]},
        {"pypi_rights": [RIGHT | {"users": [], "groups": ["readers"]}]},
        {"pypi_rights": [RIGHT | {"may": ["upload"]}, RIGHT | {"may": ["remove"]}]},
        {"pypi_users": [{"name": "verify", "expires": str(TODAY + timedelta(1))}]},
        ansible_templates.sample(),
    ],
    ids=str,
)
def test_fine(changed: dict) -> None:
    """Who may read, and publish and remove wheelhouse-verify-*, can verify."""
    assert found(**changed) == []


@pytest.mark.parametrize(
    ("changed", "said"),
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
def test_refused(changed: dict, said: list[str]) -> None:
    """Each in a sentence that says what to change, and where."""
    (problem,) = found(**changed)
    assert problem.startswith("pypi_verify_user: ")
    assert [words for words in said if words not in problem] == []


def test_the_role_asks() -> None:
    """A check that nobody calls finds nothing."""
    settings = READERS | {"pypi_rights": [RIGHT], "pypi_read": ["admins"]}
    said = ansible_templates.evaluate(
        ansible_templates.trust_as_template("{{ __verify_permission_problems }}"), **settings
    )
    assert len(said) == 1
    assert "is not allowed to read" in said[0]


@pytest.mark.parametrize(
    ("settings", "authority"),
    [
        ({}, "/controller/inventory/ca/pypi.example.com.crt"),
        ({"pypi_tls": "provided", "pypi_tls_ca": "/c/ca.pem"}, "/c/ca.pem"),
        ({"pypi_tls": "provided"}, None),
        ({"pypi_tls": "none", "pypi_tls_ca": "/c/ca.pem"}, None),
    ],
    ids=str,
)
def test_trust(settings: dict, authority: str | None) -> None:
    """Both twine and pip trust the authority that signed the certificate, where the settings say which."""
    found = ansible_templates.evaluate(ansible_templates.trust_as_template("{{ __verify_ca_environment }}"), **settings)
    assert found == ({"REQUESTS_CA_BUNDLE": authority} if authority else {})


def test_the_reserved_names_are_the_same_everywhere() -> None:
    """The application forgets them, the site does not redirect them, the role makes them, the user may have them."""
    pattern = load("roles/verify/filter_plugins/permissions.py").RESERVED
    assert f"{RESERVED}*" == pattern
    assert (
        ansible_templates.read_yaml("roles/apache/vars/main.yml")["__apache_private_names"].count(f"'{pattern}'") == 1
    )
    assert RESERVED in (ROOT / "roles/verify/tasks/prepare.yml").read_text(encoding="utf-8")
    assert [
        right["projects"] for right in ansible_templates.sample()["pypi_rights"] if right.get("users") == ["verify"]
    ] == [[pattern]]
