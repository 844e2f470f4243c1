"""Malformed and slow requests.

All of them are sent first, a few at a time; each test checks one property of the results.
"""

import hashlib
import uuid
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from shared.raw_http import RawRequest, request
from shared.uploads import BOUNDARY, TYPE, form
from support.archives import sdist

FILE = "acme_odd_*-1.0.tar.gz"
END = f"--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True)
class Case:
    """A request and its expected result.

    name: its test id; body: the request's body, where * is replaced by a unique string; options: of request();
    cuts: the positions at which it is split; pause, end: see RawRequest; status: of the response, or None if the
    connection is closed without one; message: a part of the response; stored: the file is published.
    """

    name: str
    body: bytes = b""
    headers: tuple[str, ...] = ()
    options: dict = field(default_factory=dict)
    cuts: tuple[int, ...] = ()
    pause: float = 0
    end: str = "wait"
    status: int | None = 400
    message: str = ""
    stored: bool = False


def part(headers: str, value: bytes = b"") -> bytes:
    """Encode one part of a form."""
    return f"--{BOUNDARY}\r\n{headers}\r\n\r\n".encode() + value + b"\r\n"


def field_part(name: str, value: bytes = b"", parameters: str = "") -> bytes:
    """Encode a part with a name."""
    return part(f'Content-Disposition: form-data; name="{name}"{parameters}', value)


ACTION = field_part(":action", b"file_upload")
CONTENT = field_part("content", b"<content>", f'; filename="{FILE}"')
WHOLE = ACTION + CONTENT + END
# The body ends directly after the file's content.
OPEN = WHOLE[: WHOLE.index(b"<content>")] + b"<content>"


def with_file_parameters(parameters: bytes) -> bytes:
    """Encode a form with other parameters before the file name."""
    return WHOLE.replace(b'; filename="', parameters)


CASES = [
    # Valid requests, which prove that the others are rejected for their fault.
    Case("valid", WHOLE, status=200, stored=True),
    Case("in two pieces", WHOLE, cuts=(300,), pause=1, status=200, stored=True),
    Case("slow", WHOLE, cuts=tuple(range(300, 800, 50)), pause=0.5, status=200, stored=True),
    Case("file before the action", CONTENT + ACTION + END, status=200, stored=True),
    Case("preamble and epilogue", b"hello\r\n" + WHOLE + b"bye", status=200, stored=True),
    # Connections.
    Case("cut in the headers", options={"length": 5000}, cuts=(30,), end="cut", status=None),
    Case("cut before the body", b"-", options={"length": 5000}, end="cut", status=None),
    Case("cut in the file", OPEN, options={"length": 5000}, end="cut", status=None),
    # The pause lets the server read: unread data, including the file name, is lost when the connection is closed.
    Case(
        "cut in a large file",
        OPEN + bytes(1 << 20),
        options={"length": 2 << 20},
        cuts=(1 << 20,),
        pause=2,
        end="cut",
        status=None,
    ),
    Case("cut before the end of the form", WHOLE[:-4], options={"length": 5000}, end="cut", status=None),
    Case("half-closed", OPEN, options={"length": 5000}, end="half"),
    Case("Content-Length too small", WHOLE, options={"length": 250}, message="Upload incomplete"),
    Case("Content-Length slightly too small", WHOLE, options={"length": "short"}, message="Upload incomplete"),
    Case("Content-Length 0", WHOLE, options={"length": 0}),
    Case("no Content-Length", WHOLE, options={"length": None}),
    Case("negative Content-Length", WHOLE, options={"length": -5}),
    Case("Content-Length is not a number", WHOLE, options={"length": "many"}),
    Case("Content-Length with a sign", WHOLE, options={"length": "+900"}),
    Case("two Content-Length headers", WHOLE, ("Content-Length: 10",)),
    Case("Content-Length of 31 digits", WHOLE, options={"length": 10**30}, status=400),
    Case(
        "Content-Length too large",
        WHOLE,
        options={"length": 2 << 30},
        status=413,
        message="this index accepts at most",
    ),
    Case("chunked", b"", ("Transfer-Encoding: chunked",), {"length": None}, status=411, message="no chunked bodies"),
    Case("chunked with Content-Length", WHOLE, ("Transfer-Encoding: chunked",)),
    Case("unsupported Transfer-Encoding", WHOLE, ("Transfer-Encoding: gzip, chunked",), status=501),
    Case("unsupported Expect", WHOLE, ("Expect: miracles",), status=417),
    # Headers.
    Case("no Content-Type", WHOLE, options={"content_type": None}, message="There is no form"),
    Case("JSON body", b"{}", options={"content_type": "Content-Type: application/json"}, message="There is no form"),
    Case("no boundary", WHOLE, options={"content_type": "Content-Type: multipart/form-data"}, message="cannot be read"),
    Case("wrong boundary", WHOLE, options={"content_type": f"{TYPE}x"}, message="cannot be read"),
    Case("boundary too long", WHOLE, options={"content_type": TYPE + "x" * 5000}, message=""),
    Case("Content-Encoding gzip", WHOLE, ("Content-Encoding: gzip",), status=200, stored=True),
    Case("header too long", WHOLE, ("X-Long: " + "x" * 9000,)),
    Case("too many headers", WHOLE, tuple(f"X-{number}: x" for number in range(200))),
    Case("folded header", WHOLE, ("X-Folded: a\r\n b",), status=200, stored=True),
    Case("header without a name", WHOLE, (": x",)),
    Case("header with a NUL byte", WHOLE, ("X-Zero: a\0b",)),
    Case("no Host", WHOLE, options={"line": "POST / HTTP/1.1\r\nX-Host: none", "host": "\r\nHost: other.test"}),
    # Forms.
    Case("empty body", b""),
    Case("no parts", END, message="the action None"),
    Case("no action", CONTENT + END, message="the action None"),
    Case("no file", ACTION + END, message="and this has 0"),
    Case("no file name", ACTION + field_part("content", b"<content>") + END, message="has no filename"),
    Case("two files", ACTION + CONTENT + CONTENT.replace(b"odd", b"oddest") + END, message="and this has 2"),
    Case("same file twice", ACTION + CONTENT + CONTENT + END, message="and this has 2"),
    Case("file in other field", ACTION + CONTENT + field_part("x", b"", '; filename="x"') + END, message="and no 'x'"),
    Case("two actions", ACTION + ACTION + CONTENT + END, message="two fields named :action"),
    Case("two different actions", ACTION + field_part(":action", b"remove_pkg") + CONTENT + END, message="two fields"),
    Case("two file names", with_file_parameters(b'; filename="other-1.0.zip"; filename="'), status=200, stored=True),
    Case(
        "encoded file name",
        with_file_parameters(b"; filename*=UTF-8''other-1.0.zip; filename=\""),
        status=200,
        stored=True,
    ),
    Case("part without a name", ACTION + part("Content-Disposition: form-data") + WHOLE, message="cannot be read"),
    Case("part without Content-Disposition", ACTION + part("X: y", b"x") + CONTENT + END, message="cannot be read"),
    Case("part with Content-Length", WHOLE.replace(b"\r\n\r\n<", b"\r\nContent-Length: 3\r\n\r\n<")),
    Case("LF line ends", WHOLE.replace(b"\r\n", b"\n"), message="cannot be read"),
    Case("no final boundary", WHOLE[: -len(END)], message="Upload incomplete"),
    Case("truncated final boundary", WHOLE[:-4], message="Upload incomplete"),
    Case("10,000 fields", b"".join(field_part("x") for _ in range(10_000)) + WHOLE, message="larger than any upload's"),
    Case("field of 11 MB", field_part("x", b"x" * (11 << 20)) + WHOLE, message="is longer than"),
    Case("action of 5 KB", field_part(":action", b"x" * 5000) + CONTENT + END, message="is longer than 4096"),
    Case("field that is not UTF-8", ACTION + field_part("name", b"\xff") + CONTENT + END, message="is not UTF-8"),
    Case("1,000 fields", field_part("classifiers", b"x") * 1000 + WHOLE, status=200, stored=True),
]  # fmt: skip


def encode(case: Case, mark: str, login: tuple[str, str]) -> RawRequest:
    """Encode the request of a case."""
    name = FILE.replace("*", mark)
    archive = sdist(name.partition("-")[0])
    body = case.body.replace(FILE.encode(), name.encode()).replace(b"<content>", archive)
    options = dict(case.options)
    if options.get("length") == "short":
        options["length"] = len(body) - 20
    whole = request(body, *case.headers, login=login, **options)
    edges = [0, *case.cuts, len(whole)]
    return RawRequest(tuple(whole[start:stop] for start, stop in pairwise(edges)), case.pause, case.end)


@pytest.fixture(scope="module")
def marks():
    """Return a unique string for the file name of each case."""
    return {case.name: f"{number}x{uuid.uuid4().hex[:8]}" for number, case in enumerate(CASES)}


@pytest.fixture(scope="module")
def responses(send_raw, login, marks, restart_application):
    """Send the requests of all cases and return the responses: {name: responses}."""
    requests = [encode(case, marks[case.name], login("bob")) for case in CASES]
    found = []
    # The audit log records at most this many rejections of one user in a minute.
    for start in range(0, len(requests), 20):
        restart_application()
        found += send_raw(*requests[start : start + 20])
    return dict(zip(marks, found, strict=True))


@pytest.fixture(scope="module")
def stored_files(responses, on_disk):
    """List the files in the packages directory after all requests."""
    assert responses
    return on_disk("")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_response(responses, case):
    """A malformed request is rejected with the reason; an unusual but valid one is accepted."""
    if case.status is None:
        assert responses[case.name] == []
        return
    first, *others = responses[case.name]
    assert first.status == case.status, first.body
    assert case.message in first.body
    # Remaining bytes on the connection are never accepted as a second request: 400, and never 200.
    assert {other.status for other in others} <= {400}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stores_accepted_uploads_only(stored_files, marks, fetch, case):
    """A file is stored and listed exactly if the response was 200."""
    name = FILE.replace("*", marks[case.name])
    assert [file for file in stored_files if marks[case.name] in file] == [name] * case.stored
    if case.stored:
        assert name in fetch(f"/simple/{name.partition('-')[0].replace('_', '-')}/", user="verify").body


def test_leaves_no_other_files(stored_files):
    """Aborted uploads leave no files, neither under names of other parts nor temporary ones."""
    assert [name for name in stored_files if name.startswith((".", "other", "acme_oddest"))] == []


def test_logs_aborted_upload(stored_files, marks, logs, address):
    """The audit log contains the user, the address and the file name."""
    assert stored_files
    (line,) = logs.matching(filename=FILE.replace("*", marks["cut in a large file"]))
    assert (line["event"], line["user"], line["address"]) == ("refused", "bob", address)
    assert "read error" in line["reason"]


def test_server_remains_healthy(stored_files, fetch):
    """The requests do not affect the health of the server."""
    assert stored_files
    response = fetch("/-/health")
    assert (response.status, response.body.strip()) == (200, "Ok")


def test_one_of_concurrent_uploads_wins(send_raw, login, on_disk, fetch, logs):
    """Of twelve simultaneous uploads of one name with different content, one succeeds, and its content is served."""
    name = f"acme_contested_{uuid.uuid4().hex[:8]}-1.0.tar.gz"
    project = name.partition("-")[0]
    archives = [sdist(project, more=f"Summary: number {number}\n") for number in range(12)]
    requests = [hold_last_byte(request(form(name, archive), login=login("bob"))) for archive in archives]
    responses = [response for (response,) in send_raw(*requests, simultaneous=True)]
    assert sorted(response.status for response in responses) == [200] + [409] * 11
    assert all("File already exists" in response.body for response in responses if response.status == 409)
    winner = hashlib.sha256(archives[[response.status for response in responses].index(200)]).hexdigest()
    assert on_disk(project) == [name]
    assert f"#sha256={winner}" in fetch(f"/simple/{project.replace('_', '-')}/", user="verify").body
    assert [line["sha256"] for line in logs.matching(event="upload", filename=name)] == [winner]


def test_concurrent_identical_uploads_succeed(send_raw, login, on_disk, logs):
    """Twelve simultaneous uploads of the same file all return 200, as in a matrix of CI jobs."""
    name = f"acme_alike_{uuid.uuid4().hex[:8]}-1.0.tar.gz"
    archive = sdist(name.partition("-")[0])
    requests = [hold_last_byte(request(form(name, archive), login=login("bob")))] * 12
    assert [response.status for (response,) in send_raw(*requests, simultaneous=True)] == [200] * 12
    assert on_disk(name.partition("-")[0]) == [name]
    events = sorted(line["event"] for line in logs.matching(filename=name))
    assert events == ["same"] * 11 + ["upload"]


def hold_last_byte(whole: bytes) -> RawRequest:
    """Split off the last byte, which send_all() holds back until all other requests are sent."""
    return RawRequest((whole[:-1], whole[-1:]))
