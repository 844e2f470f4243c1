"""Uploads through the whole application: access, accepted files, error messages."""

import json
import tempfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from support import short
from support.archives import fitting, sdist, wheel
from support.web import RIGHTS, Index, Part, upload_form

WHEEL = "foo-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    "filename", [WHEEL, "foo-1.0.tar.gz", "foo-1.0.zip", "Acme_Core-1.0-py3-none-any.whl", "acme.core-1.0.tar.gz"]
)
@pytest.mark.parametrize("user", ["alice", "bob"])
@pytest.mark.parametrize("path", ["/", "/legacy", "/legacy/"])
def test_publishes_files(index: Index, filename: str, user: str, path: str) -> None:
    """Authorized users can publish at each path that clients use, and the content is not changed."""
    answer = index.post(upload_form(filename, fitting(filename)), user, path)
    assert answer.status == "200 OK"
    assert index.stored() == {filename: fitting(filename)}


def test_writes_the_body_once(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload is written to the data disk only, and not to a /tmp in memory."""
    monkeypatch.setattr(tempfile, "tempdir", str(index.home / "nowhere"))
    assert index.upload(WHEEL, wheel(files={"foo.py": "#" * (1 << 20)})).code == 200


def test_rejects_unauthenticated_requests(index: Index) -> None:
    """Without a user from Apache, the response is 401 and asks for a login."""
    answer = index.upload(user=None)
    assert answer.code == 401
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert index.stored() == {}


@pytest.mark.parametrize(
    ("user", "filename", "reason"),
    [
        ("bob", "bar-1.0-py3-none-any.whl", "bob is not allowed to upload bar"),
        ("bob", "Foo.Bar-1.0.tar.gz", "bob is not allowed to upload foo-bar"),
        ("carol", WHEEL, "carol is not allowed to upload or remove anything here (pypi_rights)"),
        ("Alice", WHEEL, "Alice is not allowed to upload or remove anything here (pypi_rights)"),
    ],
)
def test_rejects_users_without_the_right(index: Index, user: str, filename: str, reason: str) -> None:
    """The reason is plain text in the status line, which twine shows, and in the body, which uv shows."""
    answer = index.upload(filename, user=user)
    assert answer.status == f"403 {reason}"
    assert answer.body == f"{reason}\n"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert index.stored() == {}


@pytest.mark.parametrize("claimed", ["foo", "acme-core"])
def test_project_is_the_files_not_the_forms(index: Index, claimed: str) -> None:
    """The name in the file name counts, not the name in the form: installers use the file."""
    form = upload_form("bar-1.0.tar.gz", sdist("bar"), name=claimed, version="1.0", filetype="sdist")
    assert index.post(form, "bob").status == "403 bob is not allowed to upload bar"
    assert "names acme-core" in index.post(upload_form("foo-1.0.tar.gz", sdist(), name="acme-core"), "bob").reason
    assert index.stored() == {}


@pytest.mark.parametrize(
    "header",
    [
        {"HTTP_AUTHORIZATION": "Basic YWxpY2U6eA=="},  # alice:x
        {"HTTP_REMOTE_USER": "alice"},
        {"HTTP_X_REMOTE_USER": "alice"},
        {"HTTP_X_FORWARDED_USERNAME": "alice"},
        {"HTTP_X_FORWARDED_PREFERRED_USERNAME": "alice"},
        {"HTTP_FORWARDED": "for=alice"},
        {"REMOTE_USER": "alice", "AUTH_TYPE": "Basic"},
    ],
    ids=short,
)
def test_ignores_users_in_other_variables(index: Index, header: dict) -> None:
    """Only X-Forwarded-User names the user: the front Apache removes the client's (tests/templates/test_apache.py)."""
    form = upload_form("bar-1.0.tar.gz", sdist())
    assert index.post(form, None, **header).code == 401
    assert index.post(form, "bob", **header).status == "403 bob is not allowed to upload bar"
    assert index.stored() == {}


@pytest.mark.parametrize(
    "header",
    [
        {"HTTP_X_FORWARDED_HOST": "evil.example"},
        {"HTTP_X_FORWARDED_PROTO": "gopher"},
        {"HTTP_X_FORWARDED_SERVER": "evil.example"},
        {"HTTP_FORWARDED": "host=evil.example"},
    ],
    ids=short,
)
def test_forged_addresses(index: Index, header: dict) -> None:
    """Links and redirects to another server would send it the passwords of clients."""
    index.upload()
    for path in ("/simple/Foo/", "/simple", "/simple/foo/", "/simple/"):
        answer = index.request("GET", path, "alice", **header)
        assert answer.code in (200, 301)
        assert not [text for text in ("evil", "gopher") if text in json.dumps(answer.headers) + answer.body]


def test_rejects_truncated_forms(index: Index) -> None:
    """A truncated upload leaves nothing, even if the received part is a valid archive."""
    answer = index.post(upload_form(WHEEL, wheel()), whole=False)
    assert answer.code == 400
    assert "Send it again" in answer.reason
    assert index.stored() == {}


SIGNED = [*upload_form(WHEEL, wheel()), Part("gpg_signature", b"signature", f"{WHEEL}.asc")]
REFUSED = {
    "wrong digest": (upload_form(WHEEL, wheel(), sha256_digest="0" * 64), "Digest mismatch"),
    "no distribution": (upload_form(WHEEL, b"a page of text"), "Invalid or corrupt archive"),
    "sdist as wheel": (upload_form(WHEEL, sdist()), "Invalid or corrupt archive"),
    "removal with a file": (
        upload_form(WHEEL, wheel(), **{":action": "remove_pkg", "name": "foo", "version": "1.0"}),
        "A removal names a release, and has no file",
    ),
    "another version": (upload_form(WHEEL, wheel(), version="1.1"), "the form has version 1.1"),
    "another Python": (upload_form(WHEEL, wheel(), requires_python=">=3.9"), "the form requires Python >=3.9"),
    "attestations": (upload_form(WHEEL, wheel(), attestations="[{}]"), "cannot verify attestations (PEP 740)"),
    "html": (upload_form("foo-1.0-py3.9-x.html", wheel()), "not the file name of a wheel or sdist"),
    "hidden": (upload_form(".htaccess-py3.1-x", wheel()), "not the file name of a wheel or sdist"),
    "traversal": (upload_form("../foo-1.0.tar.gz", sdist()), "characters that no distribution's has"),
    "no file name": (upload_form("", wheel()), "not the file name of a wheel or sdist"),
    "no content": ([Part(":action", b"file_upload")], "this has 0"),
    "content as text": ([Part(":action", b"file_upload"), Part("content", wheel())], "'content' part has no filename"),
    "two contents": ([*upload_form(WHEEL, wheel()), Part("content", wheel(), WHEEL)], "this has 2"),
    "two projects": ([*upload_form(WHEEL, wheel()), Part("content", sdist(), "x-1.tar.gz")], "this has 2"),
    "signature": (SIGNED, "no GPG signatures"),
    "no action": ([Part("content", wheel(), WHEEL)], "does not know the action None"),
    "unknown action": (upload_form(WHEEL, wheel(), **{":action": "yank"}), "does not know the action 'yank'"),
    "doc_upload": (upload_form(WHEEL, wheel(), **{":action": "doc_upload"}), "wheels and sdists, and no documentation"),
    "submit": (upload_form(WHEEL, wheel(), **{":action": "submit"}), "does not know the action 'submit'"),
    "verify": (upload_form(WHEEL, wheel(), **{":action": "verify"}), "does not know the action 'verify'"),
}


@pytest.mark.parametrize(("form", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_rejects_invalid_uploads(index: Index, form: list[Part], said: str) -> None:
    """Invalid uploads are rejected with a message in the status line and the body, even for users with all rights."""
    answer = index.post(form)
    assert answer.code == 400
    assert said in answer.reason
    assert said in answer.body
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert index.stored() == {}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=----boundary", b""),
        ("multipart/form-data; boundary=----boundary", b"no form at all"),
        ("multipart/form-data; boundary=other", b"------boundary--\r\n"),
        ("application/x-www-form-urlencoded", b":action=file_upload&content=x"),
        ("application/json", b"{}"),
        ("", b""),
    ],
    ids=short,
)
def test_rejects_other_bodies(index: Index, content_type: str, body: bytes) -> None:
    """Any other body is an error of the client, not of the server."""
    answer = index.request("POST", "/", "alice", body, CONTENT_TYPE=content_type)
    assert answer.code == 400
    assert index.stored() == {}


def test_rejects_unreadable_bodies(index: Index) -> None:
    """Apache reports a broken connection as a read error; the client can retry."""

    class Broken:
        def read(self, *_size: int) -> bytes:
            raise OSError("request data read error")

        readline = read

    form = {"CONTENT_TYPE": "multipart/form-data; boundary=----boundary", "CONTENT_LENGTH": "1000"}
    answer = index.request("POST", "/", "alice", **form, **{"wsgi.input": Broken()})
    assert answer.code == 400
    assert "cannot be read" in answer.reason


def test_rejects_different_content(index: Index) -> None:
    """A published file never changes: different content is rejected, and the message says what to do."""
    assert index.upload(WHEEL).code == 200
    for agent in ("curl", "twine/7.0.0"):
        answer = index.post(upload_form(WHEEL, wheel(version="1.0.0")), HTTP_USER_AGENT=agent)
        assert answer.code == 409
        assert "File already exists with different content" in answer.reason
    assert index.stored() == {WHEEL: wheel()}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"groups": {}, "rights": [{"users": ["alice"]}]}', None],
    ids=["", "{", "[]", "key", "gone"],
)
def test_rejects_everything_without_readable_rights(
    index: Index, text: str | None, capsys: pytest.CaptureFixture
) -> None:
    """The response does not have the details, the error log does, and the audit log has the rejection."""
    if text is None:
        index.rights.unlink()
    else:
        index.rights.write_text(text)
    for answer in (index.upload(), index.remove("foo", "1.0")):
        assert answer.code == 503
        assert "cannot be read at the moment" in answer.body
        assert answer.headers["Retry-After"] == "60"
        assert (index.audit()[-1]["event"], index.audit()[-1]["reason"]) == ("refused", answer.reason)
    assert index.stored() == {}
    assert index.events() == ["refused", "refused"]
    assert "everything is rejected" in capsys.readouterr().err

    index.rights.write_text(json.dumps(RIGHTS))
    assert index.upload().code == 200


def test_error_messages_have_no_details(index: Index) -> None:
    """Messages about unexpected errors have no details of the server."""
    index.packages.rmdir()
    answer = index.upload()
    assert answer.code == 503
    assert str(index.home) not in answer.body
    assert "Traceback" not in answer.body


def assert_stored_or_rejected(index: Index, filename: str) -> None:
    """Check that a response is 200, or has one printable line and is not an internal error."""
    before = index.stored()
    answer = index.upload(filename)
    assert answer.code < 500, answer
    assert answer.status.isascii()
    assert answer.status.isprintable()
    if answer.code == 200:
        assert list(index.stored().keys() - before.keys()) == [filename]
        parse_wheel_filename(filename) if filename.endswith(".whl") else parse_sdist_filename(filename)
        (index.packages / filename).unlink()
    else:
        assert index.stored() == before


@given(
    st.text(st.characters(codec="utf-8"), max_size=60)
    | st.from_regex(r"[A-Za-z0-9._+!]{1,9}-[0-9.abrc!+]{1,7}(-[a-z0-9.-]{1,9}\.whl|\.tar\.gz|\.zip)", fullmatch=True)
    | st.from_regex(r"foo-1.0[\x00-\x7f]{0,3}\.(whl|tar\.gz|zip)", fullmatch=True)
)
@example('foo-1.0.tar.gz"; filename="bar-1.0.tar.gz')
@example("foo-1.0.tar.gz\r\n\r\nx")
@example("x" * 200 + "-1.0.tar.gz")
def test_any_filename(index: Index, filename: str) -> None:
    """No name causes a server error, and names that packaging rejects are not stored."""
    if '"' in filename or "\r" in filename or "\n" in filename:
        # The form's parser interprets such a name differently.
        answer = index.upload(filename)
        assert answer.code < 500
        assert answer.status.isprintable()
        for path in index.packages.iterdir():
            path.unlink()
        return
    assert_stored_or_rejected(index, filename)


@pytest.mark.parametrize("length", [256, 1000])
def test_long_file_name(index: Index, length: int) -> None:
    """A name that is too long for a file system is an error of the client."""
    assert_stored_or_rejected(index, "x" * (length - 11) + "-1.0.tar.gz")


@pytest.mark.parametrize(
    "form", [upload_form("x" * 70_000, wheel()), [Part(":action", b"x" * 70_000)]], ids=["name", "action"]
)
def test_long_reasons(index: Index, form: list[Part]) -> None:
    """A reason is one line. Python's own client rejects status lines of more than 64 KiB."""
    assert len(index.post(form).status) < 1000


@given(st.text(st.characters(codec="utf-8")))
@example("x\r\nSet-Cookie: a=b")
@example("\x85\u2028")
def test_reasons_are_one_printable_line(index: Index, action: str) -> None:
    """A line break in a status line would let a client add headers to the response."""
    answer = index.post([Part(":action", action.encode())])
    assert answer.code == 400
    assert all(" " <= character <= "~" for character in answer.status)
