"""Fixtures with an index and a repository."""

import shutil
from pathlib import Path

import pytest
from pypi_backup import paths
from support.backups import RESTIC, Site, create_quick_repository
from support.web import Index


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new repository, to be copied."""
    directory = tmp_path_factory.mktemp("template") / "repository"
    if RESTIC:
        create_quick_repository(directory)
    return directory


@pytest.fixture
def site(tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return an index with a repository that is not created yet. Services are not stopped or started."""
    monkeypatch.setattr(paths, "SYSTEMCTL", "/bin/true")
    return Site(tmp_path / "old", template, monkeypatch)


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, str]]:
    """Record the owners that are set, by the name of the file: the test machine has no user pypi."""
    recorded: dict[str, tuple[str, str]] = {}
    monkeypatch.setattr(shutil, "chown", lambda path, user, group: recorded.update({path.name: (user, group)}))
    return recorded


@pytest.fixture
def new_host(tmp_path: Path, owners: dict) -> Index:  # noqa: ARG001
    """Return the directories of a host without an index."""
    index = Index(tmp_path / "new")
    shutil.rmtree(index.data)
    return index
