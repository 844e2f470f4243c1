"""Property test: after any sequence of uploads and removals, files, pages and audit log agree."""

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from packaging.utils import canonicalize_name
from support.archives import escaped, fitting, sdist, sdist_members, tarred, wheel, zipped
from support.web import BOUNDARY, Answer, Index, Part, multipart, upload_form
from wheelhouse.__main__ import main
from wheelhouse.cli.pages import reconciler_of
from wheelhouse.config import Settings
from wheelhouse.distributions.filenames import canonical_filename, parse_filename, parse_project
from wheelhouse.errors import RequestError
from wheelhouse.web.backend import is_release

FILES = [
    "foo-1.0.tar.gz",
    "Foo-1.0.0.tar.gz",
    "foo-1.0-py3-none-any.whl",
    "foo-1.1.tar.gz",
    "acme_core-1.0.tar.gz",
    "acme-core-1.0.tar.gz",
    "acme.core-1.0.zip",
    "bar-1.0.tar.gz",
]
NO_FILES = ["", "foo.tar.gz", "../foo-1.0.tar.gz", ".htaccess", "foo-1.0.exe", "föö-1.0.tar.gz", "a" * 300 + "-1.0.zip"]
USERS = ["alice", "bob", "carol", None]
VARIANTS = [lambda name: fitting(name), lambda name: fitting(name, "Summary: another\n")]


def corrupted(filename: str) -> bytes:
    """Return an archive with valid name, metadata and form, and one wrong byte in another file."""
    try:
        name, version = parse_filename(filename)
    except RequestError:
        return b""
    if filename.endswith(".whl"):
        return wheel(name, str(version)).replace(b"answer = 42", b"answer = 43")
    members = sdist_members(name, str(version)) | {f"{escaped(name)}-{version}/setup.py": "answer = 42\n"}
    if filename.endswith(".zip"):
        return zipped(members).replace(b"answer = 42", b"answer = 43")
    content = bytearray(tarred(members))
    content[-12] ^= 1
    return bytes(content)


FAULTY = [
    corrupted,
    lambda _name: b"",
    lambda name: fitting(name)[:-30],
    lambda _name: sdist("other"),
    lambda _name: wheel("other"),
    lambda _name: tarred({"../x": "x"}),
]


class AnyUploads(RuleBasedStateMachine):
    """An index and its clients. published: the stored files; once: the content of each name that was used."""

    def __init__(self):
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.index = Index(Path(self._directory.name) / "index")
        self.published: dict[str, bytes] = {}
        self.once: dict[str, bytes] = {}
        self.lines = 0

    def teardown(self) -> None:
        """Check everything again, and clean up."""
        try:
            assert reconciler_of(Settings.load(self.index.settings)).check() == []
            assert main(["--settings", str(self.index.settings), "audit", "verify"]) == 0
        finally:
            self._directory.cleanup()

    def answered(self, answer: Answer) -> Answer:
        """Check a response: it has a message, and its audit log entry exists."""
        assert answer.code in (200, 400, 401, 403, 404, 409), answer
        assert answer.status.isprintable()
        new = self.index.audit()[self.lines :]
        assert new
        self.lines += len(new)
        if answer.code == 200:
            assert {line["event"] for line in new} <= {"upload", "same", "claimed", "removed", "tombstone"}
        else:
            assert [line["event"] for line in new] == ["denied" if answer.code in (401, 403) else "refused"]
            assert new[0]["reason"] == answer.reason
        return answer

    def expected(self, filename: str, user: str | None, content: bytes) -> int:
        """Return the status that an upload of a valid file should have."""
        if user is None:
            return 401
        project = parse_project(filename)
        if not (user == "alice" or (user == "bob" and (project == "foo" or project.startswith("acme-")))):
            return 403
        if filename in self.published:
            return 200 if self.published[filename] == content else 409
        name = canonical_filename(filename)
        if name in map(canonical_filename, self.published) or self.once.get(name, content) != content:
            return 409
        return 200

    @rule(filename=st.sampled_from(FILES), user=st.sampled_from(USERS), variant=st.sampled_from(VARIANTS))
    def upload(self, filename: str, user: str | None, variant) -> None:
        """Upload a valid file."""
        content = variant(filename)
        code = self.expected(filename, user, content)
        assert self.answered(self.index.upload(filename, content, user)).code == code
        if code == 200:
            self.published[filename] = content
            self.once[canonical_filename(filename)] = content

    @rule(filename=st.sampled_from([*FILES, *NO_FILES]), user=st.sampled_from(USERS), fault=st.sampled_from(FAULTY))
    def upload_faulty(self, filename: str, user: str | None, fault) -> None:
        """Upload a file that is not a distribution, or another distribution."""
        assert self.answered(self.index.upload(filename, fault(filename), user)).code != 200

    @rule(filename=st.sampled_from(FILES), cut=st.integers(1, 300), is_announced=st.booleans())
    def upload_truncated(self, filename: str, cut: int, is_announced: bool) -> None:
        """Send a truncated upload, with the Content-Length of the whole body or of the part."""
        whole = multipart(upload_form(filename, fitting(filename)))
        length = {} if is_announced else {"CONTENT_LENGTH": str(len(whole))}
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        answer = self.index.request("POST", "/", "alice", whole[: -min(cut, len(whole))], CONTENT_TYPE=kind, **length)
        # The last two bytes are a line end that parsers do not need unless Content-Length includes them.
        if cut <= 2 and is_announced and answer.code == 200:
            self.answered(answer)
            self.published[filename] = fitting(filename)
            self.once[canonical_filename(filename)] = fitting(filename)
        else:
            assert self.answered(answer).code in (400, 409)

    @rule(
        name=st.sampled_from(["foo", "FOO", "acme.core", "acme--core", "bar", "", "*"]),
        version=st.sampled_from(["1.0", "v1", "1.1", "2.0", "", "*"]),
        user=st.sampled_from(USERS),
    )
    def remove(self, name: str, version: str, user: str | None) -> None:
        """Remove a release."""
        meant = [one for one in self.published if is_release(one, canonicalize_name(name), version)]
        code = self.answered(self.index.remove(name, version, user)).code
        if user is None:
            assert code == 401
        elif user == "carol":  # without any right, the form is not read
            assert code == 403
        elif not (name and version):
            assert code == 400
        elif user != "alice":
            assert code == 403
        else:
            assert code == (200 if meant else 404)
            self.published = {one: content for one, content in self.published.items() if one not in meant}

    @rule(filename=st.sampled_from(FILES))
    def restart(self, filename: str) -> None:
        """Restart the application after a process was killed during an upload."""
        (self.index.packages / ".upload-killed").write_bytes(fitting(filename)[:50])
        self.index.start()

    @invariant()
    def nothing_is_lost_or_left(self) -> None:
        """Compare stored files and pages with what was accepted; no other file may exist."""
        assert self.index.stored() == self.published
        projects = {parse_project(filename) for filename in FILES}
        on_pages = {name: digest for project in projects for name, digest in (self.index.page(project) or {}).items()}
        assert on_pages == {name: hashlib.sha256(content).hexdigest() for name, content in self.published.items()}


AnyUploads.TestCase.settings = settings(settings.get_profile("kit"), max_examples=40, stateful_step_count=12)
TestAnyUploads = AnyUploads.TestCase


NAMES = st.sampled_from([":action", "content", "name", "version", "filetype", "gpg_signature", "attestations", "x", ""])
VALUES = st.sampled_from([b"file_upload", b"remove_pkg", b"doc_upload", b"foo", b"1.0", b"sdist", b"", b"\xff"])
FILENAMES = st.none() | st.sampled_from(
    ["foo-1.0.tar.gz", "foo-1.0-py3-none-any.whl", "", "x", "../foo-1.0.zip", "f\r\nx"]
)
PARTS = st.lists(st.builds(Part, NAMES, VALUES | st.just(sdist()), FILENAMES), max_size=6)


@pytest.fixture
def _no_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the rate limit, so that every rejection is logged separately."""
    monkeypatch.setattr("wheelhouse.audit.rate_limit.ENTRIES_PER_WINDOW", 1 << 30)


@pytest.mark.usefixtures("_no_rate_limit")
@given(PARTS, st.sampled_from(USERS), st.integers(0, 3), st.data())
def test_any_form(index: Index, parts: list[Part], user: str | None, damages: int, data: st.DataObject) -> None:
    """Any body gets a message and an audit log entry, and leaves no partial or temporary file."""
    body = bytearray(multipart(parts))
    for _ in range(damages):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    lines = len(index.audit())
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    answer = index.request("POST", "/", user, bytes(body), CONTENT_TYPE=kind)
    assert answer.code in (200, 400, 401, 403, 404, 409), answer
    assert answer.status.isprintable()
    assert len(index.audit()) > lines
    stored = index.stored()
    assert stored in ({}, {"foo-1.0.tar.gz": sdist()})
    assert (index.page("foo") or {}).keys() == stored.keys()


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_a_body_of_noise(index: Index, size: int) -> None:
    """Any bytes."""
    for kind in (f"multipart/form-data; boundary={BOUNDARY}", "application/x-www-form-urlencoded", "image/png"):
        assert index.request("POST", "/", "alice", os.urandom(size), CONTENT_TYPE=kind).code == 400
    assert index.events() == ["refused"] * 3
