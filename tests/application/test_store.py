"""The store: used filenames, concurrency, and uploads that fail half-way."""

import errno
import io
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support import short
from support.archives import fitting, sdist, wheel
from support.pages import sha256
from support.processes import PATIENCE, exit_codes
from support.web import BOUNDARY, Index, multipart, upload_form
from wheelhouse.audit.log import AuditLog
from wheelhouse.cli.pages import reconciler_of
from wheelhouse.config import Settings
from wheelhouse.distributions.archives.check import check_archive
from wheelhouse.pages.writer import PageWriter
from wheelhouse.web.backend import is_release
from wheelhouse.web.body import READ_SIZE

WHEEL = "foo-1.0-py3-none-any.whl"
SDIST = "foo-1.0.tar.gz"
OTHER = sdist(more="Summary: another one\n")


@pytest.mark.parametrize(
    ("filename", "name", "version", "expected"),
    [
        ("my-proj-1.0.tar.gz", "my-proj", "1.0.0", True),
        ("My_Proj-1.0-py3-none-any.whl", "my-proj", "v1", True),
        ("my_proj-1.1.tar.gz", "my-proj", "1.0", False),
        ("my_proj_extra-1.0.tar.gz", "my-proj", "1.0", False),
        ("foo-3d-1.0.tar.gz", "foo-3d", "1.0", True),
        ("foo-3d-1.0.tar.gz", "foo", "3d-1.0", False),
        ("foo-1.0-1-py3-none-any.whl", "foo", "1.0", True),
        ("foo-1.0-1-py3-none-any.whl", "foo", "1.0.post1", False),
        ("foo-1.0.post1-py3-none-any.whl", "foo", "1.0-1", True),
        ("foo-1.0rc1.tar.gz", "foo", "1.0-RC.1", True),
        ("foo-1.0.tar.gz", "foo", "1.0+local", False),
        ("foo-1.0.tar.gz", "foo", "1!1.0", False),
        ("foo-1.0.tar.gz", "foo", "*", False),
        ("foo-1.0.tar.gz", "foo", "", False),
        ("notes.txt", "notes", "1.0", False),
    ],
    ids=short,
)
def test_is_release(filename: str, name: str, version: str, expected: bool) -> None:
    """Removals use this: every spelling matches the release, and no other release matches."""
    assert is_release(filename, name, version) is expected


def test_upload_is_idempotent(index: Index) -> None:
    """A CI job that was interrupted after its upload can be retried."""
    assert index.upload(SDIST).code == 200
    path = index.packages / SDIST
    before = (path.stat(), index.page("foo"))
    assert index.upload(SDIST).code == 200
    assert (path.stat(), index.page("foo")) == before
    assert index.events() == ["upload", "same"]


@pytest.mark.parametrize("filename", [SDIST, WHEEL])
def test_retry_after_a_lost_response(index: Index, filename: str) -> None:
    """A connection may break after the file was published: retrying returns 200."""
    published = index.application

    def cut_off(environ: dict, _start_response: Callable) -> None:
        """Drop the response."""
        list(published(environ, lambda *_answer: None))
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    index.application = cut_off
    with pytest.raises(ConnectionResetError):
        index.upload(filename)
    index.application = published
    before = (index.stored(), index.page("foo"))
    assert before == ({filename: fitting(filename)}, {filename: sha256(fitting(filename))})
    for _ in range(2):
        assert index.upload(filename).status == "200 OK"
    # For a client that sends no digest, identical content is detected after the file has arrived.
    form = [part for part in upload_form(filename, fitting(filename)) if part.name != "sha256_digest"]
    assert index.post(form).status == "200 OK"
    assert index.upload(filename, fitting(filename, "Summary: another\n")).code == 409
    assert (index.stored(), index.page("foo")) == before
    assert index.events() == ["upload", "same", "same", "same", "refused"]


def test_retry_after_a_crash_before_the_response(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process is killed after it has written the page and before it responds: the client gets 500 and retries."""
    refresh = PageWriter.refresh

    def killed(*arguments: object, **more: object) -> None:
        refresh(*arguments, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(PageWriter, "refresh", killed)
    monkeypatch.setattr("wheelhouse.storage.store.Store._unpublish", lambda *_arguments: None)
    monkeypatch.setattr("wheelhouse.storage.store.Store._audit_rollback", lambda *_arguments: None)
    with pytest.raises(KeyboardInterrupt):
        index.upload(SDIST)
    monkeypatch.undo()
    assert list(index.stored()) == [SDIST]
    assert index.upload(SDIST).status == "200 OK"
    assert index.stored() == {SDIST: fitting(SDIST)}
    assert index.page("foo") == {SDIST: sha256(fitting(SDIST))}
    assert index.events() == ["upload", "same"]


def test_retry_writes_a_missing_page(index: Index) -> None:
    """After a 200 response, the file can be installed, even if the first upload ended before it wrote the page."""
    (index.packages / SDIST).write_bytes(fitting(SDIST))
    assert index.upload(SDIST).code == 200
    assert index.page("foo") == {SDIST: sha256(fitting(SDIST))}
    assert index.events() == ["same"]


def test_identical_copied_files_are_not_checked(index: Index) -> None:
    """A copied file is published as it is, without the checks of an upload."""
    content = b"no archive"
    (index.packages / SDIST).write_bytes(content)
    assert index.upload(SDIST, content).code == 200


@pytest.mark.parametrize("content", [OTHER, fitting(SDIST)], ids=["other bytes", "the same bytes"])
@pytest.mark.parametrize("spelling", ["Foo-1.0.tar.gz", "foo-1.0.0.tar.gz", "foo-v1.0.tar.gz"])
def test_rejects_another_spelling(index: Index, spelling: str, content: bytes) -> None:
    """Installers treat both spellings as one file, and would get either of them."""
    index.upload(SDIST)
    answer = index.post(upload_form(spelling, content))
    assert answer.code == 409
    assert f"File already exists as {SDIST}, another spelling of {spelling}. Use a new version" in answer.reason
    assert list(index.stored()) == [SDIST]


def test_accepts_several_files_of_a_release(index: Index) -> None:
    """A release may have a wheel and an sdist, and several wheels for different platforms."""
    for filename in (WHEEL, SDIST, "foo-1.0-1-py3-none-any.whl", "foo-1.0-py3-none-win32.whl"):
        assert index.upload(filename).code == 200


def test_rejects_used_names_before_receiving(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is in the form before the file: no byte of the file is written."""
    index.upload(SDIST)
    written = []
    monkeypatch.setattr(
        "wheelhouse.storage.upload_file.TemporaryUpload.write", lambda _self, chunk: written.append(chunk)
    )
    assert index.upload(SDIST, OTHER).code == 409
    assert index.upload("bar-1.0.tar.gz", user="bob").code == 403
    assert index.upload("no distribution").code == 400
    assert written == []


@pytest.mark.parametrize(("user", "code", "read"), [("bob", 403, READ_SIZE), ("carol", 403, 0), (None, 401, 0)])
def test_rejected_bodies_are_not_read_further(index: Index, user: str | None, code: int, read: int) -> None:
    """The rest of a rejected body occupies no thread: Apache discards it and closes the connection."""
    body = multipart(upload_form("bar-1.0.tar.gz", bytes(3 * READ_SIZE)))
    stream = io.BytesIO(body + b"the next request")
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    answer = index.request("POST", "/", user, body, CONTENT_TYPE=kind, **{"wsgi.input": stream})
    assert answer.code == code
    assert stream.tell() == read


def test_reads_the_file_once(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing the page of a large file does not hash and unpack it again."""
    monkeypatch.setattr("wheelhouse.pages.file_records.sha256_of", None)
    monkeypatch.setattr("wheelhouse.pages.file_records.read_metadata", None)
    assert index.upload(WHEEL, wheel(more="Requires-Python: >=3.8\n")).code == 200
    (file,) = json.loads((index.pages / "projects/foo.json").read_text())["files"]
    monkeypatch.undo()
    reconciler_of(Settings.load(index.settings)).rebuild()
    (index.pages / "records/foo.json").unlink()
    reconciler_of(Settings.load(index.settings)).rebuild()
    assert json.loads((index.pages / "projects/foo.json").read_text())["files"] == [file]


def test_never_overwrites_a_copied_file(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is copied during the checks of an upload is not overwritten, and the log has the outcome (race)."""

    def overtaken(source: Path, target: Path) -> None:
        target.write_bytes(OTHER)
        raise FileExistsError(errno.EEXIST, "File exists", str(source))

    monkeypatch.setattr(os, "link", overtaken)
    answer = index.upload(SDIST)
    assert answer.code == 409
    assert index.stored() == {SDIST: OTHER}
    assert index.events() == ["upload", "undone"]
    assert "File already exists" in index.audit()[-1]["reason"]


def test_identical_copy_during_the_upload(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore creates the same file during the upload: no new version is needed."""

    def overtaken(source: Path, target: Path) -> None:
        target.write_bytes(Path(source).read_bytes())
        raise FileExistsError(errno.EEXIST, "File exists", str(source))

    monkeypatch.setattr(os, "link", overtaken)
    answer = index.upload(SDIST)
    assert answer.code == 503
    assert "Send it again" in answer.body
    assert index.upload(SDIST).code == 200
    assert index.events() == ["upload", "undone", "same"]


def test_identical_file_disappears_during_the_upload(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the identical file disappears during the check, the client is told to retry."""
    index.upload(SDIST)
    seen = iter([True, True, False])
    monkeypatch.setattr("wheelhouse.storage.used_names.UsedFilenames.check_available", lambda *_: next(seen))
    answer = index.upload(SDIST)
    assert answer.code == 503
    assert "Send it again" in answer.body


class TestRemoved:
    """The name of a removed file cannot be used for other bytes (tombstones)."""

    @pytest.fixture(autouse=True)
    def removed(self, index: Index) -> None:
        """Upload an sdist and remove it."""
        index.upload(SDIST)
        assert index.remove("foo", "1.0").code == 200

    def test_other_bytes(self, index: Index) -> None:
        """Clients that pin the hash would fail, and other clients would get different content."""
        answer = index.upload(SDIST, OTHER)
        assert answer.code == 409
        assert "Use a new version, or ask the index administrator for: wheelhouse release-name" in (answer.reason)
        assert index.stored() == {}

    def test_rejects_another_spelling(self, index: Index) -> None:
        """Installers treat it as the same file."""
        assert index.post(upload_form("Foo-1.0.0.tar.gz", OTHER)).code == 409

    def test_the_same_bytes(self, index: Index) -> None:
        """Files that were removed by mistake can be restored."""
        assert index.upload(SDIST).code == 200
        assert index.page("foo") == {SDIST: sha256(fitting(SDIST))}

    def test_others(self, index: Index) -> None:
        """Other files of the release, and new versions, can be uploaded."""
        assert index.upload(WHEEL).code == 200
        assert index.upload("foo-1.1.tar.gz").code == 200

    def test_rejects_everything_without_readable_tombstones(self, index: Index) -> None:
        """Without readable tombstones, all uploads are rejected (fail closed)."""
        (index.data / "state/tombstones.json").write_text("{")
        assert index.upload(SDIST, OTHER).code == 503
        assert index.stored() == {}


def failing(error: Exception) -> Callable:
    """Return a function that always fails."""

    def fail(*_arguments: object, **_more: object) -> None:
        raise error

    return fail


FULL = OSError(errno.ENOSPC, "No space left on device")
FAILURES = {
    "no link": ("os.link", OSError(errno.EMLINK, "Too many links"), 503),
    "no space for a name": ("os.link", FULL, 507),
    "a bug": ("os.link", RuntimeError("bug"), 503),
    "no directory entry": ("wheelhouse.storage.store.sync_directory", OSError(errno.EIO, "Input/output error"), 503),
    "no page": ("wheelhouse.pages.writer.PageWriter.refresh", FULL, 507),
    "a broken page": ("wheelhouse.pages.writer.PageWriter.refresh", ValueError("broken"), 503),
}


@pytest.mark.parametrize(("where", "error", "code"), FAILURES.values(), ids=FAILURES.keys())
def test_rolls_back_after_a_failure(
    index: Index, monkeypatch: pytest.MonkeyPatch, where: str, error: Exception, code: int
) -> None:
    """The file is withdrawn, the log has an `undone` entry, and the client can retry."""
    index.start(new_projects="first_uploader")
    monkeypatch.setattr(where, failing(error))
    assert index.upload(SDIST).code == code
    monkeypatch.undo()
    assert index.stored() == {}
    assert index.events() == ["claimed", "upload", "undone"]
    assert index.audit()[-1]["reason"] == (getattr(error, "strerror", None) or str(error))
    assert json.loads((index.data / "state/claims.json").read_text()) == {}
    reconciler_of(Settings.load(index.settings)).sync_changed()
    assert index.page("foo") is None
    assert index.upload(SDIST).code == 200


@pytest.mark.parametrize("error", [FULL, OSError(errno.EIO, "Input/output error"), ValueError("broken")], ids=str)
@pytest.mark.parametrize("first_uploader", [True, False])
def test_no_upload_without_an_audit_entry(
    index: Index, monkeypatch: pytest.MonkeyPatch, error: Exception, first_uploader: bool
) -> None:
    """An upload that cannot be logged is not stored, and was never visible."""
    if first_uploader:
        index.start(new_projects="first_uploader")
    linked = []
    monkeypatch.setattr(os, "link", lambda *names: linked.append(names))
    monkeypatch.setattr(AuditLog, "write", failing(error))
    assert index.upload(SDIST).code in (503, 507)
    assert linked == []
    assert index.stored() == {}
    claims = index.data / "state/claims.json"
    assert not claims.exists() or json.loads(claims.read_text()) == {}
    monkeypatch.undo()
    assert index.upload(SDIST).code == 200


def test_failed_upload_claims_nothing(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that fails does not log an owner."""
    index.start(new_projects="first_uploader")
    write, failed = AuditLog.write, []

    def once(self: AuditLog, event: str, **facts: object) -> None:
        if event == "upload" and not failed:
            failed.append(event)
            raise FULL
        write(self, event, **facts)

    monkeypatch.setattr(AuditLog, "write", once)
    assert index.upload(SDIST).code == 507
    assert index.events() == ["claimed", "undone"]
    assert json.loads((index.data / "state/claims.json").read_text()) == {}
    assert index.upload(SDIST).code == 200


def test_no_removal_without_an_audit_entry(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal that cannot be logged is not made."""
    index.upload(SDIST)
    monkeypatch.setattr(AuditLog, "write", failing(FULL))
    assert index.remove("foo", "1.0").code == 507
    monkeypatch.undo()
    assert index.page("foo").keys() == {SDIST} == index.stored().keys()
    assert index.upload(SDIST).code == 200


@pytest.mark.parametrize("where", ["pathlib.Path.unlink", "wheelhouse.storage.tombstones.Tombstones.add"])
def test_failed_removal_is_undone(index: Index, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """The log has an `undone` entry for the file that still exists."""
    index.upload(SDIST)
    monkeypatch.setattr(where, failing(OSError(errno.EROFS, "Read-only file system")))
    assert index.remove("foo", "1.0").code == 503
    monkeypatch.undo()
    assert list(index.stored()) == [SDIST]
    assert index.events()[-1] == "undone"
    assert index.remove("foo", "1.0").code == 200


def test_checks_the_right_again_under_the_lock(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two users who publish a new project concurrently, one owns it; the other's right is checked again (race)."""
    index.start(new_projects="first_uploader")
    index.allow(
        {"users": ["alice"], "may": ["upload"], "projects": ["f*"]},
        {"users": ["bob"], "may": ["upload"], "projects": ["f*"]},
    )
    inner = []

    def overtaken(*arguments: object) -> bytes:
        monkeypatch.undo()
        inner.append(index.upload("foo-2.0.tar.gz", user="bob"))
        return check_archive(*arguments)

    monkeypatch.setattr("wheelhouse.storage.store.check_archive", overtaken)
    answer = index.upload(SDIST, user="alice")
    assert [one.code for one in inner] == [200]
    assert answer.status == "403 alice is not allowed to upload foo, which belongs to bob"
    assert list(index.stored()) == ["foo-2.0.tar.gz"]


def at_once(index: Index, uploads: list[tuple[str, bytes]], user: str = "alice") -> list[int | None]:
    """Upload from several processes concurrently. Returns the last two digits of each status."""
    return exit_codes([lambda one=one: index.upload(*one, user=user).code % 100 for one in uploads])


@pytest.mark.parametrize("spellings", [[SDIST], [SDIST, "Foo-1.0.0.tar.gz"]], ids=["one name", "two spellings"])
def test_one_of_many_concurrent_uploads_wins(index: Index, spellings: list[str]) -> None:
    """Of concurrent uploads with one name and different content, one is stored and the others get 409 (race)."""
    variants = [sdist(more=f"Summary: {number}\n") for number in range(8)]
    codes = at_once(index, [(spellings[n % len(spellings)], content) for n, content in enumerate(variants)])
    assert sorted(codes) == [0] + [9] * 7
    (kept,) = index.stored().values()
    assert kept == variants[codes.index(0)]
    assert sorted(index.events()) == ["refused"] * 7 + ["upload"]
    assert index.page("foo") == {name: sha256(content) for name, content in index.stored().items()}


def test_names_are_locked_while_publishing(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the check of a project's names and the publication, no other spelling can be added."""
    link, codes = os.link, []
    other = threading.Thread(target=lambda: codes.append(index.upload("Foo-1.0.0.tar.gz").code))

    def slow(*names: object) -> None:
        monkeypatch.undo()
        other.start()
        other.join(0.5)
        link(*names)

    monkeypatch.setattr(os, "link", slow)
    assert index.upload(SDIST).code == 200
    other.join(PATIENCE)
    assert codes == [409]
    assert list(index.stored()) == [SDIST]


def test_concurrent_identical_uploads(index: Index) -> None:
    """Two runs of one job both get 200."""
    assert at_once(index, [(SDIST, fitting(SDIST))] * 6) == [0] * 6
    assert sorted(index.events()) == ["same"] * 5 + ["upload"]


def test_quota_of_concurrent_uploads(index: Index) -> None:
    """Concurrent uploads cannot both use the rest of the quota."""
    names = [f"bar{number}-1.0.tar.gz" for number in range(6)]
    size = len(fitting(names[0]))
    index.start(max_total_size=2 * size + size // 2)
    assert sorted(at_once(index, [(name, fitting(name)) for name in names])) == [0, 0, 7, 7, 7, 7]
    assert len(index.stored()) == 2


def test_permissions(index: Index) -> None:
    """Apache's group can read an uploaded file, others cannot; the temporary name is deleted."""
    umask = os.umask(0)
    try:
        index.upload(WHEEL, wheel())
    finally:
        os.umask(umask)
    status = (index.packages / WHEEL).stat()
    assert status.st_mode & 0o777 == 0o640
    assert status.st_nlink == 1
