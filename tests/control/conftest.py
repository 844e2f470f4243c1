"""Fixtures for the tests that run the real ansible-playbook. No host is contacted."""

from pathlib import Path

import pytest
from support import control


@pytest.fixture(scope="session")
def ansible_cores() -> dict[str, Path]:
    """A Python with each release of ansible-core that the Pythons of this machine can run. The first time, from pip."""
    return control.virtualenvs()
