"""Restores from a real repository: complete, after interruptions, over an existing index."""

import json
import os
import shutil
from pathlib import Path

import pytest
from pypi_backup import restore
from pypi_backup.paths import BackupError
from support import command
from support.backups import Site, needs_restic, target_of
from support.web import Index
from wheelhouse.config import Settings
from wheelhouse.pages.upload_times import format_time

pytestmark = needs_restic


@pytest.fixture
def backed_up(site: Site) -> list[str]:
    """Back up an index with two packages and a removed one. Returns the names of the packages."""
    names = [site.upload(number) for number in (1, 2, 3)]
    assert site.index.remove("foo", "3.0").code == 200
    site.create()
    site.back_up()
    return names[:2]


def deploy(index: Index) -> None:
    """Create the directories that the role creates, and the pages."""
    (index.data / "packages").chmod(0o2750)
    index.audit_log.parent.chmod(0o2750)
    assert command.run(index.settings, "rebuild") == 0


def content(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Return content and modification time of each file."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


def check(index: Index, capsys: pytest.CaptureFixture) -> None:
    """Check that the index and its audit log have no faults."""
    capsys.readouterr()
    assert command.run(index.settings, "check") == 0, capsys.readouterr().out
    assert command.run(index.settings, "audit", "verify") == 0, capsys.readouterr().out


def test_restored_index_is_the_same(
    site: Site, backed_up: list[str], new_host: Index, owners: dict, capsys: pytest.CaptureFixture
) -> None:
    """Files, upload times, tombstones and the audit log are those of the old host; checks find no fault."""
    facts = site.restore(target_of(new_host))
    deploy(new_host)
    assert content(new_host.packages) == content(site.index.packages)
    assert sorted(path.name for path in new_host.packages.iterdir()) == backed_up
    assert (new_host.data / "state/tombstones.json").read_bytes() == (
        site.index.data / "state/tombstones.json"
    ).read_bytes()
    assert new_host.audit_log.read_bytes() == site.index.audit_log.read_bytes()
    check(new_host, capsys)
    page = json.loads((new_host.pages / "projects/foo.json").read_text())
    mtimes = {name: format_time((site.index.packages / name).stat().st_mtime_ns) for name in backed_up}
    assert {file["filename"]: file["upload-time"] for file in page["files"]} == mtimes
    assert owners[backed_up[0]] == ("pypi", "www-data")
    assert (owners["names.txt"], owners["audit.log"]) == (("pypi", "pypi"), ("pypi", "adm"))
    assert (new_host.packages / backed_up[0]).stat().st_mode & 0o777 == 0o640
    assert (facts["missing"], facts["aside"]) == ([], [])
    assert not (new_host.data / ".restore").exists()
    assert (new_host.data / ".wheelhouse").read_text() == "mark\n"


def test_restored_index_accepts_uploads(
    site: Site, backed_up: list[str], new_host: Index, capsys: pytest.CaptureFixture
) -> None:
    """The audit log is continued, and names of removed files stay reserved."""
    site.restore(target_of(new_host))
    deploy(new_host)
    assert new_host.upload(backed_up[0], b"other bytes").code == 409
    assert new_host.upload("bar-1.0-py3-none-any.whl").code == 200
    check(new_host, capsys)
    assert [entry["number"] for entry in new_host.audit()] == list(range(1, len(new_host.audit()) + 1))


def test_packages_after_the_copy_are_dropped(
    site: Site, new_host: Index, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A package that was published while restic ran has no entry in the restored audit log."""
    first = site.upload(1)
    site.create()
    original = site.copy_state

    def copy_state() -> None:
        original()
        site.upload(2)

    monkeypatch.setattr("pypi_backup.backup.copy_state", copy_state)
    site.back_up()
    site.restore(target_of(new_host))
    deploy(new_host)
    assert set(new_host.stored()) == {first}
    check(new_host, capsys)


def test_named_snapshot(site: Site, backed_up: list[str], new_host: Index) -> None:
    """An older snapshot can be restored by a part of its ID."""
    (old,) = site.snapshots()
    site.upload(4)
    site.back_up()
    facts = site.restore(target_of(new_host), old["id"][:8])
    assert facts["snapshot"] == old["id"]
    assert sorted(new_host.stored()) == backed_up


@pytest.mark.usefixtures("backed_up")
def test_unknown_snapshot(site: Site, new_host: Index) -> None:
    """The message lists the snapshots that exist, and nothing is written."""
    (known,) = site.snapshots()
    with pytest.raises(BackupError, match=f"no snapshot 01234567.*{known['short_id']}"):
        site.restore(target_of(new_host), "01234567")
    site.configure(host="other.example.com")
    with pytest.raises(BackupError, match=r"no snapshot of other\.example\.com.*pypi\.example\.com"):
        site.restore(target_of(new_host))
    assert not new_host.data.exists()


def test_latest_is_that_of_this_index(site: Site, backed_up: list[str], new_host: Index) -> None:
    """Snapshots of other indexes in the same repository are not restored."""
    site.configure(host="other.example.com")
    site.upload(5)
    site.back_up()
    site.configure()
    site.restore(target_of(new_host))
    assert sorted(new_host.stored()) == backed_up


@pytest.mark.usefixtures("backed_up")
def test_wrong_password(site: Site, new_host: Index) -> None:
    """With a wrong password, nothing is written."""
    site.password("wrong")
    with pytest.raises(BackupError, match="wrong password"):
        site.restore(target_of(new_host))
    assert not new_host.data.exists()


def test_existing_files_are_not_replaced(site: Site, backed_up: list[str]) -> None:
    """Without overwrite, an index with files is left as it is."""
    before = content(site.index.packages)
    with pytest.raises(BackupError, match="pypi_restore_overwrite=true"):
        site.restore(target_of(site.index))
    assert content(site.index.packages) == before
    assert backed_up
    assert not (site.index.data / ".restore").exists()


@pytest.mark.usefixtures("owners")
def test_overwrite_keeps_previous_files_aside(site: Site, backed_up: list[str], capsys: pytest.CaptureFixture) -> None:
    """Replaced files are moved to other directories; no file of the previous index stays."""
    later = site.upload(4)
    log = site.index.audit_log.read_bytes()
    facts = site.restore(target_of(site.index, overwrite=True))
    assert not (site.index.pages / "projects/.complete").exists()
    deploy(site.index)
    assert sorted(site.index.stored()) == backed_up
    check(site.index, capsys)
    packages, state, audit = map(Path, facts["aside"])
    assert later in {path.name for path in packages.iterdir()}
    assert (state / "tombstones.json").exists()
    assert (audit / "audit.log").read_bytes() == log


# Functions after which a restore is interrupted.
INTERRUPTIONS = ["begin", "prepare_files", "set_aside", "move_in"]


class StoppedError(Exception):
    """The host has stopped."""


def interrupt_after(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a function of the restore work once, and then stop."""
    original = getattr(restore, name)

    def work(*arguments: object) -> None:
        original(*arguments)
        raise StoppedError

    monkeypatch.setattr(restore, name, work)


@pytest.mark.parametrize("overwrite", [False, True], ids=["empty host", "overwrite"])
@pytest.mark.parametrize("name", INTERRUPTIONS)
def test_interrupted_restore_is_completed(
    site: Site,
    backed_up: list[str],
    new_host: Index,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    name: str,
    overwrite: bool,
) -> None:
    """A second restore completes the first, wherever that was interrupted. The mark is written last."""
    index = new_host
    if overwrite:
        index = site.index
        site.upload(4)
    target = target_of(index, overwrite=overwrite)
    with monkeypatch.context() as interrupted:
        interrupt_after(name, interrupted)
        with pytest.raises(StoppedError):
            site.restore(target)
    if name in ("set_aside", "move_in"):
        assert not target.mark.exists()
    site.restore(target)
    deploy(index)
    assert sorted(index.stored()) == backed_up
    assert not target.work.exists()
    check(index, capsys)


def test_interrupted_cleanup_is_completed(
    site: Site, backed_up: list[str], new_host: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until its directory is removed, a restore can be repeated although the index is complete."""
    target = target_of(new_host)
    original = shutil.rmtree

    def stop_after(path: Path) -> None:
        original(path)
        raise StoppedError

    with monkeypatch.context() as interrupted:
        interrupted.setattr(restore.shutil, "rmtree", stop_after)
        with pytest.raises(StoppedError):
            site.restore(target)
    assert target.mark.exists()
    assert target.work.exists()
    site.restore(target)
    assert sorted(new_host.stored()) == backed_up
    assert not target.work.exists()
    with pytest.raises(BackupError, match="has files"):
        site.restore(target)


def test_interrupted_moves_are_completed(
    site: Site, backed_up: list[str], new_host: Index, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A restore that was interrupted between two files is completed, and only with its own snapshot."""
    target = target_of(new_host)
    moved: list[Path] = []
    original = restore.move

    def move(source: Path, place: Path) -> None:
        if len(moved) == 2:
            raise StoppedError
        moved.append(place)
        original(source, place)

    with monkeypatch.context() as interrupted:
        interrupted.setattr(restore, "move", move)
        with pytest.raises(StoppedError):
            site.restore(target)
    assert len(new_host.stored()) == 2
    (first,) = site.snapshots()
    site.upload(4)
    site.back_up()
    with pytest.raises(BackupError, match=f"pypi_restore_snapshot={first['id']}"):
        site.restore(target)
    site.restore(target, first["id"])
    deploy(new_host)
    assert sorted(new_host.stored()) == backed_up
    check(new_host, capsys)


def test_newer_snapshot_restarts_a_download(
    site: Site, backed_up: list[str], new_host: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before files were moved, another snapshot can be chosen."""
    with monkeypatch.context() as interrupted:
        interrupt_after("prepare_files", interrupted)
        with pytest.raises(StoppedError):
            site.restore(target_of(new_host))
    later = site.upload(4)
    site.back_up()
    site.restore(target_of(new_host))
    assert sorted(new_host.stored()) == sorted([*backed_up, later])


def test_authority_is_restored_if_missing(site: Site, new_host: Index) -> None:
    """The certificate authority is restored for its owner alone, and never replaces an existing one."""
    (site.index.data / "tls").mkdir()
    for name in ("ca.key", "ca.crt"):
        (site.index.data / f"tls/{name}").write_text(f"old {name}")
    site.create()
    site.back_up()
    target = target_of(new_host)
    site.restore(target)
    assert target.tls is not None
    assert (target.tls / "ca.key").read_text() == "old ca.key"
    assert target.tls.stat().st_mode & 0o777 == 0o700
    (target.tls / "ca.key").write_text("newer")
    site.restore(target)
    assert (target.tls / "ca.key").read_text() == "newer"
    other = target_of(new_host, tls=None)
    assert site.restore(other)["snapshot"]


def test_foreign_snapshot_is_rejected(site: Site, new_host: Index) -> None:
    """A snapshot of something else is not restored as an index."""
    site.create()
    (site.index.data / "other").mkdir()
    (site.index.data / "other/file").write_text("x")
    site.restic.run("backup", "--host=x", "other", directory=site.index.data)
    (found,) = site.snapshots()
    with pytest.raises(BackupError, match="no list of packages"):
        site.restore(target_of(new_host), found["id"])
    assert not (new_host.data / "packages").exists()


def test_moves_between_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a rename is impossible, a file is copied with its time and mode, and gets its name when it is complete."""
    source, target = tmp_path / "a", tmp_path / "b/c"
    target.parent.mkdir()
    source.write_text("text")
    source.chmod(0o640)
    os.utime(source, ns=(1, 123456789))
    original, calls = Path.replace, []

    def replace(self: Path, other: Path) -> Path:
        calls.append(self)
        if len(calls) == 1:
            raise OSError(18, "Invalid cross-device link")
        return original(self, other)

    monkeypatch.setattr(Path, "replace", replace)
    restore.move(source, target)
    assert target.read_text() == "text"
    assert (target.stat().st_mtime_ns, target.stat().st_mode & 0o777) == (123456789, 0o640)
    assert not source.exists()
    assert len(calls) == 2


def test_paths_are_those_of_the_application(new_host: Index) -> None:
    """The restore and the application agree on the places of files."""
    settings, target = Settings.load(new_host.settings), target_of(new_host)
    assert target.places == {
        "packages": settings.packages,
        "copy/state": settings.audit_head.parent,
        "copy/audit": settings.audit.parent,
    }
    assert target.mark == settings.mark
