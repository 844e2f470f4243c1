"""Fixtures with an audit log."""

from pathlib import Path

import pytest
from support.audit import Log


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Return an empty audit log."""
    return Log(tmp_path)
