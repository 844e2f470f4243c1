"""Requests without an authenticated user: the front Apache sends the user in X-Forwarded-User."""

import pytest
from support import short
from support.archives import sdist
from support.web import Index, upload_form

FORM = upload_form("foo-1.0.tar.gz", sdist())


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"REMOTE_USER": ""},
        {"REMOTE_USER": "alice"},
        {"REMOTE_USER": "alice", "AUTH_TYPE": ""},
        {"REMOTE_USER": "alice", "AUTH_TYPE": "Digest"},
        {"REMOTE_USER": "", "AUTH_TYPE": "Basic"},
        {"REMOTE_USER": "alice", "AUTH_TYPE": "Basic"},
        {"REMOTE_USER": "alice", "AUTH_TYPE": "Basic", "HTTP_X_FORWARDED_USER": ""},
        {"HTTP_X_FORWARDED_FOR": "alice", "HTTP_X_FORWARDED_USERNAME": "alice"},
        {"AUTH_TYPE": "Basic"},
        {"HTTP_REMOTE_USER": "alice", "HTTP_AUTH_TYPE": "Basic"},
        {"HTTP_AUTHORIZATION": "Basic YWxpY2U6eA==", "AUTH_TYPE": "Basic"},
        {"HTTP_AUTHORIZATION": "Basic YWxpY2U6eA==", "HTTP_REMOTE_USER": "alice", "HTTP_X_REMOTE_USER": "alice"},
    ],
    ids=short,
)
@pytest.mark.parametrize("path", ["/", "/legacy/", "/simple/", "/RPC2", "/packages/foo-1.0.tar.gz", "/elsewhere"])
def test_rejects_requests_without_a_user(index: Index, path: str, variables: dict[str, str]) -> None:
    """No other variable or header names the user, for any path and method."""
    for answer in (index.post(FORM, None, path, **variables), index.request("GET", path, **variables)):
        assert answer.code == 401
        assert "Log in" in answer.body
        assert {name.lower(): value for name, value in answer.headers.items()}["www-authenticate"].startswith("Basic ")
    assert index.stored() == {}
    assert index.events() == ["denied", "denied"]


def test_unauthenticated_bodies_are_not_read(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies of unauthenticated requests are not parsed."""
    monkeypatch.setattr("wheelhouse.web.upload.read_form", None)
    assert index.post(FORM, None).code == 401


def test_health_needs_no_user(index: Index) -> None:
    """Monitors check health without a login."""
    assert index.request("GET", "/-/health").code == 200
    assert index.request("POST", "/-/health").code == 405


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"REMOTE_USER": "bob", "AUTH_TYPE": "Basic"},
        {"HTTP_AUTHORIZATION": "Basic Ym9iOng="},  # bob:x
        {"HTTP_AUTHORIZATION": "Bearer x"},
    ],
    ids=short,
)
def test_takes_the_user_from_the_front(index: Index, variables: dict[str, str]) -> None:
    """X-Forwarded-User is sufficient, and no other header replaces it."""
    form = upload_form("bar-1.0.tar.gz", sdist("bar"))
    assert index.post(form, "alice", **variables).code == 200
    assert [line["user"] for line in index.audit()] == ["alice"]
