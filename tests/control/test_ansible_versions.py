"""Versions of ansible-core: an unsupported one is rejected with one message before anything else."""

import re
import sys
from pathlib import Path

import pytest
from support import ansible_templates, control

PLAYBOOKS = ["site.yml", "playbooks/verify.yml"]
TOO_OLD = ["2.14.18", "2.18.19"]
NEWEST = "2.21.5"


@pytest.fixture
def python_of(ansible_cores: dict[str, Path]):
    """Return the Python of a release, or skip the test."""

    def python_of(release: str) -> Path:
        if release not in ansible_cores:
            pytest.skip(f"no Python here runs ansible-core {release}")
        return ansible_cores[release]

    return python_of


@pytest.mark.parametrize("playbook", PLAYBOOKS)
@pytest.mark.parametrize("release", TOO_OLD)
def test_rejects_old_version(python_of, tmp_path: Path, release: str, playbook: str) -> None:
    """One message for all hosts contains the found and the required version, without contacting hosts."""
    inventory = control.inventory(tmp_path)
    (inventory / "more.yml").write_text(f"pypi_servers: {{hosts: {{other.example.com: {{{control.UNREACHABLE}}}}}}}\n")
    run = control.playbook(playbook, "-i", inventory, python=python_of(release))
    sentence = f"Nothing was changed: ansible-core {release} is too old, install 2.19 or newer"
    assert run.code != 0
    assert sentence in run.normalized_output
    assert "UNREACHABLE" not in run.output
    assert re.findall(r"ERROR|Traceback|WARNING", run.output) == []
    assert run.output.count("is too old") == 1


def test_newest_version_checks_settings(python_of, tmp_path: Path) -> None:
    """The newest version is accepted, and the settings are checked."""
    inventory = control.inventory(tmp_path, "pypi_server_name: no_name\npypi_users: [{name: alice}]\n")
    run = control.playbook("playbooks/verify.yml", "-i", inventory, python=python_of(NEWEST))
    assert run.code != 0
    assert "is too old" not in run.output
    assert "pypi_server_name: 'no_name' is not a valid host name" in run.normalized_output


@pytest.mark.parametrize("release", ["installed", NEWEST])
def test_accepts_supported_versions(python_of, tmp_path: Path, release: str) -> None:
    """The pinned and the newest version connect to the host."""
    python = sys.executable if release == "installed" else python_of(release)
    run = control.playbook("site.yml", "-i", control.inventory(tmp_path), python=python)
    assert "is too old" not in run.output
    assert "UNREACHABLE" in run.output


def test_gathers_facts_before_settings() -> None:
    """Settings are evaluated after facts are gathered, and the version is checked before."""
    names = [task["name"] for task in ansible_templates.tasks("roles/pypi/tasks/main.yml")]
    assert names[:3] == ["Check the version of Ansible", "Gather facts", "Check the settings"]
