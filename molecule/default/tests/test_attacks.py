"""Attempts to exceed one's rights, with and without a login.

All requests are sent once; each test checks one property of the results: the request was rejected, nothing was
stored, and it was logged.
"""

import uuid
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from shared.raw_http import request
from shared.uploads import form
from support.archives import fitting, sdist

# Header names with which a client could try to set the authenticated user.
NAMES = [
    "X-Forwarded-User", "X-Remote-User", "Remote-User", "REMOTE_USER", "REMOTE-USER", "X-Authenticated-User",
    "X-WebAuth-User", "Auth-Type", "Proxy-Authorization", "X-Original-Remote-User", "HTTP_REMOTE_USER",
]  # fmt: skip


@dataclass(frozen=True)
class Attack:
    """A request that must be rejected.

    name: its test id; file: the file name to upload, where * is replaced by a unique string; removes: the project to
    remove instead; who: the user, or user and password; fields: additional form fields; line: the request line;
    message: a part of the response; event: its name in the audit log, or None if Apache rejects it already.
    """

    name: str
    file: str = "other_*-1.0.tar.gz"
    who: str | tuple[str, str] | None = "bob"
    removes: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    line: str = "POST / HTTP/1.1"
    content: bytes | None = None
    status: int = 403
    message: str = "bob is not allowed to upload other-"
    event: str | None = "denied"

    @property
    def target(self) -> str:
        """What it refers to, in lower case; contains "kept" or "gone" for an existing or removed release."""
        return f"{self.file} {self.removes} {self.line}".lower()


def rejected_by_apache(name: str, status: int, **others) -> Attack:
    """Return an attack that Apache rejects. Anonymous by default."""
    return Attack(name, **{"who": None, "status": status, "message": "", "event": None} | others)


def invalid(name: str, file: str, status: int, message: str, **others) -> Attack:
    """Return an invalid request by an authorized user."""
    return Attack(name, file, status=status, message=message, event="refused", **others)


def bad_filename(name: str, file: str, message: str = "characters that no distribution's has") -> Attack:
    """Return an upload with an invalid file name, by a user who may upload everything."""
    return invalid(name, file, 400, message, who="alice")


NOT_A_DISTRIBUTION = "is not the file name of a wheel or sdist"
ATTACKS = [
    # Impersonation.
    *(Attack(f"{name}, authenticated", headers=(f"{name}: alice",)) for name in NAMES),
    *(rejected_by_apache(f"{name}, anonymous", 401, headers=(f"{name}: alice",)) for name in NAMES),
    rejected_by_apache("empty password", 401, who=("alice", "")),
    rejected_by_apache("user name in capitals", 401, who=("ALICE", "x")),
    rejected_by_apache("user name with a NUL byte", 401, who=("alice\0", "x")),
    Attack("two Authorization headers", headers=("Authorization: Basic YWxpY2U6",)),
    rejected_by_apache("bearer token", 401, headers=("Authorization: Bearer alice",)),
    rejected_by_apache("credentials in the URL", 400, line="POST http://alice:x@index.test/ HTTP/1.1"),
    # Projects of other users.
    Attack("project without a right"),
    Attack("different name in the form", fields={"name": "acme-*"}),
    Attack("name that starts with the prefix", "acmeother_*-1.0.tar.gz", message="not allowed to upload acmeother-"),
    Attack("prefix only", "acme-1.0+*.tar.gz", message="bob is not allowed to upload acme"),
    Attack("name that contains the prefix", "my_acme_*-1.0.tar.gz", message="bob is not allowed to upload my-acme-"),
    Attack("name in capitals", "OTHER_*-1.0.tar.gz"),
    Attack("name with dots", "other.*-1.0.tar.gz"),
    Attack("query with another name", line="POST /?name=acme-x&:action=remove_pkg HTTP/1.1"),
    Attack("method override header", headers=("X-HTTP-Method-Override: DELETE",)),
    Attack("URL override headers", headers=("X-Original-URL: /-/health", "X-Rewrite-URL: /-/health")),
    # Invalid file names.
    bad_filename("parent directory", "../other_*-1.0.tar.gz"),
    bad_filename("absolute path", "/etc/other_*-1.0.tar.gz"),
    bad_filename("Windows path", "..\\other_*-1.0.tar.gz"),
    bad_filename("percent-encoded path", "..%2fother_*-1.0.tar.gz"),
    bad_filename("percent-encoded name", "acme%5f*-1.0.tar.gz"),
    bad_filename("hidden file", ".other_*-1.0.tar.gz", "has no valid project name"),
    bad_filename(".htaccess", ".htaccess_*-1.0.zip", "has no valid project name"),
    bad_filename("temporary upload", ".upload-*", NOT_A_DISTRIBUTION),
    bad_filename("HTML", "other_*-1.0-py3.9-x.html", NOT_A_DISTRIBUTION),
    bad_filename("PHP script", "other_*-1.0-py3.9-x.php", NOT_A_DISTRIBUTION),
    bad_filename("CGI script", "other_*-1.0-py2.7-x.cgi", NOT_A_DISTRIBUTION),
    bad_filename("metadata file", "other_*-1.0-py3-none-any.whl.metadata", NOT_A_DISTRIBUTION),
    bad_filename("two suffixes", "other_*-1.0.tar.gz.html", NOT_A_DISTRIBUTION),
    bad_filename("signature", "other_*-1.0.tar.gz.asc", NOT_A_DISTRIBUTION),
    bad_filename("suffix in capitals", "other_*-1.0.TAR.GZ", NOT_A_DISTRIBUTION),
    bad_filename("no version", "other_*.tar.gz", NOT_A_DISTRIBUTION),
    bad_filename("Cyrillic letter", "\u0430cme_*-1.0.tar.gz"),
    bad_filename("Kelvin sign", "acme_\u212a*-1.0.tar.gz"),
    bad_filename("fullwidth letters", "\uff41cme_*-1.0.tar.gz"),
    bad_filename("zero-width characters", "acme\u200b_*-1.0.tar.gz"),
    bad_filename("right-to-left override", "acme_*\u202e-1.0.tar.gz"),
    bad_filename("HTML tag", "other_*<script>-1.0.tar.gz"),
    bad_filename("space", "other _*-1.0.tar.gz"),
    bad_filename("name too long", f"other_*_{'x' * 240}-1.0.tar.gz", "more than 240 characters"),
    # Files that conflict with their metadata or with other files.
    invalid("metadata of another project", "acme_*-1.0.tar.gz", 400, "names other", content=sdist("other")),
    invalid("existing name, different content", "acme_kept_*-1.0.tar.gz", 409, "already exists with different content"),
    invalid("existing name, spelled differently", "Acme.Kept_*-1.0.tar.gz", 409, "File already exists as acme_kept_"),
    invalid("existing version, spelled differently", "acme_kept_*-1.0.0.tar.gz", 409, "already exists as acme_kept_"),
    invalid("removed name", "acme_gone_*-1.0.tar.gz", 409, "was removed on"),
    invalid("removed name, spelled differently", "ACME-gone-*-1.0.tar.gz", 409, "was removed on"),
    invalid("removed name, by an admin", "acme_gone_*-1.0.tar.gz", 409, "was removed on", who="alice"),
    # Removals.
    Attack("removal without the right", removes="acme-kept-*", message="not allowed to remove acme-kept-"),
    Attack("removal, spelled differently", removes="Acme.KEPT_*", message="not allowed to remove acme-kept-"),
    Attack("removal of another project", removes="other-*", message="bob is not allowed to remove other-"),
    Attack("removal of everything", removes="*-*", fields={"version": "*"}, message="bob is not allowed to remove"),
    invalid("removal with a file", "acme_*-1.0.tar.gz", 400, "has no file", fields={":action": "remove_pkg"}),
    rejected_by_apache("anonymous removal", 401, removes="acme-kept-*"),
    rejected_by_apache("DELETE method", 405, line="DELETE /packages/acme_kept_*-1.0.tar.gz HTTP/1.1"),
    rejected_by_apache("PUT of a page", 405, line="PUT /simple/acme-kept-*/ HTTP/1.1"),
    rejected_by_apache("MOVE method", 405, line="MOVE /packages/acme_kept_*-1.0.tar.gz HTTP/1.1"),
    # Other URLs.
    rejected_by_apache("XML-RPC endpoint of pypiserver", 404, line="POST /RPC2 HTTP/1.1"),
    rejected_by_apache("path with ..", 404, line="POST /simple/../legacy/x HTTP/1.1"),
    rejected_by_apache("WSGI file", 404, line="POST /pypi.wsgi HTTP/1.1"),
    rejected_by_apache("WSGI file below /legacy/", 404, line="POST /legacy/pypi.wsgi HTTP/1.1"),
    rejected_by_apache("POST to a page", 405, line="POST /simple/ HTTP/1.1"),
]  # fmt: skip


@pytest.fixture(scope="module")
def results(send_raw, login, fetch, upload, on_disk, logs, restart_application):
    """Carry out all attacks: {name: responses, audit entries, access log lines, stored files}."""
    marks = {attack.name: f"{number}x{uuid.uuid4().hex[:8]}" for number, attack in enumerate(ATTACKS)}
    for attack in ATTACKS:
        for state in ("kept", "gone"):
            if state in attack.target:
                name = f"acme_{state}_{marks[attack.name]}-1.0.tar.gz"
                assert upload(name, fitting(name), user="bob").status == 200
                if state == "gone":
                    removal = {":action": "remove_pkg", "name": name.partition("-")[0], "version": "1.0"}
                    options = [word for item in removal.items() for word in ("--form", "=".join(item))]
                    assert fetch("/", *options, user="alice").status == 200
    before = len(logs.audit())
    attempts = [attempt(attack, marks[attack.name], login) for attack in ATTACKS]
    responses = []
    # The audit log records at most this many rejections of one user in a minute.
    for start in range(0, len(attempts), 20):
        restart_application()
        responses += send_raw(*attempts[start : start + 20])
    lines, requests, stored = logs.audit()[before:], logs.requests(), on_disk("")
    return {
        attack.name: SimpleNamespace(
            responses=response,
            lines=[line for line in lines if mark in line.get("filename", "") + line.get("project", "")],
            requests=[line for line in requests if mark in line],
            stored=[name for name in stored if mark in name],
        )
        for attack, mark, response in zip(ATTACKS, marks.values(), responses, strict=True)
    }


def attempt(attack: Attack, mark: str, login) -> bytes:
    """Encode the request of an attack. Its query contains the mark, so that the access log contains it, too."""
    who = login(attack.who) if isinstance(attack.who, str) else attack.who
    fields = {name: value.replace("*", mark) for name, value in attack.fields.items()}
    if attack.removes:
        body = removal(attack.removes.replace("*", mark), **fields)
    else:
        name = attack.file.replace("*", mark)
        content = attack.content or fitting(name, "Summary: of an attack\n")
        body = form(name, content, **fields)
    method, path, version = attack.line.replace("*", mark).split(" ")
    line = f"{method} {path}{'&' if '?' in path else '?'}{mark} {version}"
    return request(body, *attack.headers, login=who, line=line)


def removal(project: str, version: str = "1.0") -> bytes:
    """Encode the form of a removal, which has no file."""
    whole = form("x", b"", **{":action": "remove_pkg", "name": project, "version": version})
    return whole.partition(b'--5f3c8d0e\r\nContent-Disposition: form-data; name="content"')[0] + b"--5f3c8d0e--\r\n"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_rejects_attack(results, attack):
    """The request is rejected with the reason."""
    (response,) = results[attack.name].responses
    assert response.status == attack.status, response.body
    assert attack.message in response.body


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_changes_no_files(results, attack):
    """Existing files remain, and no files are added."""
    assert len(results[attack.name].stored) == ("kept" in attack.target)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_logs_attack(results, attack, address):
    """User and address are in the audit log, or in the access log if Apache rejected the request."""
    result = results[attack.name]
    if attack.event is None:
        (request_line,) = result.requests
        assert request_line.startswith(f"{address} - ")
        assert f" {attack.status} " in request_line
        assert result.lines == []
    else:
        (line,) = result.lines
        who = attack.who if isinstance(attack.who, str) else attack.who[0]
        assert (line["event"], line["user"], line["address"]) == (attack.event, who, address)
        assert attack.message in line["reason"]
