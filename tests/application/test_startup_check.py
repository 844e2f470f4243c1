"""The smoke test of a release before it is activated."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from support import WHEELHOUSE
from support.web import Index
from wheelhouse.web import startup_check


def attempt(index: Index, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the check with the index's settings. Returns its exit status."""
    monkeypatch.setattr("sys.stdin", io.StringIO(index.settings.read_text()))
    return startup_check.main()


def test_accepts_a_working_application(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that responds is accepted."""
    assert attempt(index, monkeypatch) == 0


def test_accepts_an_unavailable_data_directory(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unmounted data directory, or missing pages, are not faults of the release."""
    (index.data / ".wheelhouse").unlink()
    assert attempt(index, monkeypatch) == 0


def test_rejects_a_failing_application(
    index: Index, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """An error response fails the check, and the message contains it."""

    def application(_environ: dict, start_response: object) -> list[bytes]:
        start_response("500 Internal Server Error", [])
        return [b"broken"]

    monkeypatch.setattr(startup_check, "create_app", lambda _settings: application)
    assert attempt(index, monkeypatch) == 1
    assert capsys.readouterr().err == "The application responds to /-/health with 500 Internal Server Error: broken\n"


@pytest.mark.parametrize("settings", ["", "{}", '{"data": 1}'])
def test_rejects_invalid_settings(settings: str) -> None:
    """Invalid settings fail the check, and so the run, before the release is activated."""
    command = [sys.executable, "-m", "wheelhouse.web.startup_check"]
    done = subprocess.run(
        command, input=settings, cwd=Path(WHEELHOUSE).parent, check=False, capture_output=True, text=True
    )
    assert done.returncode != 0
