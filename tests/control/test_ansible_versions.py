"""Versions of ansible-core: what is too old is rejected in one sentence, before anything else."""

import re
import sys
from pathlib import Path

import pytest
from support import control, kit

PLAYBOOKS = ["site.yml", "playbooks/verify.yml"]
TOO_OLD = ["2.14.18", "2.18.19"]
NEWEST = "2.21.5"


@pytest.fixture
def python_of(ansible_cores: dict[str, Path]):
    """A way to the Python that has a release."""

    def python_of(release: str) -> Path:
        if release not in ansible_cores:
            pytest.skip(f"no Python here runs ansible-core {release}")
        return ansible_cores[release]

    return python_of


@pytest.mark.parametrize("playbook", PLAYBOOKS)
@pytest.mark.parametrize("release", TOO_OLD)
def test_too_old(python_of, tmp_path: Path, release: str, playbook: str) -> None:
    """One sentence with the version found and those that work, for all hosts. It needs neither them nor collections."""
    inventory = control.inventory(tmp_path)
    (inventory / "more.yml").write_text(f"pypi_servers: {{hosts: {{other.example.com: {{{control.UNREACHABLE}}}}}}}\n")
    run = control.playbook(playbook, "-i", inventory, python=python_of(release))
    sentence = f"Nothing was changed: ansible-core {release} is too old, install 2.19 or newer"
    assert run.code != 0
    assert sentence in run.words
    assert "UNREACHABLE" not in run.output
    assert re.findall(r"ERROR|Traceback|WARNING", run.output) == []
    assert run.output.count("is too old") == 1


def test_newest(python_of, tmp_path: Path) -> None:
    """The newest is not rejected, and its checks of the settings work."""
    inventory = control.inventory(tmp_path, "pypi_server_name: no_name\npypi_users: [{name: alice}]\n")
    run = control.playbook("playbooks/verify.yml", "-i", inventory, python=python_of(NEWEST))
    assert run.code != 0
    assert "is too old" not in run.output
    assert "pypi_server_name: 'no_name' is not a valid host name" in run.words


@pytest.mark.parametrize("release", ["installed", NEWEST])
def test_new_enough(python_of, tmp_path: Path, release: str) -> None:
    """What requirements.txt pins and the newest go on to the host."""
    python = sys.executable if release == "installed" else python_of(release)
    run = control.playbook("site.yml", "-i", control.inventory(tmp_path), python=python)
    assert "is too old" not in run.output
    assert "UNREACHABLE" in run.output


def test_settings_may_use_facts() -> None:
    """They are read after the facts have been gathered, and the version is checked before that."""
    names = [task["name"] for task in kit.tasks("roles/pypi/tasks/main.yml")]
    assert names[:3] == ["Check the version of Ansible", "Gather facts", "Check the settings"]
