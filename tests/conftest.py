"""Fixtures for all unit tests. None of them needs a container or root; tests/control downloads ansible-core once."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.pages import Site
from support.web import Index
from wheelhouse.files import permissions
from wheelhouse.files.permissions import Identity

# Deterministic examples: a run fails only because of a change. The function-scoped fixtures
# are reused by all examples of a test on purpose.
settings.register_profile(
    "kit",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# For occasional longer runs: pytest --hypothesis-profile=long
settings.register_profile("long", settings.get_profile("kit"), derandomize=False, max_examples=5000)
settings.load_profile("kit")


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace fsync and sync, which are slow on the test machine. Returns the list of their calls."""
    asked: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _descriptor: asked.append("fsync"))
    monkeypatch.setattr(os, "sync", lambda: asked.append("sync"))
    # Smaller reserves, since each test writes logs of its own, and pytest keeps them.
    monkeypatch.setattr("wheelhouse.audit.log.LOG_RESERVE", 1 << 14)
    monkeypatch.setattr("wheelhouse.audit.log.HEAD_RESERVE", 1 << 13)
    return asked


@pytest.fixture(autouse=True)
def own_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the groups of Apache and of logs with our own: the test machine may lack them."""
    identity = Identity(os.geteuid(), os.getegid(), os.getegid(), os.getegid())
    monkeypatch.setattr(permissions, "identity", lambda: identity)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return an empty packages directory with its pages."""
    return Site(tmp_path / "site")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Return an empty index on which alice may do everything, and bob may upload foo and acme-*."""
    return Index(tmp_path / "index")
