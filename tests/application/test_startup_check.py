"""The smoke test of a release before it is activated."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import WHEELHOUSE, ansible_templates
from support.web import Index
from wheelhouse.web import smoke_test, startup_check


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], int]:
    """Return a function that runs the check with settings. It returns the exit status, and leaves no file."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def check(settings: str) -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(settings))
        status = startup_check.main()
        assert list(temporary.iterdir()) == []
        return status

    return check


def snapshot(home: Path) -> dict[Path, tuple[int, bytes]]:
    """Return the time and content of each file below a directory."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"pypi_new_projects": "first_uploader", "pypi_data_is_mount": True},
        # Limits that the test project exceeds: they are not a fault of the release.
        {"pypi_max_members": 1, "pypi_max_unpacked_size": "1", "pypi_max_upload_size": "1"},
        {"pypi_max_total_size": "1", "pypi_min_free_space": "900T", "pypi_max_uploads": 1},
    ],
    ids=str,
)
def test_accepts_a_working_application(check: Callable[[str], int], changed: dict) -> None:
    """A release that works is accepted, with all valid settings, and without the data directory."""
    assert check(ansible_templates.render("templates/etc/pypi/settings.json.j2", **changed)) == 0


def test_does_not_touch_the_data(index: Index, check: Callable[[str], int]) -> None:
    """Data, pages and audit log of the index are neither read nor written."""
    assert index.upload().code == 200
    before, log = snapshot(index.home), index.audit()
    (index.packages / ".upload-stale").write_text("")
    assert check(index.settings.read_text()) == 0
    (index.packages / ".upload-stale").unlink()
    assert snapshot(index.home) == before
    assert index.audit() == log


def test_does_not_report_backups(index: Index, check: Callable[[str], int], capsys: pytest.CaptureFixture) -> None:
    """The status of backups is not read: a problem with them is not a problem of the release."""
    path = Path(json.loads(index.settings.read_text())["backup_status"])
    path.parent.mkdir()
    path.write_text("corrupt")
    assert check(index.settings.read_text()) == 0
    assert capsys.readouterr().err == ""


def test_rejects_a_failing_application(
    index: Index, check: Callable[[str], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """An error response fails the check, and the message contains it."""

    def application(_environ: dict, start_response: Callable) -> list[bytes]:
        start_response("500 Internal Server Error", [])
        return [b"broken"]

    monkeypatch.setattr(smoke_test, "create_app", lambda _settings: application)
    assert check(index.settings.read_text()) == 1
    assert "GET /-/health: expected 200, got 500 Internal Server Error: broken" in capsys.readouterr().err


def test_rejects_an_application_that_stores_nothing(
    index: Index, check: Callable[[str], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A response of 200 is not enough: the file must be stored and on its page."""

    def application(_environ: dict, start_response: Callable) -> list[bytes]:
        start_response("200 OK", [])
        return [b""]

    monkeypatch.setattr(smoke_test, "create_app", lambda _settings: application)
    assert check(index.settings.read_text()) == 1
    assert "its file is not stored" in capsys.readouterr().err


def test_rejects_an_application_that_removes_nothing(
    index: Index, check: Callable[[str], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """A removal must delete the file and its line on the page."""
    monkeypatch.setattr("wheelhouse.storage.store.Store.remove", lambda *_: None)
    assert check(index.settings.read_text()) == 1
    assert "its file is still stored" in capsys.readouterr().err


def test_rejects_uploads_that_fail(
    index: Index, check: Callable[[str], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """An application that starts and rejects a valid upload is not accepted."""
    monkeypatch.setattr("wheelhouse.access.policy.AccessPolicy.has_any_right", lambda *_: False)
    assert check(index.settings.read_text()) == 1
    assert "POST /: expected 200, got 403" in capsys.readouterr().err


@pytest.mark.parametrize("settings", ["", "{}", '{"data": 1}'])
def test_rejects_invalid_settings(settings: str) -> None:
    """Invalid settings fail the check, and so the run, before the release is activated."""
    done = run_module(settings)
    assert done.returncode != 0


def test_runs_as_a_program(index: Index) -> None:
    """Playbooks run the module with the settings on standard input. Rollbacks run it in older releases."""
    done = run_module(json.dumps(json.loads(index.settings.read_text())))
    assert (done.returncode, done.stderr) == (0, "")


def run_module(settings: str) -> subprocess.CompletedProcess[str]:
    """Run the check as a program."""
    command = [sys.executable, "-m", "wheelhouse.web.startup_check"]
    return subprocess.run(
        command,
        input=settings,
        cwd=Path(WHEELHOUSE).parent,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"},
        check=False,
        capture_output=True,
        text=True,
    )
