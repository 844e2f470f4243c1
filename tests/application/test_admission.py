"""Admission control: which requests are read at all, and how many at a time."""

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from support.archives import fitting
from support.processes import PATIENCE
from support.web import ADDRESS, BOUNDARY, Answer, Index, multipart, upload_form
from wheelhouse.audit.rate_limit import ENTRIES_PER_WINDOW
from wheelhouse.errors import BusyError, InsufficientStorageError
from wheelhouse.web.admission import Admission
from wheelhouse.web.body import RequestBody

KIND = f"multipart/form-data; boundary={BOUNDARY}"
OTHER_ADDRESS = "198.51.100.9"
FILES = [f"foo-1.{number}.tar.gz" for number in range(40)]

NO_RIGHT = "carol is not allowed to upload or remove anything here (pypi_rights)"
CHUNKED = "Send the length of the upload (Content-Length): this index takes no chunked bodies"
TOO_LARGE = "The upload has 5000 bytes, and this index accepts at most 4096 (pypi_max_upload_size)"
BUSY = "This index takes at most 2 uploads at a time (pypi_max_uploads). Try again in a moment"
BUSY_USER = (
    "This index takes at most 1 uploads of the user alice at a time (pypi_max_uploads_per_client). "
    "Try again in a moment"
)
BUSY_ADDRESS = (
    f"This index takes at most 1 uploads of the address {ADDRESS} at a time (pypi_max_uploads_per_client). "
    "Try again in a moment"
)
TIMED_OUT = "Apache/mod_wsgi request data read error: The timeout specified has expired."
TOO_SLOW = (
    "The upload was too slow: it has a minimum average rate and a deadline (pypi_upload_min_rate, pypi_upload_deadline)"
)


class Unread(io.RawIOBase):
    """A body that must not be read: reading it would send the client a 100 Continue."""

    def read(self, _size: int = -1) -> bytes:
        """Fail."""
        raise AssertionError("the body was read")

    readline = readlines = readinto = __next__ = read


class Paused(io.BytesIO):
    """A body that arrives only after its release. started: set when the application begins to read it."""

    def __init__(self, body: bytes):
        super().__init__(body)
        self.started, self.released = threading.Event(), threading.Event()

    def read(self, size: int | None = -1) -> bytes:
        """Wait for the release."""
        self.started.set()
        assert self.released.wait(PATIENCE)
        return super().read(size)


class Uploads:
    """Uploads in progress."""

    def __init__(self, index: Index):
        self._index, self._threads = index, ThreadPoolExecutor(48)
        self._bodies: list[Paused] = []

    def begin(self, filename: str, user: str = "alice", address: str = ADDRESS) -> Future[Answer]:
        """Begin an upload. Returns once the application waits for its body, with the future response."""
        body = multipart(upload_form(filename, fitting(filename)))
        paused = Paused(body)
        self._bodies.append(paused)
        environ = {"CONTENT_TYPE": KIND, "wsgi.input": paused, "REMOTE_ADDR": address}
        future = self._threads.submit(self._index.request, "POST", "/", user, body, **environ)
        assert paused.started.wait(PATIENCE)
        return future

    def release(self) -> None:
        """Let the bodies of all uploads in progress arrive."""
        for body in self._bodies:
            body.released.set()
        self._bodies.clear()

    def end(self) -> None:
        """Release and wait."""
        self.release()
        self._threads.shutdown()


@pytest.fixture
def uploads(index: Index) -> Iterator[Uploads]:
    """Keep uploads in progress on the index."""
    found = Uploads(index)
    yield found
    found.end()


def send(index: Index, user: str | None = "alice", *, length: int = 1000, **environ: object) -> Answer:
    """Send a request of which no body byte may be read."""
    environ = {"CONTENT_TYPE": KIND, "CONTENT_LENGTH": str(length), "wsgi.input": Unread()} | environ
    return index.request("POST", "/", user, **environ)


def upload(index: Index, filename: str, user: str = "alice", address: str = ADDRESS) -> Answer:
    """Upload a file from an address."""
    return index.post(upload_form(filename, fitting(filename)), user, REMOTE_ADDR=address)


def assert_rejected(index: Index, answer: Answer, code: int, reason: str, event: str, user: str) -> None:
    """Check the whole response, and that the last line of the audit log has the rejection."""
    assert answer.status == f"{code} {reason}"
    assert answer.body == f"{reason}\n"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    line = index.audit()[-1]
    expected = {"event": event, "user": user, "address": ADDRESS, "reason": reason}
    assert {name: line[name] for name in expected} == expected


@pytest.mark.parametrize("path", ["/", "/legacy", "/legacy/"])
@pytest.mark.parametrize(
    ("user", "environ", "code", "reason", "event"),
    [
        ("carol", {}, 403, NO_RIGHT, "denied"),
        ("alice", {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}, 411, CHUNKED, "refused"),
        ("alice", {"CONTENT_LENGTH": "5000"}, 413, TOO_LARGE, "refused"),
        # Which rejection comes first: a user without any right is told nothing about limits.
        ("carol", {"HTTP_TRANSFER_ENCODING": "chunked"}, 403, NO_RIGHT, "denied"),
        ("carol", {"CONTENT_LENGTH": "5000"}, 403, NO_RIGHT, "denied"),
    ],
    ids=["403", "411", "413", "403 before 411", "403 before 413"],
)
def test_rejects_before_the_body_is_read(
    index: Index, path: str, user: str, environ: dict, code: int, reason: str, event: str
) -> None:
    """The response and the audit log contain the reason, and the client is not asked for its body."""
    index.start(max_upload_size=4096)
    answer = send(index, user, PATH_INFO=path, **environ)
    assert_rejected(index, answer, code, reason, event, user)
    assert "Retry-After" not in answer.headers
    assert len(index.audit()) == 1
    assert index.stored() == {}


def test_rejects_requests_without_a_user_before_the_body_is_read(index: Index) -> None:
    """Clients without a login learn nothing about rights and limits."""
    index.start(max_upload_size=4096)
    for environ in ({}, {"HTTP_TRANSFER_ENCODING": "chunked"}, {"CONTENT_LENGTH": "5000"}):
        answer = send(index, None, **environ)
        assert_rejected(index, answer, 401, "Log in with a user and a password of this index", "denied", "")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(("length", "code"), [(-1, 413), (0, 200), (1, 200)])
def test_accepts_bodies_up_to_the_limit(index: Index, length: int, code: int) -> None:
    """The limit applies to the whole body; a body of this size is accepted. length: the limit less the body's."""
    body = multipart(upload_form(FILES[0], fitting(FILES[0])))
    index.start(max_upload_size=len(body) + length)
    assert index.upload(FILES[0]).code == code


@pytest.mark.parametrize("right", ["upload", "remove"])
def test_any_right_admits(index: Index, right: str) -> None:
    """The project of a request is only known from its body, so any right is sufficient here."""
    index.allow({"users": ["carol"], "may": [right], "projects": ["something-else"]})
    assert index.upload(FILES[0], user="carol").status == "403 carol is not allowed to upload foo"


def test_membership_of_a_group_admits(index: Index) -> None:
    """User bob has his rights as a member of the group publishers."""
    assert index.upload("foo-1.0.tar.gz", user="bob").code == 200


@pytest.mark.parametrize(
    ("limits", "user", "address", "reason"),
    [
        ({"max_uploads": 2}, "carol", ADDRESS, BUSY),
        ({"max_uploads_per_client": 1}, "alice", ADDRESS, BUSY_USER),
        ({"max_uploads_per_client": 1}, "carol", ADDRESS, BUSY_ADDRESS),
    ],
    ids=["in all", "per user", "per address"],
)
def test_rejects_more_uploads_than_allowed(
    index: Index, uploads: Uploads, limits: dict, user: str, address: str, reason: str
) -> None:
    """The client gets Retry-After; uploads in progress continue, and each one that ends admits another."""
    index.allow({"users": ["alice", "bob", "carol"], "may": ["upload"], "projects": ["*"]})
    index.start(**limits)
    running = [uploads.begin(FILES[0], "alice", ADDRESS)]
    if "max_uploads" in limits:
        running.append(uploads.begin(FILES[1], "bob", OTHER_ADDRESS))
    answer = send(index, user, REMOTE_ADDR=address)
    assert_rejected(index, answer, 503, reason, "refused", user)
    assert answer.headers["Retry-After"] == "5"
    assert index.events() == ["refused"]
    uploads.release()
    assert [future.result().code for future in running] == [200] * len(running)
    assert upload(index, FILES[2], user, address).code == 200


def test_the_limit_per_user_covers_all_addresses(index: Index, uploads: Uploads) -> None:
    """One login in several places counts as one client."""
    index.start(max_uploads_per_client=2)
    uploads.begin(FILES[0], "alice", "192.0.2.1")
    uploads.begin(FILES[1], "alice", "192.0.2.2")
    answer = send(index, "alice", REMOTE_ADDR="192.0.2.3")
    assert answer.status.startswith("503 This index takes at most 2 uploads of the user alice at a time")


def test_the_limit_per_address_covers_all_users(index: Index, uploads: Uploads) -> None:
    """Several users at one address count as one client."""
    index.start(max_uploads_per_client=2)
    uploads.begin(FILES[0], "alice")
    uploads.begin(FILES[1], "bob")
    index.allow({"users": ["carol"], "may": ["upload"], "projects": ["*"]})
    assert f"2 uploads of the address {ADDRESS}" in send(index, "carol").status


def test_a_user_at_the_limit_does_not_keep_others_out(index: Index, uploads: Uploads) -> None:
    """User bob uploads from his address while alice has reached her limit."""
    index.start(max_uploads=4, max_uploads_per_client=2)
    for filename in FILES[:2]:
        uploads.begin(filename, "alice")
    for _ in range(3):
        assert send(index, "alice").code == 503
        assert send(index, "alice", REMOTE_ADDR=OTHER_ADDRESS).code == 503
    # Rejected requests occupy no slots, neither alice's nor those of the other address that she used.
    assert upload(index, FILES[2], "bob", OTHER_ADDRESS).code == 200


def test_users_and_addresses_are_counted_apart(index: Index, uploads: Uploads) -> None:
    """A user named like an address, or like the total, has a separate count."""
    users = [ADDRESS, "", "all", "user"]
    index.allow({"users": users, "may": ["upload"], "projects": ["*"]})
    index.start(max_uploads_per_client=1)
    uploads.begin(FILES[0], ADDRESS, OTHER_ADDRESS)
    assert upload(index, FILES[1], "all", ADDRESS).code == 200
    assert upload(index, FILES[2], "user", "203.0.113.1").code == 200


def raise_error(*_arguments: object, **_named: object) -> None:
    """Raise an unexpected error."""
    raise RuntimeError("a defect")


def disk_is_full(*_arguments: object) -> None:
    """Reject as if there were no free space."""
    raise InsufficientStorageError("The disk is full")


ENDS: dict[str, tuple[Callable[[Index], Answer], str | None, Callable | None]] = {
    "success": (lambda index: index.upload(FILES[1]), None, None),
    "403": (lambda index: index.upload("bar-1.0.tar.gz", user="bob"), None, None),
    "400": (lambda index: index.upload(FILES[1], b"no archive"), None, None),
    "truncated": (lambda index: index.post(upload_form(FILES[1], fitting(FILES[1])), whole=False), None, None),
    "404": (lambda index: index.remove("no-such-project", "1.0"), None, None),
    "405": (lambda index: index.request("DELETE", "/", "alice"), None, None),
    "no form": (lambda index: index.request("POST", "/", "alice"), None, None),
    "507": (lambda index: index.upload(FILES[1]), "wheelhouse.storage.quota.Quota.check_available", disk_is_full),
    "exception in reading": (
        lambda index: index.upload(FILES[1]),
        "wheelhouse.web.body.RequestBody.chunks",
        raise_error,
    ),
    "exception in publishing": (
        lambda index: index.upload(FILES[1]),
        "wheelhouse.storage.store.Store.publish",
        raise_error,
    ),
    "exception in pypiserver": (lambda index: index.upload(FILES[1]), "pypiserver.Bottle.__call__", raise_error),
}


@pytest.mark.parametrize(("send_request", "function", "failure"), ENDS.values(), ids=ENDS.keys())
def test_finished_requests_do_not_count(
    index: Index,
    monkeypatch: pytest.MonkeyPatch,
    send_request: Callable[[Index], Answer],
    function: str | None,
    failure: Callable | None,
) -> None:
    """After a request ends, however it ends, the next one of the same user and address is admitted."""
    index.start(max_uploads=1, max_uploads_per_client=1)
    with monkeypatch.context() as patch:
        if function:
            patch.setattr(function, failure)
        for _ in range(3):
            with contextlib.suppress(RuntimeError):
                assert "at a time" not in send_request(index).status
    assert index.upload(FILES[0]).code == 200
    assert index.upload("foo-2.0.tar.gz", user="bob").code == 200


def test_health_is_not_limited(index: Index, uploads: Uploads) -> None:
    """A busy index is healthy, and health checks occupy no slots."""
    index.start(max_uploads=1, max_uploads_per_client=1)
    running = uploads.begin(FILES[0])
    for _ in range(3):
        assert index.request("GET", "/-/health").status == "200 OK"
    assert send(index).code == 503
    uploads.release()
    assert running.result().code == 200


def test_health_does_not_read_a_body(index: Index) -> None:
    """Health checks need no login, so they must not wait for a body."""
    answer = index.request("GET", "/-/health", CONTENT_LENGTH="1000", **{"wsgi.input": Unread()})
    assert answer.code == 200


def test_many_uploads_at_once(index: Index, uploads: Uploads) -> None:
    """Exactly the allowed number is admitted, each slot is used once, and all admitted uploads are published."""
    index.start(max_uploads=24, max_uploads_per_client=8)
    allowed = [("alice", "192.0.2.1"), ("bob", "192.0.2.2"), ("carol", "192.0.2.3")]
    index.allow({"users": ["alice", "bob", "carol", "dave"], "may": ["upload"], "projects": ["*"]})
    running = [uploads.begin(filename, *allowed[number % 3]) for number, filename in enumerate(FILES[:24])]
    with ThreadPoolExecutor(8) as threads:
        rejected = list(threads.map(lambda _: send(index, "dave", REMOTE_ADDR="192.0.2.4").code, range(40)))
    assert rejected == [503] * 40
    uploads.release()
    assert [future.result().code for future in running] == [200] * 24
    assert index.stored().keys() == set(FILES[:24])
    assert index.events().count("refused") == ENTRIES_PER_WINDOW
    assert upload(index, FILES[30], "dave", "192.0.2.4").code == 200
    *_, last = [line for line in index.audit() if line["event"] == "refused"]
    assert last["reason"].startswith(f"and {40 - ENTRIES_PER_WINDOW} more requests of this user were rejected")


class Everybody:
    """A policy that gives every user some right."""

    def has_any_right(self, _user: str) -> bool:
        """Return True."""
        return True


def test_limit_is_atomic() -> None:
    """Of two threads that request the last slot concurrently, one gets it (race)."""
    both = threading.Barrier(2)
    overlaps: list[int] = []

    class Limits:
        """Limits that two threads read concurrently unless a lock prevents it."""

        max_upload_size, max_uploads_per_client = 10, 10

        @property
        def max_uploads(self) -> int:
            with contextlib.suppress(threading.BrokenBarrierError):
                overlaps.append(both.wait(0.2))
            return 1

    admission = Admission(Everybody(), Limits())
    decided = threading.Barrier(2)

    def ask(number: int) -> bool:
        body = RequestBody({"CONTENT_LENGTH": "10", "wsgi.input": Unread()})
        try:
            with admission.admit(f"user{number}", f"192.0.2.{number}", body):
                decided.wait(PATIENCE)
                return True
        except BusyError:
            decided.wait(PATIENCE)
            return False

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(ask, range(2))) == [False, True]
    assert overlaps == []


class TimedOut(io.BytesIO):
    """A body that is incomplete when Apache's mod_reqtimeout ends it; mod_wsgi then raises."""

    def __init__(self, body: bytes, arrived: int):
        super().__init__(body[:arrived])

    def read(self, size: int | None = -1) -> bytes:
        """Raise at the end of the received part."""
        if chunk := super().read(size):
            return chunk
        raise OSError(TIMED_OUT)


@pytest.mark.parametrize("part", [0, 0.5, 1], ids=["at once", "in the middle", "before the last byte"])
def test_slow_bodies_are_408(index: Index, part: float) -> None:
    """The client gets 408 and the names of the settings; the audit log has the rejection; no file is left."""
    body = multipart(upload_form(FILES[0], fitting(FILES[0])))
    stream = TimedOut(body, int(part * (len(body) - 1)))
    index.start(max_uploads=1, max_uploads_per_client=1)
    answer = index.request("POST", "/", "alice", body, CONTENT_TYPE=KIND, **{"wsgi.input": stream})
    assert_rejected(index, answer, 408, TOO_SLOW, "refused", "alice")
    assert index.events() == ["refused"]
    assert index.stored() == {}
    assert index.page("foo") is None
    assert index.upload(FILES[0]).code == 200


def test_slow_files_are_408(index: Index) -> None:
    """The temporary file of a partly received upload is deleted; the audit log has its name."""
    content = bytes(3 << 20)
    body = multipart(upload_form(FILES[0], content))
    stream = TimedOut(body, len(body) - (1 << 20))
    answer = index.request("POST", "/", "alice", body, CONTENT_TYPE=KIND, **{"wsgi.input": stream})
    assert_rejected(index, answer, 408, TOO_SLOW, "refused", "alice")
    assert index.audit()[-1]["filename"] == FILES[0]
    assert index.stored() == {}


@pytest.mark.parametrize("user", ["alice", "carol"])
def test_unavailable_data_is_reported_first(index: Index, user: str) -> None:
    """Without the data directory there is no audit log to write to, and no body is read."""
    (index.data / ".wheelhouse").unlink()
    answer = send(index, user)
    assert answer.status == "503 The data directory is not that of an index: its marker, .wheelhouse, cannot be read."
    assert answer.headers["Retry-After"] == "30"
    assert index.audit() == []
