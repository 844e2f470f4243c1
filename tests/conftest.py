"""Fixtures for all unit tests. None of them needs a container or root; tests/control downloads ansible-core once."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.pages import Site
from support.web import Index
from wheelhouse.files import permissions
from wheelhouse.files.permissions import Identity

# The same examples in every run: what was green is not red tomorrow for another reason
# than a change. An index per test function, not per example, is meant.
settings.register_profile(
    "kit",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
# For a long look, now and then: pytest --hypothesis-profile=long
settings.register_profile("long", settings.get_profile("kit"), derandomize=False, max_examples=5000)
settings.load_profile("kit")


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Do not wait for the disk of the machine that the tests run on. Returns what was asked of it."""
    asked: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _descriptor: asked.append("fsync"))
    monkeypatch.setattr(os, "sync", lambda: asked.append("sync"))
    # Each test has logs of its own, and pytest keeps them.
    monkeypatch.setattr("wheelhouse.audit.log.LOG_RESERVE", 1 << 14)
    monkeypatch.setattr("wheelhouse.audit.log.HEAD_RESERVE", 1 << 13)
    return asked


@pytest.fixture(autouse=True)
def own_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the groups of Apache and of logs for our own: the machine that the tests run on may lack them."""
    identity = Identity(os.geteuid(), os.getegid(), os.getegid(), os.getegid())
    monkeypatch.setattr(permissions, "identity", lambda: identity)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a packages directory and its pages, both empty."""
    return Site(tmp_path / "site")


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Return an empty index. alice has all rights, bob may upload foo and acme-*."""
    return Index(tmp_path / "index")
