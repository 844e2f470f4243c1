"""Connections and forms as no program should make them, and some do: torn, slow, doubled, far too much.

All of them are sent in one go, a few at a time; afterwards the server is as it was.
"""

import hashlib
import uuid
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from shared.talks import Talk, request
from shared.uploads import BOUNDARY, TYPE, form
from support.archives import sdist

FILE = "acme_odd_*-1.0.tar.gz"
END = f"--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True)
class Oddity:
    """One request. body, with * for what is new each time; what it says of itself; how it is said; what comes of it.

    status: of the answer, or None where the connection just ends; says: some of the answer; kept: the file is there
    afterwards, on its page.
    """

    what: str
    body: bytes = b""
    headers: tuple[str, ...] = ()
    how: dict = field(default_factory=dict)
    cuts: tuple[int, ...] = ()
    pause: float = 0
    end: str = "wait"
    status: int | None = 400
    says: str = ""
    kept: bool = False


def part(label: str, value: bytes = b"") -> bytes:
    """One part of a form. label: its headers."""
    return f"--{BOUNDARY}\r\n{label}\r\n\r\n".encode() + value + b"\r\n"


def labelled(name: str, value: bytes = b"", more: str = "") -> bytes:
    """One part with its name."""
    return part(f'Content-Disposition: form-data; name="{name}"{more}', value)


ACTION = labelled(":action", b"file_upload")
CONTENT = labelled("content", b"<content>", f'; filename="{FILE}"')
WHOLE = ACTION + CONTENT + END
# The file has arrived, and nothing says so.
OPEN = WHOLE[: WHOLE.index(b"<content>")] + b"<content>"


def named(label: bytes) -> bytes:
    """A form whose file has another label before its name."""
    return WHOLE.replace(b'; filename="', label)


ODDITIES = [
    # As it should be, so that the others are refused for what is odd about them.
    Oddity("nothing odd", WHOLE, status=200, kept=True),
    Oddity("in two pieces", WHOLE, cuts=(300,), pause=1, status=200, kept=True),
    Oddity("slowly", WHOLE, cuts=tuple(range(300, 800, 50)), pause=0.5, status=200, kept=True),
    Oddity("the file before the action", CONTENT + ACTION + END, status=200, kept=True),
    Oddity("something before the form, and after it", b"hello\r\n" + WHOLE + b"bye", status=200, kept=True),
    # Connections.
    Oddity("cut in the headers", how={"length": 5000}, cuts=(30,), end="cut", status=None),
    Oddity("cut before the body", b"-", how={"length": 5000}, end="cut", status=None),
    Oddity("cut in the file", OPEN, how={"length": 5000}, end="cut", status=None),
    # Only once the server has read of it: what it has not read is gone with the connection, the file's name too.
    Oddity(
        "cut in a large file",
        OPEN + bytes(1 << 20),
        how={"length": 2 << 20},
        cuts=(1 << 20,),
        pause=2,
        end="cut",
        status=None,
    ),
    Oddity("cut before the form's end", WHOLE[:-4], how={"length": 5000}, end="cut", status=None),
    Oddity("closed half-way", OPEN, how={"length": 5000}, end="half"),
    Oddity("Content-Length too short", WHOLE, how={"length": 250}, says="Upload incomplete"),
    Oddity("Content-Length short of the end", WHOLE, how={"length": "short"}, says="Upload incomplete"),
    Oddity("Content-Length 0", WHOLE, how={"length": 0}),
    Oddity("no Content-Length", WHOLE, how={"length": None}),
    Oddity("Content-Length below 0", WHOLE, how={"length": -5}),
    Oddity("Content-Length in words", WHOLE, how={"length": "many"}),
    Oddity("Content-Length with a sign", WHOLE, how={"length": "+900"}),
    Oddity("two Content-Lengths", WHOLE, ("Content-Length: 10",)),
    Oddity("beyond all limits", WHOLE, how={"length": 10**30}, status=400),
    Oddity("more than is taken", WHOLE, how={"length": 2 << 30}, status=413, says="this index accepts at most"),
    Oddity("in chunks", b"", ("Transfer-Encoding: chunked",), {"length": None}, status=411, says="no chunked bodies"),
    Oddity("in chunks, with a length", WHOLE, ("Transfer-Encoding: chunked",)),
    Oddity("in chunks of another kind", WHOLE, ("Transfer-Encoding: gzip, chunked",), status=501),
    Oddity("expecting the impossible", WHOLE, ("Expect: miracles",), status=417),
    # Headers.
    Oddity("no type", WHOLE, how={"kind": None}, says="There is no form"),
    Oddity("another type", b"{}", how={"kind": "Content-Type: application/json"}, says="There is no form"),
    Oddity("no boundary", WHOLE, how={"kind": "Content-Type: multipart/form-data"}, says="cannot be read"),
    Oddity("another boundary", WHOLE, how={"kind": f"{TYPE}x"}, says="cannot be read"),
    Oddity("an endless boundary", WHOLE, how={"kind": TYPE + "x" * 5000}, says=""),
    Oddity("a compressed body", WHOLE, ("Content-Encoding: gzip",), status=200, kept=True),
    Oddity("a header that is too long", WHOLE, ("X-Long: " + "x" * 9000,)),
    Oddity("too many headers", WHOLE, tuple(f"X-{number}: x" for number in range(200))),
    Oddity("a header that goes on", WHOLE, ("X-Folded: a\r\n b",), status=200, kept=True),
    Oddity("a header without a name", WHOLE, (": x",)),
    Oddity("a header with a zero in it", WHOLE, ("X-Zero: a\0b",)),
    Oddity("no host", WHOLE, how={"line": "POST / HTTP/1.1\r\nX-Host: none", "host": "\r\nHost: other.test"}),
    # Forms.
    Oddity("nothing", b""),
    Oddity("no part", END, says="the action None"),
    Oddity("no action", CONTENT + END, says="the action None"),
    Oddity("no file", ACTION + END, says="and this has 0"),
    Oddity("a field in the file's place", ACTION + labelled("content", b"<content>") + END, says="has no filename"),
    Oddity("two files", ACTION + CONTENT + CONTENT.replace(b"odd", b"oddest") + END, says="and this has 2"),
    Oddity("the same file twice", ACTION + CONTENT + CONTENT + END, says="and this has 2"),
    Oddity("a file of another name", ACTION + CONTENT + labelled("x", b"", '; filename="x"') + END, says="and no 'x'"),
    Oddity("two actions", ACTION + ACTION + CONTENT + END, says="two fields named :action"),
    Oddity("two actions that differ", ACTION + labelled(":action", b"remove_pkg") + CONTENT + END, says="two fields"),
    Oddity("two file names", named(b'; filename="other-1.0.zip"; filename="'), status=200, kept=True),
    Oddity("a file name in a code", named(b"; filename*=UTF-8''other-1.0.zip; filename=\""), status=200, kept=True),
    Oddity("a part without a name", ACTION + part("Content-Disposition: form-data") + WHOLE, says="cannot be read"),
    Oddity("a part without a header", ACTION + part("X: y", b"x") + CONTENT + END, says="cannot be read"),
    Oddity("a part that says its length", WHOLE.replace(b"\r\n\r\n<", b"\r\nContent-Length: 3\r\n\r\n<")),
    Oddity("lines that end as in Unix", WHOLE.replace(b"\r\n", b"\n"), says="cannot be read"),
    Oddity("no last boundary", WHOLE[: -len(END)], says="Upload incomplete"),
    Oddity("a last boundary that is torn", WHOLE[:-4], says="Upload incomplete"),
    Oddity("10,000 fields", b"".join(labelled("x") for _ in range(10_000)) + WHOLE, says="larger than any upload's"),
    Oddity("a field of 11 MB", labelled("x", b"x" * (11 << 20)) + WHOLE, says="is longer than"),
    Oddity("an action of 5 KB", labelled(":action", b"x" * 5000) + CONTENT + END, says="is longer than 4096"),
    Oddity("a field that is no text", ACTION + labelled("name", b"\xff") + CONTENT + END, says="is not UTF-8"),
    Oddity("1,000 fields", b"".join(labelled("classifiers", b"x") for _ in range(1000)) + WHOLE, status=200, kept=True),
]  # fmt: skip


def sent(oddity: Oddity, mark: str, login: tuple[str, str]) -> Talk:
    """What is sent, piece by piece."""
    name = FILE.replace("*", mark)
    archive = sdist(name.partition("-")[0])
    body = oddity.body.replace(FILE.encode(), name.encode()).replace(b"<content>", archive)
    how = dict(oddity.how)
    if how.get("length") == "short":
        how["length"] = len(body) - 20
    whole = request(body, *oddity.headers, login=login, **how)
    edges = [0, *oddity.cuts, len(whole)]
    return Talk(tuple(whole[start:stop] for start, stop in pairwise(edges)), oddity.pause, oddity.end)


@pytest.fixture(scope="module")
def marks():
    """What is new each time in the file names, by oddity."""
    return {oddity.what: f"{number}x{uuid.uuid4().hex[:8]}" for number, oddity in enumerate(ODDITIES)}


@pytest.fixture(scope="module")
def answers(talk, login, marks, restart_application):
    """The answers to each oddity."""
    talks = [sent(oddity, marks[oddity.what], login("bob")) for oddity in ODDITIES]
    found = []
    # As many at a time as the audit log has of one user in a minute.
    for start in range(0, len(talks), 20):
        restart_application()
        found += talk(*talks[start : start + 20])
    return dict(zip(marks, found, strict=True))


@pytest.fixture(scope="module")
def left(answers, on_disk):
    """What the packages directory has after all of it."""
    assert answers
    return on_disk("")


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.what)
def test_answer(answers, oddity):
    """Each gets one answer that tells what is odd; and what merely looks odd is taken."""
    if oddity.status is None:
        assert answers[oddity.what] == []
        return
    first, *others = answers[oddity.what]
    assert first.status == oddity.status, first.body
    assert oddity.says in first.body
    # What follows a request on its connection is no request of its own: 400, and never 200.
    assert {other.status for other in others} <= {400}


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.what)
def test_kept(left, marks, ask, oddity):
    """What was answered with 200 is there and on its page, and of all else nothing is."""
    name = FILE.replace("*", marks[oddity.what])
    assert [file for file in left if marks[oddity.what] in file] == [name] * oddity.kept
    if oddity.kept:
        assert name in ask(f"/simple/{name.partition('-')[0].replace('_', '-')}/", user="verify").body


def test_no_litter(left):
    """Whatever was cut off has left nothing, neither under the name of some other part nor hidden."""
    assert [name for name in left if name.startswith((".", "other", "acme_oddest"))] == []


def test_a_torn_upload_is_logged(left, marks, records, address):
    """Who has tried to send what, and that it did not arrive."""
    assert left
    (line,) = records.of(filename=FILE.replace("*", marks["cut in a large file"]))
    assert (line["event"], line["user"], line["address"]) == ("refused", "bob", address)
    assert "read error" in line["reason"]


def test_the_server_is_as_before(left, ask):
    """None of it has taken anything from those who come after."""
    assert left
    answer = ask("/-/health")
    assert (answer.status, answer.body.strip()) == (200, "Ok")


def test_one_name_many_senders(talk, login, on_disk, ask, records):
    """Of twelve who publish at the same moment under one name one wins, and its bytes are what is served."""
    name = f"acme_contested_{uuid.uuid4().hex[:8]}-1.0.tar.gz"
    project = name.partition("-")[0]
    archives = [sdist(project, more=f"Summary: number {number}\n") for number in range(12)]
    talks = [together(request(form(name, archive), login=login("bob"))) for archive in archives]
    answers = [answer for (answer,) in talk(*talks, together=True)]
    assert sorted(answer.status for answer in answers) == [200] + [409] * 11
    assert all("File already exists" in answer.body for answer in answers if answer.status == 409)
    winner = hashlib.sha256(archives[[answer.status for answer in answers].index(200)]).hexdigest()
    assert on_disk(project) == [name]
    assert f"#sha256={winner}" in ask(f"/simple/{project.replace('_', '-')}/", user="verify").body
    assert [line["sha256"] for line in records.of(event="upload", filename=name)] == [winner]


def test_one_file_many_senders(talk, login, on_disk, records):
    """A matrix of jobs that all publish the same file: each may think that it was the one."""
    name = f"acme_alike_{uuid.uuid4().hex[:8]}-1.0.tar.gz"
    archive = sdist(name.partition("-")[0])
    talks = [together(request(form(name, archive), login=login("bob")))] * 12
    assert [answer.status for (answer,) in talk(*talks, together=True)] == [200] * 12
    assert on_disk(name.partition("-")[0]) == [name]
    events = sorted(line["event"] for line in records.of(filename=name))
    assert events == ["same"] * 11 + ["upload"]


def together(whole: bytes) -> Talk:
    """A request whose last byte waits for the others'."""
    return Talk((whole[:-1], whole[-1:]))
