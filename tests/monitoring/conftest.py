"""Fixtures of the monitoring tests."""

from pathlib import Path

import pytest
from support.monitoring import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Return a host with an empty index."""
    return Host(tmp_path / "host")
