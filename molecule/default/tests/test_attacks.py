"""Attacks on rights: what somebody tries who has a login, or none, and wants more than it is for.

All of it is tried in one go, and then each attempt is looked at: it was refused, it has left nothing, and the log
has it.
"""

import uuid
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from shared.talks import request
from shared.uploads import form
from support.archives import fitting, sdist

# Names of Apache's or of proxies', by which a request could say who has sent it.
NAMES = [
    "X-Forwarded-User", "X-Remote-User", "Remote-User", "REMOTE_USER", "REMOTE-USER", "X-Authenticated-User",
    "X-WebAuth-User", "Auth-Type", "Proxy-Authorization", "X-Original-Remote-User", "HTTP_REMOTE_USER",
]  # fmt: skip


@dataclass(frozen=True)
class Attack:
    """Something that must not work.

    what: its name; file: that of the file to upload, where * stands for what is new each time; removes: the project to
    remove, in its place; who: the user, or user and password; fields: the form's others; line: the request's first;
    says: some of the answer; event: what the audit log calls it, or None where Apache has refused already.
    """

    what: str
    file: str = "other_*-1.0.tar.gz"
    who: str | tuple[str, str] | None = "bob"
    removes: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    line: str = "POST / HTTP/1.1"
    content: bytes | None = None
    status: int = 403
    says: str = "bob is not allowed to upload other-"
    event: str | None = "denied"

    @property
    def about(self) -> str:
        """What it is about, in small letters: with "kept" or "gone", of a release that is there, or was."""
        return f"{self.file} {self.removes} {self.line}".lower()


def outside(what: str, status: int, **others) -> Attack:
    """What gets no further than Apache. who is nobody unless said."""
    return Attack(what, **{"who": None, "status": status, "says": "", "event": None} | others)


def faulty(what: str, file: str, status: int, says: str, **others) -> Attack:
    """A request by somebody who has the right, and which is wrong all the same."""
    return Attack(what, file, status=status, says=says, event="refused", **others)


def unnamed(what: str, file: str, says: str = "characters that no distribution's has") -> Attack:
    """An upload whose file name is none, by somebody who may upload anything."""
    return faulty(what, file, 400, says, who="alice")


NO_NAME = "is not the file name of a wheel or sdist"
ATTACKS = [
    # Somebody else's name.
    *(Attack(f"{name}, signed in", headers=(f"{name}: alice",)) for name in NAMES),
    *(outside(f"{name}, a stranger", 401, headers=(f"{name}: alice",)) for name in NAMES),
    outside("no password", 401, who=("alice", "")),
    outside("a name in capitals", 401, who=("ALICE", "x")),
    outside("a name with more behind it", 401, who=("alice\0", "x")),
    Attack("two logins", headers=("Authorization: Basic YWxpY2U6",)),
    outside("another scheme", 401, headers=("Authorization: Bearer alice",)),
    outside("a login in the address", 400, line="POST http://alice:x@index.test/ HTTP/1.1"),
    # Somebody else's project.
    Attack("a project of others"),
    Attack("a name in the form", fields={"name": "acme-*"}),
    Attack("a name that begins alike", "acmeother_*-1.0.tar.gz", says="bob is not allowed to upload acmeother-"),
    Attack("the beginning alone", "acme-1.0+*.tar.gz", says="bob is not allowed to upload acme"),
    Attack("a name that contains it", "my_acme_*-1.0.tar.gz", says="bob is not allowed to upload my-acme-"),
    Attack("in capitals", "OTHER_*-1.0.tar.gz"),
    Attack("with dots", "other.*-1.0.tar.gz"),
    Attack("a query that says another", line="POST /?name=acme-x&:action=remove_pkg HTTP/1.1"),
    Attack("a method that says another", headers=("X-HTTP-Method-Override: DELETE",)),
    Attack("an address that says another", headers=("X-Original-URL: /-/health", "X-Rewrite-URL: /-/health")),
    # A file that is none.
    unnamed("a parent directory", "../other_*-1.0.tar.gz"),
    unnamed("an absolute path", "/etc/other_*-1.0.tar.gz"),
    unnamed("a path of Windows'", "..\\other_*-1.0.tar.gz"),
    unnamed("an encoded path", "..%2fother_*-1.0.tar.gz"),
    unnamed("an encoded name", "acme%5f*-1.0.tar.gz"),
    unnamed("a dot file", ".other_*-1.0.tar.gz", "has no valid project name"),
    unnamed("Apache's own file", ".htaccess_*-1.0.zip", "has no valid project name"),
    unnamed("one on its way in", ".upload-*", NO_NAME),
    unnamed("a page", "other_*-1.0-py3.9-x.html", NO_NAME),
    unnamed("a program of PHP's", "other_*-1.0-py3.9-x.php", NO_NAME),
    unnamed("a program of CGI's", "other_*-1.0-py2.7-x.cgi", NO_NAME),
    unnamed("metadata", "other_*-1.0-py3-none-any.whl.metadata", NO_NAME),
    unnamed("two suffixes", "other_*-1.0.tar.gz.html", NO_NAME),
    unnamed("a signature", "other_*-1.0.tar.gz.asc", NO_NAME),
    unnamed("a suffix in capitals", "other_*-1.0.TAR.GZ", NO_NAME),
    unnamed("no version", "other_*.tar.gz", NO_NAME),
    unnamed("a Cyrillic letter", "\u0430cme_*-1.0.tar.gz"),
    unnamed("the sign for Kelvin", "acme_\u212a*-1.0.tar.gz"),
    unnamed("wide letters", "\uff41cme_*-1.0.tar.gz"),
    unnamed("letters that cannot be seen", "acme\u200b_*-1.0.tar.gz"),
    unnamed("text from right to left", "acme_*\u202e-1.0.tar.gz"),
    unnamed("a tag", "other_*<script>-1.0.tar.gz"),
    unnamed("a space", "other _*-1.0.tar.gz"),
    unnamed("a name that is too long", f"other_*_{'x' * 240}-1.0.tar.gz", "more than 240 characters"),
    # A file that is another's.
    faulty("other metadata", "acme_*-1.0.tar.gz", 400, "names other", content=sdist("other")),
    faulty("other bytes", "acme_kept_*-1.0.tar.gz", 409, "File already exists with different content"),
    faulty("another spelling", "Acme.Kept_*-1.0.tar.gz", 409, "File already exists as acme_kept_"),
    faulty("another version's spelling", "acme_kept_*-1.0.0.tar.gz", 409, "File already exists as acme_kept_"),
    faulty("a removed name", "acme_gone_*-1.0.tar.gz", 409, "was removed on"),
    faulty("a removed name, spelt otherwise", "ACME-gone-*-1.0.tar.gz", 409, "was removed on"),
    faulty("a removed name, by an admin", "acme_gone_*-1.0.tar.gz", 409, "was removed on", who="alice"),
    # Removing.
    Attack("a release of one's own, without the right", removes="acme-kept-*", says="not allowed to remove acme-kept-"),
    Attack("in another spelling", removes="Acme.KEPT_*", says="not allowed to remove acme-kept-"),
    Attack("of another", removes="other-*", says="bob is not allowed to remove other-"),
    Attack("everything", removes="*-*", fields={"version": "*"}, says="bob is not allowed to remove"),
    faulty("with a file", "acme_*-1.0.tar.gz", 400, "has no file", fields={":action": "remove_pkg"}),
    outside("by a stranger", 401, removes="acme-kept-*"),
    outside("by its address", 405, line="DELETE /packages/acme_kept_*-1.0.tar.gz HTTP/1.1"),
    outside("a page in its place", 405, line="PUT /simple/acme-kept-*/ HTTP/1.1"),
    outside("by a move", 405, line="MOVE /packages/acme_kept_*-1.0.tar.gz HTTP/1.1"),
    # Other ways in.
    outside("pypiserver's own address", 404, line="POST /RPC2 HTTP/1.1"),
    outside("around the address", 404, line="POST /simple/../legacy/x HTTP/1.1"),
    outside("the program's file", 404, line="POST /pypi.wsgi HTTP/1.1"),
    outside("below the address", 404, line="POST /legacy/pypi.wsgi HTTP/1.1"),
    outside("a page, posted to", 405, line="POST /simple/ HTTP/1.1"),
]  # fmt: skip


@pytest.fixture(scope="module")
def tried(talk, login, ask, upload, on_disk, records, restart_application):
    """What became of each attack: {its name: (answer, the audit log's lines, Apache's lines)}."""
    marks = {attack.what: f"{number}x{uuid.uuid4().hex[:8]}" for number, attack in enumerate(ATTACKS)}
    for attack in ATTACKS:
        for state in ("kept", "gone"):
            if state in attack.about:
                name = f"acme_{state}_{marks[attack.what]}-1.0.tar.gz"
                assert upload(name, fitting(name), user="bob").status == 200
                if state == "gone":
                    removal = {":action": "remove_pkg", "name": name.partition("-")[0], "version": "1.0"}
                    how = [word for item in removal.items() for word in ("--form", "=".join(item))]
                    assert ask("/", *how, user="alice").status == 200
    before = len(records.audit())
    attempts = [attempt(attack, marks[attack.what], login) for attack in ATTACKS]
    answers = []
    # As many at a time as the audit log has of one user in a minute.
    for start in range(0, len(attempts), 20):
        restart_application()
        answers += talk(*attempts[start : start + 20])
    lines, requests, there = records.audit()[before:], records.requests(), on_disk("")
    return {
        attack.what: SimpleNamespace(
            answers=answer,
            lines=[line for line in lines if mark in line.get("filename", "") + line.get("project", "")],
            requests=[line for line in requests if mark in line],
            there=[name for name in there if mark in name],
        )
        for attack, mark, answer in zip(ATTACKS, marks.values(), answers, strict=True)
    }


def attempt(attack: Attack, mark: str, login) -> bytes:
    """The request that an attack is made with. Its query has the mark, which Apache's log then has, too."""
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
    """The form of a removal, which has no file."""
    whole = form("x", b"", **{":action": "remove_pkg", "name": project, "version": version})
    return whole.partition(b'--5f3c8d0e\r\nContent-Disposition: form-data; name="content"')[0] + b"--5f3c8d0e--\r\n"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.what)
def test_refused(tried, attack):
    """Each is refused, and who has tried reads why."""
    (answer,) = tried[attack.what].answers
    assert answer.status == attack.status, answer.body
    assert attack.says in answer.body


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.what)
def test_nothing_is_changed(tried, attack):
    """What was there is there, and nothing else."""
    assert len(tried[attack.what].there) == ("kept" in attack.about)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.what)
def test_logged(tried, attack, address):
    """Who has tried it, and from where: in the audit log, or in Apache's where it did not get any further."""
    seen = tried[attack.what]
    if attack.event is None:
        (request_line,) = seen.requests
        assert request_line.startswith(f"{address} - ")
        assert f" {attack.status} " in request_line
        assert seen.lines == []
    else:
        (line,) = seen.lines
        who = attack.who if isinstance(attack.who, str) else attack.who[0]
        assert (line["event"], line["user"], line["address"]) == (attack.event, who, address)
        assert attack.says in line["reason"]
