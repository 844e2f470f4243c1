"""Responses that are sent before the end of a body."""

import os
from pathlib import Path

import pytest
from support.archives import fitting
from support.web import BOUNDARY, Index, multipart, upload_form
from wheelhouse.web import early_responses
from wheelhouse.web.early_responses import EarlyResponses

HEADERS = [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", "5")]


@pytest.fixture
def responses(tmp_path: Path) -> EarlyResponses:
    """Return an empty directory of early responses."""
    return EarlyResponses(tmp_path)


def test_writes_the_format_of_mod_asis(responses: EarlyResponses, tmp_path: Path) -> None:
    """Status and headers, an empty line, the body; only Apache's group can read it."""
    responses.write("Zx-9_@a", "403 bob is not allowed to upload foo", HEADERS, b"bob may not\n")
    (path,) = tmp_path.iterdir()
    assert path.name == "Zx-9_@a.asis"
    assert path.read_bytes() == (
        b"Status: 403 bob is not allowed to upload foo\nContent-Type: text/plain; charset=utf-8\nRetry-After: 5\n\n"
        b"bob may not\n"
    )
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("request_id", ["", "../x", "a/b", "a.b", "x" * 65, "a\nb", "%2e"])
def test_ignores_invalid_request_ids(responses: EarlyResponses, tmp_path: Path, request_id: str) -> None:
    """The ID becomes a file name, so only the alphabet of mod_unique_id is accepted."""
    responses.write(request_id, "403 no", HEADERS, b"no\n")
    assert list(tmp_path.iterdir()) == []


def test_removes_old_responses(responses: EarlyResponses, tmp_path: Path) -> None:
    """Old responses are deleted."""
    responses.write("old", "403 no", HEADERS, b"no\n")
    os.utime(tmp_path / "old.asis", (1, 1))
    responses.write("new", "403 no", HEADERS, b"no\n")
    assert [path.name for path in tmp_path.iterdir()] == ["new.asis"]


def test_number_of_responses_is_bounded(
    responses: EarlyResponses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many rejected uploads do not fill the memory of the directory."""
    monkeypatch.setattr(early_responses, "MAX_FILES", 3)
    for number in range(10):
        responses.write(str(number), "403 no", HEADERS, b"no\n")
    assert len(list(tmp_path.iterdir())) == 3


def rejected_early(index: Index, **environ: str) -> list[str]:
    """Send an upload without the right to its project, and return the names of the responses written for it."""
    body = multipart(upload_form("other-1.0.tar.gz", fitting("other-1.0.tar.gz") + bytes(1 << 20)))
    kind = {"CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}"}
    assert index.request("POST", "/", "bob", body, **kind | environ).code == 403
    return [path.name for path in (index.home / "responses").iterdir()]


def test_application_writes_a_response_for_a_body_read_in_part(index: Index) -> None:
    """The front would lose the application's own response."""
    assert rejected_early(index, HTTP_X_REQUEST_ID="abc") == ["abc.asis"]
    assert "bob is not allowed to upload other" in (index.home / "responses/abc.asis").read_text()


def test_no_response_is_written_without_a_request_id(index: Index) -> None:
    """Without a request ID, the front cannot find a response."""
    assert rejected_early(index) == []


def test_no_response_is_written_for_a_whole_body(index: Index) -> None:
    """If the whole body was read, the response is sent directly."""
    content = fitting("other-1.0.tar.gz")
    body = multipart(upload_form("other-1.0.tar.gz", content))
    kind = {"CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}", "HTTP_X_REQUEST_ID": "abc"}
    assert index.request("POST", "/", "bob", body, **kind).code == 403
    assert list((index.home / "responses").iterdir()) == []


def test_missing_directory_does_not_change_the_response(index: Index) -> None:
    """The client then gets an error without the reason."""
    (index.home / "responses").rmdir()
    body = multipart(upload_form("other-1.0.tar.gz", bytes(1 << 20)))
    kind = {"CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}", "HTTP_X_REQUEST_ID": "abc"}
    assert index.request("POST", "/", "bob", body, **kind).code == 403
