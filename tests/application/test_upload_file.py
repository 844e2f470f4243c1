"""Temporary uploads: digests, atomic publication, cleanup."""

import fcntl
import hashlib
import os
import threading
from pathlib import Path
from unittest.mock import patch

import pytest
from support import short
from support.processes import CRASHED, exit_code
from support.web import Index
from wheelhouse.__main__ import main
from wheelhouse.cli.pages import reconciler_of
from wheelhouse.config import Settings
from wheelhouse.errors import RequestError
from wheelhouse.files import atomic
from wheelhouse.files.atomic import TEMPORARY_PREFIX, remove_stale, write_atomically
from wheelhouse.storage.upload_file import DIGEST_ALGORITHMS, UPLOAD_PREFIX, TemporaryUpload

CONTENT = b"what was built"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
BLAKE2 = hashlib.blake2b(CONTENT, digest_size=32).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture(params=[(), ("md5_digest", "name"), DIGEST_ALGORITHMS], ids=["none", "one", "all"])
def announced(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Return the form fields before the file."""
    return request.param


@pytest.fixture
def upload(tmp_path: Path, announced: tuple[str, ...]) -> TemporaryUpload:
    """Return a temporary upload, written in two chunks."""
    upload = TemporaryUpload(tmp_path, digest_fields=announced)
    upload.write(CONTENT[:5])
    upload.write(CONTENT[5:])
    return upload


def names(directory: Path) -> list[str]:
    """Return what is in a directory."""
    return sorted(path.name for path in directory.iterdir())


def test_publishes_the_complete_file(upload: TemporaryUpload, tmp_path: Path) -> None:
    """The complete file has one name in the end and is readable for Apache's group, whatever the umask."""
    assert [name.startswith(".") for name in names(tmp_path)] == [True]
    assert (upload.size, upload.sha256) == (len(CONTENT), SHA256)
    upload.sync()
    path = upload.publish("foo-1.0.tar.gz")
    upload.close()
    assert names(tmp_path) == ["foo-1.0.tar.gz"]
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o640


def test_syncs_before_it_publishes(upload: TemporaryUpload, quick_disk: list[str]) -> None:
    """A file that exists after a power failure has its content (durable)."""
    upload.sync()
    assert quick_disk == ["fsync"]
    assert upload.path.read_bytes() == CONTENT


def test_never_overwrites(upload: TemporaryUpload, tmp_path: Path) -> None:
    """A file that is copied to the same name concurrently is kept."""
    (tmp_path / "foo-1.0.tar.gz").write_text("another")
    with pytest.raises(FileExistsError):
        upload.publish("foo-1.0.tar.gz")
    assert (tmp_path / "foo-1.0.tar.gz").read_text() == "another"


def test_close_deletes_an_unpublished_file(upload: TemporaryUpload, tmp_path: Path) -> None:
    """A rejected upload leaves no file."""
    upload.close()
    upload.close()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "claimed",
    [
        {},
        {"sha256_digest": ""},
        {"sha256_digest": SHA256},
        {"sha256_digest": SHA256.upper()},
        {"sha256_digest": f" {SHA256}\n"},
        {"sha256_digest": SHA256, "blake2_256_digest": BLAKE2, "md5_digest": MD5, "name": "foo"},
    ],
    ids=short,
)
def test_accepts_matching_digests(upload: TemporaryUpload, claimed: dict) -> None:
    """Clients send the digests that they know, in lower or upper case."""
    upload.check_digests(claimed)


@pytest.mark.parametrize(
    ("claimed", "said"),
    [
        ({"sha256_digest": hashlib.sha256(b"else").hexdigest()}, "sha256_digest"),
        ({"sha256_digest": SHA256[:-1]}, "sha256_digest"),
        ({"sha256_digest": MD5}, "sha256_digest"),
        ({"sha256_digest": "ä"}, "sha256_digest"),
        ({"sha256_digest": SHA256, "blake2_256_digest": SHA256}, "blake2_256_digest"),
        ({"sha256_digest": SHA256, "md5_digest": "0" * 32}, "md5_digest"),
    ],
    ids=short,
)
def test_rejects_wrong_digests(upload: TemporaryUpload, claimed: dict, said: str) -> None:
    """A file that was corrupted or truncated in transit is rejected."""
    with pytest.raises(RequestError, match=said):
        upload.check_digests(claimed)


def test_removes_stale_files_only(tmp_path: Path) -> None:
    """Temporary files of killed processes are deleted; files in use and all others are kept."""

    def die() -> None:
        TemporaryUpload(tmp_path).write(b"half")
        os._exit(CRASHED)

    assert exit_code(die) == CRASHED
    (dead,) = names(tmp_path)
    alive = TemporaryUpload(tmp_path)
    others = [".uploads", ".upload", "foo-1.0.tar.gz", ".hidden"]
    for name in others:
        (tmp_path / name).write_text("x")
    assert remove_stale(tmp_path, UPLOAD_PREFIX) == [dead]
    assert names(tmp_path) == sorted([*others, alive.path.name])
    alive.write(CONTENT)
    assert alive.publish("foo-2.0.tar.gz").stat().st_nlink == 2


def test_stale_name_of_a_published_file(upload: TemporaryUpload, tmp_path: Path) -> None:
    """A power failure between link and unlink leaves both names; the published file is kept."""
    upload.publish("foo-1.0.tar.gz")
    upload.file.close()
    assert remove_stale(tmp_path, UPLOAD_PREFIX) == [upload.path.name]
    assert (tmp_path / "foo-1.0.tar.gz").exists()


def test_removed_before_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process cleans up between the creation of a temporary file and its lock (race)."""
    lock, cleared = fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if how == fcntl.LOCK_EX and not cleared:
            cleared.append(True)
            cleared.extend(remove_stale(tmp_path, UPLOAD_PREFIX))
        lock(descriptor, how)

    monkeypatch.setattr(atomic.fcntl, "flock", late)
    upload = TemporaryUpload(tmp_path)
    assert len(cleared) == 2
    upload.write(CONTENT)
    upload.sync()
    assert upload.publish("foo-1.0.tar.gz").read_bytes() == CONTENT


def test_cleanup_during_many_uploads(tmp_path: Path) -> None:
    """Repeated cleanups delete no file of an upload in progress."""
    stop, lost = threading.Event(), []

    def clear() -> None:
        while not stop.is_set():
            remove_stale(tmp_path, UPLOAD_PREFIX)

    def come(number: int) -> None:
        for turn in range(20):
            upload = TemporaryUpload(tmp_path)
            try:
                upload.write(CONTENT)
                upload.publish(f"{number}-{turn}")
            except OSError as error:
                lost.append(error)
            finally:
                upload.close()

    cleaner = threading.Thread(target=clear, daemon=True)
    uploads = [threading.Thread(target=come, args=[number], daemon=True) for number in range(4)]
    for thread in (cleaner, *uploads):
        thread.start()
    for thread in uploads:
        thread.join(20)
    stop.set()
    cleaner.join(20)
    assert lost == []
    assert len(names(tmp_path)) == 80


def test_cleanup_at_the_start(index: Index) -> None:
    """The application and the command line both clean up, and change no page."""
    for clear in (index.start, lambda: main(["--settings", str(index.settings), "rebuild"])):
        (index.packages / ".upload-dead").write_text("half")
        reconciler_of(Settings.load(index.settings)).sync_changed()
        clear()
        assert index.stored() == {}


@pytest.mark.parametrize("place", ["pages/projects", "pages/root", "pages/metadata", "pages/records", "data/state"])
def test_removes_partial_pages(index: Index, place: str) -> None:
    """Temporary files of pages and tables of a killed process are deleted as well."""

    def die() -> None:
        with patch.object(os, "fchmod", lambda *_: os._exit(CRASHED)):
            write_atomically(index.home / place / "file", CONTENT)

    for clear in (index.start, lambda: main(["--settings", str(index.settings), "rebuild"])):
        before = names(index.home / place)
        assert exit_code(die) == CRASHED
        assert len(names(index.home / place)) == len(before) + 1
        clear()
        assert [name for name in names(index.home / place) if name.startswith(TEMPORARY_PREFIX)] == []
        assert (index.home / place / "file").exists() is False


def test_keeps_pages_that_are_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process cleans up while this one writes."""
    cleared = []
    monkeypatch.setattr(atomic.os, "fchmod", lambda *_: cleared.append(remove_stale(tmp_path, TEMPORARY_PREFIX)))
    write_atomically(tmp_path / "page", CONTENT)
    assert cleared == [[]]
    assert names(tmp_path) == ["page"]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")])
def test_starts_if_cleanup_fails(index: Index, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    """A file of another user, or a read-only disk, does not prevent the start."""

    def fail(*_arguments: object, **_more: object) -> None:
        raise error

    (index.packages / ".upload-x").write_text("x")
    monkeypatch.setattr(Path, "unlink", fail)
    index.start()
    assert index.request("GET", "/-/health").code == 200


def test_no_packages_directory(index: Index) -> None:
    """The application starts, and reports what is wrong."""
    index.packages.rmdir()
    index.start()
    assert index.request("GET", "/-/health").code == 503
    assert index.upload().code == 503


def test_no_cleanup_without_the_mount(index: Index) -> None:
    """Files below the mount point are not deleted, and do not prevent the start."""
    (index.data / ".wheelhouse").unlink()
    (index.packages / ".upload-x").write_text("x")
    index.start()
    assert list(index.stored()) == [".upload-x"]
