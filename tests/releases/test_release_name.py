"""The name of a release follows from everything that it is built from, and from nothing else."""

import shutil
from pathlib import Path

import pytest
from support import ROOT, ansible_templates

NAME = ansible_templates.trust_as_template("{{ __pypiserver_release }}")
PYTHON = {"package_lists": True, "python_version": "3.11.2"}


def release(kit: Path = ROOT, **changed: object) -> str:
    """Return the name of the release of a kit."""
    places = {"ansible_search_path": [str(kit / "roles/pypiserver")], "role_path": str(kit / "roles/pypi")}
    return str(ansible_templates.evaluate(NAME, **places | changed))


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """Copy the files of which releases are built."""
    for name in ("roles/pypiserver", "templates"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_name_is_a_digest(kit: Path) -> None:
    """The same files have the same name, wherever the kit is."""
    assert len(release()) == 12
    assert release(kit) == release()


@pytest.mark.parametrize("version", ["3.13.5", "3.12.2"])
def test_another_python_needs_another_release(version: str) -> None:
    """An upgrade of Debian replaces python3, and the virtualenv has no packages for the new one."""
    assert release(__pypi_host=PYTHON | {"python_version": version}) != release(__pypi_host=PYTHON)


def test_python_of_ansible_is_irrelevant() -> None:
    """Releases are built with Debian's Python, whichever one Ansible runs with (ansible_python_interpreter)."""
    assert release(ansible_facts={"python_version": "3.14.0"}) == release()


@pytest.mark.parametrize(
    "file",
    [
        "roles/pypiserver/files/requirements.txt",
        "roles/pypiserver/files/wheelhouse.pth",
        "roles/pypiserver/files/wheelhouse/files/atomic.py",
        "templates/opt/pypi/release/bin/wheelhouse.j2",
        "templates/opt/pypi/release/pypi.wsgi.j2",
        "templates/etc/pypi/settings.json.j2",
    ],
)
def test_changed_files_need_another_release(kit: Path, file: str) -> None:
    """A release has its own command, and settings in the form that it reads (rollback)."""
    with (kit / file).open("a", encoding="utf-8") as target:
        target.write("# changed\n")
    assert release(kit) != release()


def test_values_of_settings_need_no_release() -> None:
    """A change of a limit writes settings.json, and builds nothing."""
    assert release(pypi_max_upload_size="7M", pypi_data_dir="/data") == release()


def test_command_is_that_of_the_active_release() -> None:
    """The command and the application change with one link, which is switched first."""
    text = ansible_templates.trust_as_template("{{ __pypiserver_links }}")
    assert ansible_templates.evaluate(text, pypi_program_dir="/opt/pypi") == [
        {"path": "/opt/pypi/current", "src": "0123456789ab"},
        {"path": "/usr/local/bin/wheelhouse", "src": "/opt/pypi/current/bin/wheelhouse"},
    ]
