"""Fixtures for tests that run ansible-playbook. No host is contacted."""

from pathlib import Path

import pytest
from support import control


@pytest.fixture(scope="session")
def ansible_cores() -> dict[str, Path]:
    """Return a Python with each release of ansible-core that this machine can run. The first run installs them."""
    return control.virtualenvs()
