"""The health check reports problems with backups, and stays healthy."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from support.web import Index
from wheelhouse.web.backups import Backups

NOW = datetime.now(UTC).replace(microsecond=0)
DONE = {"result": "ok"}


def hours_ago(hours: float) -> str:
    """Return a time before now as the status file has it."""
    return (NOW - timedelta(hours=hours)).isoformat()


def write(index: Index, **changed: object) -> None:
    """Write the status file of an index whose backups and checks succeed, with changes."""
    status = {
        "max_age_hours": 48,
        "check_max_age_hours": 336,
        "since": hours_ago(1000),
        "backup": DONE | {"succeeded": hours_ago(1)},
        "check": DONE | {"succeeded": hours_ago(1)},
    }
    path = index.home / "backup/status.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(status | changed))


def test_reports_nothing_without_backups(index: Index) -> None:
    """Without a status file, there are no backups to report on."""
    assert index.request("GET", "/-/health").body == "Ok"


PROBLEMS = [
    ({}, None),
    ({"check": {}, "since": hours_ago(335)}, None),
    ({"check": {}, "since": hours_ago(337)}, "the last check of the repository is too old"),
    ({"check": DONE | {"succeeded": hours_ago(335)}}, None),
    ({"check": DONE | {"succeeded": hours_ago(337)}}, "the last check of the repository is too old"),
    ({"check": DONE | {"succeeded": hours_ago(337)}, "check_max_age_hours": 338}, None),
    ({"backup": {}, "since": hours_ago(47)}, "none yet"),
    ({"backup": {}, "since": hours_ago(49)}, "the newest one is too old"),
    ({"backup": DONE | {"succeeded": hours_ago(49)}}, "the newest one is too old"),
    ({"backup": DONE | {"succeeded": hours_ago(49)}, "max_age_hours": 50}, None),
    ({"backup": {"result": "failed", "succeeded": hours_ago(1)}}, "the last one failed"),
    ({"backup": {"result": "failed"}, "since": hours_ago(1)}, "the last one failed"),
    ({"check": {"result": "failed", "succeeded": hours_ago(1)}}, "the last check of the repository failed"),
    ({"backup": None}, "their status cannot be read"),
    ({"since": "yesterday", "backup": {}}, "their status cannot be read"),
]


@pytest.mark.parametrize(("changed", "problem"), PROBLEMS, ids=str)
def test_finds_problem(index: Index, changed: dict, problem: str | None) -> None:
    """A failed, missing or outdated backup or check is a problem; each is expected within its maximum age."""
    write(index, **changed)
    assert Backups(index.home / "backup/status.json").problem(NOW) == problem


@pytest.mark.parametrize(("method", "body"), [("GET", "Ok\nbackups: the last one failed\n"), ("HEAD", "")])
def test_problem_is_only_a_detail(index: Index, method: str, body: str) -> None:
    """The status stays 200, so that no load balancer removes the index."""
    write(index, backup={"result": "failed", "reason": "secret details"})
    answer = index.request(method, "/-/health")
    assert (answer.code, answer.body) == (200, body)
    assert answer.headers.get("Content-Length", str(len(body))) in (str(len(body)), "2")
    assert index.request("GET", "/-/health/uploads").body == "ready\n"


def test_corrupt_status_is_reported(index: Index) -> None:
    """An unreadable status does not count as a good one."""
    write(index)
    (index.home / "backup/status.json").write_text("{")
    assert index.request("GET", "/-/health").body == "Ok\nbackups: their status cannot be read\n"


def test_changes_are_logged_once(index: Index, capsys: pytest.CaptureFixture) -> None:
    """The journal has a line when a problem appears and when it is gone."""
    write(index, backup={"result": "failed"})
    for _ in range(2):
        index.request("GET", "/-/health")
    assert capsys.readouterr().err.splitlines() == ["wheelhouse: backups: the last one failed"]
    write(index)
    index.request("GET", "/-/health")
    assert capsys.readouterr().err.splitlines() == ["wheelhouse: backups: no problem any more"]
