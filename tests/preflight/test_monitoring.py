"""Preflight checks of monitoring: the user of the canary, intervals and networks."""

import pytest
from support import ansible_templates, load
from support.preflight import problems

check = load("roles/pypi/filter_plugins/monitoring.py").monitoring_problems

CANARY = {"name": "canary"}
ON = {"pypi_monitoring": True}
RIGHT = {"may": ["upload"], "projects": ["*"]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"pypi_users": []}, ["'canary' is not in pypi_users", "- name: canary"]),
        ({"pypi_users": [CANARY | {"state": "absent"}]}, ["not in pypi_users"]),
        ({"pypi_users": [CANARY], "pypi_canary_user": "other"}, ["'other' is not in pypi_users"]),
        ({"pypi_users": [CANARY | {"password_hash": "$2y$12$x"}]}, ["password_hash", "Write password"]),
        ({"pypi_users": [CANARY | {"expires": "2020-01-01"}]}, ["has expired (2020-01-01)"]),
        (
            {"pypi_users": [CANARY], "pypi_rights": [RIGHT | {"users": ["bob"]}, RIGHT | {"users": ["canary"]}]},
            ["may upload (pypi_rights, entry 2)", "without rights"],
        ),
        (
            {"pypi_users": [CANARY | {"groups": ["a"]}], "pypi_rights": [RIGHT | {"groups": ["a"]}]},
            ["may upload (pypi_rights, entry 1)"],
        ),
    ],
    ids=str,
)
def test_rejects_unsuitable_user(given: dict, expected: list[str]) -> None:
    """The canary needs a password that is stored on the server, and no right."""
    settings = ansible_templates.settings() | ON | {"pypi_rights": []} | given
    (problem,) = check(settings)
    assert problem.startswith("pypi_canary_user: ")
    assert problem.endswith("(inventory/group_vars/pypi_servers/users.yml).")
    for text in expected:
        assert text in problem
    assert check(settings | {"pypi_monitoring": False}) == []


@pytest.mark.parametrize(
    "user",
    [{}, {"password": "x"}, {"groups": ["readers"]}, {"expires": "2999-01-01"}, {"expires": "soon"}],
    ids=str,
)
def test_accepts_suitable_user(user: dict) -> None:
    """A generated or given password; groups without rights. Invalid dates are problems of pypi_users."""
    assert check(ansible_templates.settings() | ON | {"pypi_users": [CANARY | user]}) == []


@pytest.mark.parametrize("value", ["true", "yes", True])
def test_accepts_booleans_of_the_command_line(value: object) -> None:
    """On the command line (-e), booleans are text."""
    assert check(ansible_templates.settings() | {"pypi_monitoring": value, "pypi_users": []})
    assert not check(ansible_templates.settings() | {"pypi_monitoring": "false", "pypi_users": []})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"pypi_monitoring": True}, "pypi_canary_user: the user 'canary' is not in pypi_users"),
        ({"pypi_monitoring": "maybe"}, "pypi_monitoring must be true or false"),
        ({"pypi_metrics_networks": ["10.0.0.1/8"]}, "pypi_metrics_networks: 10.0.0.1/8 has host bits set"),
        ({"pypi_metrics_networks": "10.0.0.0/8"}, "pypi_metrics_networks must be a list"),
        ({"pypi_metrics_interval": 9}, "pypi_metrics_interval: 9 is outside its range: from 10 to 300 (seconds)"),
        ({"pypi_metrics_interval": "301"}, "pypi_metrics_interval: 301 is outside"),
        ({"pypi_canary_interval": 59}, "pypi_canary_interval: 59 is outside its range: from 60 to 3600 (seconds)"),
        ({"pypi_canary_interval": "1h"}, "pypi_canary_interval must be a whole number"),
    ],
    ids=str,
)
def test_role_rejects_invalid_settings(given: dict, expected: str) -> None:
    """The role reports each problem in one line."""
    (problem,) = problems(**ansible_templates.sample() | given)
    assert problem.startswith(expected)


def test_role_accepts_monitoring() -> None:
    """With a user for the canary, the shipped inventory is valid."""
    sample = ansible_templates.sample()
    given = ON | {"pypi_users": [*sample["pypi_users"], CANARY], "pypi_metrics_networks": ["203.0.113.9"]}
    assert problems(**sample | given) == []
