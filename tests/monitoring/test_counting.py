"""What is counted in the lines of the access log and of the audit log."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ansible_templates
from support.apache import SITE
from support.monitoring import access_line, audit_line
from wheelhouse.audit.entry import EVENTS, AuditEntry
from wheelhouse.distributions.reserved import RESERVED
from wheelhouse.errors import RequestError
from wheelhouse_monitoring import access_log, audit_log
from wheelhouse_monitoring.counters import Counters
from wheelhouse_monitoring.definitions import REASONS

UPLOAD = "POST / HTTP/1.1"


def counted(counters: Counters) -> dict[str, int]:
    """Return the counters that are not 0."""
    return {
        f"{name.removeprefix('wheelhouse_').removesuffix('_total')} {label}".strip(): value
        for name, _, values in counters.items()
        for label, value in values.items()
        if value
    }


def requests(*lines: bytes) -> dict[str, int]:
    """Return what is counted in lines of the access log."""
    counters = Counters()
    for line in lines:
        access_log.count(line.rstrip(b"\n"), counters)
    return counted(counters)


def changes(*lines: bytes) -> dict[str, int]:
    """Return what is counted in lines of the audit log."""
    counters = Counters()
    for line in lines:
        audit_log.count(line.rstrip(b"\n"), counters)
    return counted(counters)


@pytest.mark.parametrize(("status", "group"), [(101, "1xx"), (200, "2xx"), (304, "3xx"), (404, "4xx"), (503, "5xx")])
def test_requests_by_status(status: int, group: str) -> None:
    """Requests are counted by the class of their status."""
    assert requests(access_line(status), access_line(status, user="alice")) == {f"http_requests {group}": 2}


@pytest.mark.parametrize("user", ["alice", '""', "a b", r"\"", "[22/Nov/2026:01:02:03 +0000]", r"x\" 200 1 1 \"y"])
def test_wrong_logins(user: str) -> None:
    """A 401 with a user name is a wrong login, whatever the name."""
    assert requests(access_line(401, user=user)) == {"http_requests 4xx": 1, "authentication_failures wrong": 1}


def test_missing_logins() -> None:
    """Clients that first try without a login are counted separately."""
    assert requests(access_line(401)) == {"http_requests 4xx": 1, "authentication_failures missing": 1}


@pytest.mark.parametrize(("status", "reason"), REASONS.items())
@pytest.mark.parametrize(
    "request_line", [UPLOAD, "POST /legacy/ HTTP/2.0", "POST /legacy HTTP/1.1", "POST /?a=b HTTP/1.1"]
)
def test_rejections_by_reason(status: int, reason: str, request_line: str) -> None:
    """Rejected uploads and removals are counted by their status."""
    assert requests(access_line(status, request_line, "bob"))[f"rejections {reason}"] == 1


def test_other_rejections() -> None:
    """An unexpected status has a label as well; other requests are no uploads."""
    assert requests(access_line(418, UPLOAD))["rejections other"] == 1
    for line in (access_line(200, UPLOAD), access_line(405, "POST /simple/ HTTP/1.1"), access_line(404)):
        assert not [name for name in requests(line) if name.startswith("rejections")]


def test_every_status_of_the_application_has_a_reason() -> None:
    """A new error class needs a label."""
    statuses, classes = set(), [RequestError]
    while classes:
        found = classes.pop()
        statuses.add(found.status)
        classes += found.__subclasses__()
    assert statuses <= REASONS.keys()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0" * 100,
        b"garbage",
        access_line()[:-20],
        access_line(request='GET /" 200 1 1 "'),
        access_line(status=999),
        access_line() + b"x",
        b"x" * (1 << 16),
    ],
    ids=range(8),
)
def test_invalid_lines_are_counted(line: bytes) -> None:
    """A truncated or hostile line is counted as such, and nothing else is."""
    assert requests(line) == {"log_lines_invalid access": 1}


@pytest.mark.parametrize("character", ["[", '\\"', "\\\\", " ", "- ", "[22/Nov/2026:01:02:03 +0000] "])
def test_hostile_lines_are_fast(character: str) -> None:
    """The time for a line of maximum length is linear in its length."""
    begin = time.process_time()
    for line in (access_line(401, user=character * 20_000), access_line(request=character * 20_000)):
        access_log.count(line.rstrip(b"\n") + b"x", Counters())
    assert time.process_time() - begin < 0.5


@given(st.binary(max_size=300))
def test_any_line_is_counted_once(line: bytes) -> None:
    """No line raises an error."""
    found = requests(line.replace(b"\n", b""))
    assert found.get("log_lines_invalid access", 0) + sum(n for name, n in found.items() if "http_" in name) == 1
    changes(line)


def test_format_is_that_of_the_site() -> None:
    """The pattern was written for this LogFormat."""
    (found,) = re.findall(r"^LogFormat (.*)$", ansible_templates.render(SITE), re.MULTILINE)
    assert found == r'"%a - %<u %t \"%r\" %>s %O %D \"%{User-Agent}i\"" pypi'


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("upload", {"uploads stored": 1}),
        ("same", {"uploads identical": 1}),
        ("removed", {"removals": 1}),
        ("undone", {"undone_changes": 1}),
        ("refused", {}),
        ("opened", {}),
        ("unknown", {}),
    ],
)
def test_changes_by_event(event: str, expected: dict) -> None:
    """Uploads, removals and undone changes are counted; rejections are counted in the access log."""
    assert changes(audit_line(event)) == expected
    assert changes(audit_line(event, None)) == expected


def test_counted_events_exist() -> None:
    """The events are those of the application."""
    assert audit_log.EVENTS.keys() <= EVENTS


def test_entries_of_the_application_are_counted() -> None:
    """The log's own format is read."""
    entry = AuditEntry.following(None, {"event": "upload", "user": "bob", "address": "::1", "project": "acme"})
    assert changes(entry.raw) == {"uploads stored": 1}


def test_reserved_projects_are_not_counted() -> None:
    """playbooks/verify.yml publishes nothing: after it, an empty index was not emptied."""
    assert audit_log.RESERVED == RESERVED
    assert changes(audit_line("upload", f"{RESERVED}abc"), audit_line("removed", f"{RESERVED}abc")) == {}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b"{}",
        b"\xff",
        b'{"event":"upload"',
        b'{"event":["upload"]}',
        b'{"event":"upload","project":7}',
        b"[" * 60_000,
        audit_line("upload")[:-10],
    ],
    ids=range(11),
)
def test_invalid_entries_are_counted(line: bytes) -> None:
    """A truncated or invalid entry is counted as such."""
    assert changes(line) == {"log_lines_invalid audit": 1}
