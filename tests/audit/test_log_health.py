"""The health check reports an audit log that cannot be written."""

import os
import tempfile
from pathlib import Path

import pytest
from support.pages import Site, write_settings
from wheelhouse.config import Settings
from wheelhouse.web.health import problem


@pytest.fixture
def settings(site: Site) -> Settings:
    """Return the settings of a healthy index."""
    return Settings.load(write_settings(site.home, site.home / "data", site.paths.pages))


def test_healthy(settings: Settings) -> None:
    """The check writes nothing."""
    assert problem(settings) is None
    assert list(settings.audit.parent.iterdir()) == []
    settings.audit.write_text("")
    assert problem(settings) is None


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda log: log.parent.rmdir(), "No such file or directory"),
        (lambda log: log.mkdir(), "Is a directory"),
        (lambda log: (log.parent.rmdir(), log.parent.write_text("")), "Not a directory"),
    ],
    ids=["no directory", "the log is a directory", "the directory is a file"],
)
def test_reports_an_unwritable_log(settings: Settings, harm: object, why: str) -> None:
    """Every upload would be rejected, so the health check fails and says why."""
    harm(settings.audit)
    assert problem(settings) == f"The audit log cannot be written, so uploads are rejected: {why}."


@pytest.mark.parametrize("place", ["log", "state"])
def test_reports_a_full_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """The disk of the log, and that of the data, which has the head."""
    directory = {"log": settings.audit.parent, "state": settings.audit_head.parent}[place]
    temporary = tempfile.TemporaryFile

    def full(dir: Path) -> object:  # noqa: A002  (tempfile calls it so)
        if dir == directory:
            raise OSError(28, os.strerror(28))
        return temporary(dir=dir)

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    assert problem(settings) == "The audit log cannot be written, so uploads are rejected: No space left on device."
