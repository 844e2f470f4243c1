"""The repository is created once, and opened again only after a change."""

import json
import subprocess
from typing import Any

import pytest
from pypi_backup import prepare, restic, status
from pypi_backup.paths import BackupError
from pypi_backup.restic import Restic
from support.backups import Site, needs_restic


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the commands of restic."""
    recorded: list[str] = []
    original = Restic.call

    def call(self: Restic, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        recorded.append(words[0])
        return original(self, *words, **options)

    monkeypatch.setattr(Restic, "call", call)
    return recorded


@needs_restic
def test_creates_repository_once(site: Site, calls: list[str], capsys: pytest.CaptureFixture) -> None:
    """The first run creates the repository; the next ones do not contact it."""
    site.prepare()
    assert capsys.readouterr().out == "Created the backup repository.\n"
    assert site.files.record.stat().st_mode & 0o777 == 0o600
    before = site.files.status.read_bytes()
    calls.clear()
    site.prepare()
    assert (calls, capsys.readouterr().out) == ([], "")
    assert site.files.status.read_bytes() == before


@needs_restic
def test_opens_existing_repository(site: Site, capsys: pytest.CaptureFixture) -> None:
    """A new host opens the repository of the old one."""
    site.create()
    assert capsys.readouterr().out == "Opened the backup repository.\n"


@needs_restic
def test_restore_creates_no_repository(site: Site) -> None:
    """A wrong location is an error when a backup is to be restored from it."""
    with pytest.raises(BackupError, match="no backup repository"):
        site.prepare(may_create=False)
    assert not site.repository.exists()


@needs_restic
def test_wrong_password_is_an_error(site: Site) -> None:
    """A changed password is tried at once, and is tried again by the next run."""
    site.create()
    site.password("wrong")
    for _ in range(2):
        with pytest.raises(BackupError, match=r"^The password of the backup repository is wrong\.$"):
            site.prepare()


@needs_restic
def test_missing_repository_is_not_created_again(site: Site) -> None:
    """If its file system is not mounted, no new repository is created in its place."""
    site.create()
    site.repository.rename(site.repository.with_name("elsewhere"))
    (site.files.config / "environment").write_text('OTHER="changed"\n')
    with pytest.raises(BackupError, match="may not be mounted"):
        site.prepare()
    assert not site.repository.exists()


@needs_restic
def test_unreachable_repository_is_an_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error other than a missing repository creates none."""
    site.repository.write_text("not a directory")
    monkeypatch.setattr(restic, "OPEN_TIMEOUT", 2)
    with pytest.raises(BackupError, match="cannot be opened"):
        site.prepare()


def test_repository_of_another_user_is_an_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service has no capability to write files of others."""
    site.repository.mkdir()
    monkeypatch.setattr(prepare.os, "geteuid", lambda: 4321)
    with pytest.raises(BackupError, match="must belong to root"):
        prepare.check_owner(site.repository)


def test_status_follows_settings(site: Site) -> None:
    """A changed maximum age is in the status file at once; results are kept."""
    status.refresh(site.files, site.settings)
    status.write(site.files.status, site.status | {"backup": {"result": "ok"}})
    site.configure(max_age_hours=12)
    status.refresh(site.files, site.settings)
    assert (site.status["max_age_hours"], site.status["backup"]) == (12, {"result": "ok"})
    assert site.files.status.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("text", ["", "{", "[]", "null", json.dumps({"since": "x"})])
def test_corrupt_status_is_replaced(site: Site, text: str) -> None:
    """A status file that cannot be read does not prevent backups."""
    site.files.status.write_text(text)
    with status.recorded(site.files, site.settings, "check"):
        pass
    assert site.status["check"]["result"] == "ok"


def test_any_exception_is_a_failure(site: Site) -> None:
    """A defect of the program, and a signal, are recorded as failures."""
    for error in (KeyError("x"), SystemExit("interrupted")):
        with pytest.raises(type(error)), status.recorded(site.files, site.settings, "backup"):
            raise error
        assert site.status["backup"]["result"] == "failed"
        assert site.status["backup"]["succeeded"] is None
