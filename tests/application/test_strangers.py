"""Requests that have come by another way than Apache's password check."""

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
        {"AUTH_TYPE": "Basic"},
        {"HTTP_REMOTE_USER": "alice", "HTTP_AUTH_TYPE": "Basic"},
        {"HTTP_AUTHORIZATION": "Basic YWxpY2U6eA==", "AUTH_TYPE": "Basic"},
        {"HTTP_AUTHORIZATION": "Basic YWxpY2U6eA==", "HTTP_REMOTE_USER": "alice", "HTTP_X_REMOTE_USER": "alice"},
    ],
    ids=short,
)
@pytest.mark.parametrize("path", ["/", "/legacy/", "/simple/", "/RPC2", "/packages/foo-1.0.tar.gz", "/elsewhere"])
def test_refused(index: Index, path: str, variables: dict[str, str]) -> None:
    """Nobody is believed whom Apache has not signed in, whatever is asked, and whatever its headers say."""
    for answer in (index.post(FORM, None, path, **variables), index.request("GET", path, **variables)):
        assert answer.code == 401
        assert "Sign in" in answer.body
        assert {name.lower(): value for name, value in answer.headers.items()}["www-authenticate"].startswith("Basic ")
    assert index.stored() == {}
    assert index.events() == ["denied", "denied"]


def test_nothing_is_read_of_it(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is not signed in does not get the parser to work."""
    monkeypatch.setattr("wheelhouse.entrance.read_form", None)
    assert index.post(FORM, None).code == 401


def test_health(index: Index) -> None:
    """It is for whoever watches the server."""
    assert index.request("GET", "/-/health").code == 200
    assert index.request("POST", "/-/health").code == 405


def test_signed_in(index: Index) -> None:
    """The other way round: Apache's word is enough."""
    assert index.post(FORM, None, REMOTE_USER="alice", AUTH_TYPE="Basic").code == 200
