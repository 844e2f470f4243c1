"""Wheels for servers without Internet access: selection, collection and checks."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT, ansible_templates, load
from support.archives import wheel

module = load("roles/pypi/filter_plugins/wheels.py")
PINS = (ROOT / "roles/pypiserver/files/requirements.txt").read_text(encoding="utf-8")

# Projects and their environment markers.
PROJECTS = {
    "every": "",
    "old-only": "; python_full_version < '3.12'",
    "new-only": "; python_full_version >= '3.13' and sys_platform == 'linux'",
    "not-here": "; sys_platform == 'win32'",
}


def file_of(project: str) -> str:
    """Return the file name of a project's wheel."""
    return f"{project.replace('-', '_')}-1.0-py3-none-any.whl"


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """Return a directory with wheels of all projects, and the requirements with their hashes."""
    lines = ["# written by a test"]
    for project, marker in PROJECTS.items():
        content = wheel(project.replace("-", "_"))
        (tmp_path / file_of(project)).write_bytes(content)
        digests = [hashlib.sha256(content).hexdigest(), "0" * 64]
        hashes = " \\\n".join(f"    --hash=sha256:{digest}" for digest in digests)
        lines.append(f"{project}==1.0 {marker} \\\n{hashes}")
    (tmp_path / "requirements.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def collect(index: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the tool with the directory as the only index."""
    environment = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": os.devnull}
    command = [sys.executable, ROOT / "tools/wheels", directory, index / "requirements.txt"]
    return subprocess.run(command, env=environment, text=True, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("python", "expected"),
    [("3.11.2", ["every", "old-only"]), ("3.12.1", ["every"]), ("3.13.5", ["every", "new-only"])],
)
def test_markers_use_server_python(index: Path, python: str, expected: list[str]) -> None:
    """Environment markers are evaluated for the server's Python, not for the one that runs."""
    found = module.pins_for((index / "requirements.txt").read_text(), python)
    assert [pin.name for pin in found] == expected
    assert {pin.version for pin in found} == {"1.0"}
    assert all(len(pin.hashes) == 2 for pin in found)


@pytest.mark.parametrize(("python", "only"), [("3.11.2", "importlib-resources"), ("3.13.5", "legacy-cgi")])
def test_each_release_needs_specific_wheels(python: str, only: str) -> None:
    """Each Debian release needs a wheel that the other one does not need."""
    assert only in {pin.name for pin in module.pins_for(PINS, python)}
    assert {"pypiserver", "multipart", "pip"} <= {pin.name for pin in module.pins_for(PINS, python)}


def test_collects_for_both_releases(index: Path, tmp_path: Path) -> None:
    """One directory serves Debian 12 and 13, with any Python that collects; the output contains the setting."""
    directory = tmp_path / "new/wheels"
    done = collect(index, directory)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in directory.iterdir()) == sorted(map(file_of, ("every", "old-only", "new-only")))
    assert done.stdout.splitlines()[-1].strip() == f'pypi_install_folder: "{directory}"'


def test_rejects_wrong_hash(index: Path, tmp_path: Path) -> None:
    """A wheel with another hash is rejected, and no setting is printed."""
    (index / file_of("every")).write_bytes(wheel("every", files={"other.py": "1"}))
    done = collect(index, tmp_path / "wheels")
    assert done.returncode != 0
    assert "pypi_install_folder" not in done.stdout


def test_reports_missing_wheel(index: Path, tmp_path: Path) -> None:
    """The error contains the missing project and no traceback."""
    (index / file_of("new-only")).unlink()
    done = collect(index, tmp_path / "wheels")
    assert done.returncode != 0
    assert "new-only" in done.stderr
    assert "Traceback" not in done.stderr


def problems(folder: Path, python: str, index: Path) -> list[str]:
    """Return the problems that the preflight reports for a directory."""
    return module.wheel_problems(str(folder), (index / "requirements.txt").read_text(), python)


@pytest.mark.parametrize("python", ["3.11.2", "3.13.5"])
def test_accepts_complete_directory(index: Path, tmp_path: Path, python: str) -> None:
    """The collected wheels are complete for each release."""
    collect(index, tmp_path / "wheels")
    assert problems(tmp_path / "wheels", python, index) == []


@pytest.mark.parametrize(
    ("python", "missing"), [("3.11.2", None), ("3.13.5", "new-only 1.0")], ids=["its own", "another"]
)
def test_rejects_directory_for_another_python(index: Path, tmp_path: Path, python: str, missing: str | None) -> None:
    """`pip download` with the Python of Debian 12 collects too few wheels for Debian 13."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for project in ("every", "old-only"):
        (index / file_of(project)).rename(folder / file_of(project))
    (folder / "README.txt").touch()
    (folder / "not_a_wheel.whl").touch()
    found = problems(folder, python, index)
    assert len(found) == (1 if missing else 0)
    if missing:
        assert f"has no wheel of {missing}" in found[0]
        assert "Python 3.13" in found[0]
        assert "make wheels" in found[0]


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("wheels", "'wheels' is not an absolute path"), ("/nowhere/wheels", "/nowhere/wheels is not a directory")],
)
def test_rejects_missing_directory(index: Path, folder: str, expected: str) -> None:
    """The message contains the command that fills it."""
    (problem,) = module.wheel_problems(folder, (index / "requirements.txt").read_text(), "3.13.5")
    assert problem.startswith("pypi_install_folder: ")
    assert expected in problem


@pytest.mark.parametrize(
    ("tags", "rejected"), [(["all"], True), (["pypiserver"], True), (["accounts"], False), (["tls", "apache"], False)]
)
def test_preflight_checks_wheels_by_tag(tags: list[str], rejected: bool) -> None:
    """Wheels are checked before any change, but only with tags that need them."""
    (task,) = ansible_templates.tasks("roles/pypi/tasks/wheels.yml")
    given = {"pypi_install_folder": "/nowhere", "ansible_run_tags": tags}
    conditions = [
        ansible_templates.evaluate(ansible_templates.trust_as_template(f"{{{{ {text} }}}}"), **task["vars"], **given)
        for text in task["when"]
    ]
    assert all(conditions) is rejected
    if rejected:
        message = ansible_templates.evaluate(task["ansible.builtin.fail"]["msg"], **task["vars"], **given)
        assert message.startswith("Nothing was changed. pypi_install_folder: /nowhere is not a directory")
