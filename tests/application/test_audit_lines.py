"""Audit log entries of requests: user, address, action and outcome."""

import os
from pathlib import Path

import pytest
from support import short
from support.archives import fitting, sdist
from support.pages import sha256
from support.web import ADDRESS, Index, Part, upload_form
from wheelhouse.__main__ import main
from wheelhouse.audit.log import AuditLog

SDIST = "foo-1.0.tar.gz"
ABOUT = {
    "user": "alice",
    "address": ADDRESS,
    "project": "foo",
    "version": "1.0",
    "filename": SDIST,
    "size": len(fitting(SDIST)),
    "sha256": sha256(fitting(SDIST)),
}


def logged(index: Index) -> list[dict]:
    """Verify the log, and return its entries without times and hashes."""
    assert main(["--settings", str(index.settings), "audit", "verify"]) == 0
    return [{name: line[name] for name in line if name not in ("number", "time", "previous")} for line in index.audit()]


def test_logs_uploads(index: Index) -> None:
    """The entry has all known details of the file."""
    index.upload(SDIST)
    index.upload(SDIST)
    assert logged(index) == [ABOUT | {"event": "upload"}, ABOUT | {"event": "same"}]


def test_logs_removals(index: Index) -> None:
    """The log has an entry for each file of the release."""
    index.upload(SDIST)
    index.upload("foo-1.0-py3-none-any.whl")
    index.remove("Foo", "1.0.0")
    wheel = ABOUT | {"filename": "foo-1.0-py3-none-any.whl", "size": len(fitting("foo-1.0-py3-none-any.whl"))}
    wheel["sha256"] = sha256(fitting("foo-1.0-py3-none-any.whl"))
    assert logged(index)[2:] == [
        facts | {"event": event} for facts in (wheel, ABOUT) for event in ("tombstone", "removed")
    ]


def test_logs_new_owners(index: Index) -> None:
    """The first upload of a project also logs its owner."""
    index.start(new_projects="first_uploader")
    index.upload(SDIST)
    assert logged(index) == [ABOUT | {"event": "claimed"}, ABOUT | {"event": "upload"}]


@pytest.mark.parametrize(
    ("form", "user", "expected"),
    [
        (
            upload_form(SDIST, b"no archive"),
            "alice",
            {"event": "refused", "filename": SDIST, "size": 10},
        ),
        (upload_form(SDIST, sdist("bar")), "alice", {"event": "refused", "filename": SDIST, "project": "foo"}),
        (upload_form(SDIST, sdist(), sha256_digest="0" * 64), "alice", {"event": "refused", "size": len(sdist())}),
        (upload_form("foo.exe", b"x"), "alice", {"event": "refused", "filename": "foo.exe"}),
        (upload_form("bar-1.0.tar.gz", sdist("bar")), "bob", {"event": "denied", "project": "bar", "version": "1.0"}),
        ([Part(":action", b"doc_upload")], "alice", {"event": "refused"}),
        (
            upload_form(SDIST, sdist(), **{":action": "remove_pkg"}),
            "alice",
            {"event": "refused", "filename": SDIST},
        ),
        ([Part(":action", b"remove_pkg"), Part("name", b"bar"), Part("version", b"1")], "bob", {"event": "denied"}),
        ([Part(":action", b"remove_pkg"), Part("name", b"bar"), Part("version", b"1")], "alice", {"event": "refused"}),
        (upload_form(SDIST, sdist()), None, {"event": "denied", "user": ""}),
    ],
    ids=short,
)
def test_logs_rejections(index: Index, form: list[Part], user: str | None, expected: dict) -> None:
    """The entry has the reason that the client gets, and the details that were known by then."""
    answer = index.post(form, user)
    (line,) = logged(index)
    assert line.items() >= expected.items()
    assert line["user"] == (user or "")
    assert line["address"] == ADDRESS
    assert line["reason"] == answer.reason


def test_logs_conflicts(index: Index) -> None:
    """Conflicts with an existing file and with a tombstone are logged."""
    index.upload(SDIST)
    index.upload(SDIST, sdist(more="Summary: x\n"))
    index.remove("foo", "1.0")
    index.upload(SDIST, sdist(more="Summary: x\n"))
    reasons = [line["reason"] for line in logged(index) if line["event"] == "refused"]
    assert ["File already exists" in reasons[0], "existed" in reasons[1]] == [True, True]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET"])
def test_logs_every_rejection(index: Index, method: str) -> None:
    """Rejections by pypiserver are logged as well."""
    answer = index.request(method, "/nowhere/at/all", "alice")
    assert answer.code in (404, 405)
    assert index.events() == ["refused"]


def test_does_not_log_health_checks(index: Index) -> None:
    """Monitors must not fill the log."""
    index.request("GET", "/-/health")
    (index.data / ".wheelhouse").unlink()
    assert index.request("GET", "/-/health").code == 503
    assert index.upload().code == 503
    assert index.audit() == []


def test_rejects_even_if_the_log_cannot_be_written(
    index: Index, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The response is the same, and the error log has the entry."""

    def fail(*_arguments: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(AuditLog, "write", fail)
    assert index.upload("bar-1.0.tar.gz", user="bob").status == "403 bob is not allowed to upload bar"
    assert "a rejection is not in the audit log: bob is not allowed to upload bar" in capsys.readouterr().err


def test_writes_the_entry_before_the_action(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is written ahead: before a file appears or disappears, and before the response."""
    seen = []
    link, unlink = os.link, Path.unlink
    monkeypatch.setattr(os, "link", lambda *names: (seen.append(index.events()), link(*names)))
    index.upload(SDIST)
    assert seen == [["upload"]]

    def record_events(path: Path, **how: bool) -> None:
        if path.name == SDIST:
            seen.append(index.events())
        unlink(path, **how)

    monkeypatch.setattr(Path, "unlink", record_events)
    index.remove("foo", "1.0")
    assert seen[1:] == [["upload", "tombstone", "removed"]]


@pytest.mark.parametrize("user", ["bob\r\nx", 'b"ob', "b\xf6b", "x" * 5000], ids=short)
def test_unusual_user_names(index: Index, user: str) -> None:
    """User names are escaped and cannot add lines to the log."""
    assert index.upload(SDIST, user=user).code == 403
    assert len(logged(index)) == 1
