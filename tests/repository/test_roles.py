"""Roles and playbooks work from any directory and repository, without the kit's ansible.cfg."""

import getpass
import grp
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import ROOT, ansible_templates

INTERNAL = re.compile(r"__([a-z]+)_[a-z0-9_]+")


def ansible_playbook(playbook: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook from its own directory on this machine, with an empty ansible.cfg."""
    configured = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    empty = playbook.parent / "ansible.cfg"
    empty.touch()
    return subprocess.run(
        ["ansible-playbook", "-i", "localhost,", *options, playbook.name],
        cwd=playbook.parent,
        env=configured | {"ANSIBLE_CONFIG": str(empty), "ANSIBLE_NOCOLOR": "1"} | environment,
        text=True,
        capture_output=True,
        check=False,
    )


def play_with(path: Path, **play: object) -> Path:
    """Write a playbook with one play on this machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump([{"hosts": "all", "connection": "local", "gather_facts": False} | play]))
    return path


@pytest.mark.parametrize("role", ansible_templates.ROLES)
def test_role_works_alone(tmp_path: Path, role: str) -> None:
    """A play of one role needs no other lines: the role includes the modules, filters and settings it uses.

    Settings are checked first.
    """
    playbook = play_with(tmp_path / "playbooks/one.yml", roles=[role])
    done = ansible_playbook(playbook, "--list-tasks", ANSIBLE_ROLES_PATH=str(ROOT / "roles"))
    assert done.returncode == 0, done.stdout + done.stderr
    tasks = re.findall(r"^ {6}(\S.*?)\t", done.stdout, re.MULTILINE)
    checks = [number for number, task in enumerate(tasks) if "settings | Fail" in task]
    assert checks
    assert all(task.startswith("pypi : ") for task in tasks[: checks[0]])


def test_no_galaxy_metadata() -> None:
    """The roles depend on each other and on templates/, so they have no Galaxy metadata."""
    metadata = {path: yaml.safe_load(path.read_text(encoding="utf-8")) for path in ROOT.glob("roles/*/meta/main.yml")}
    assert metadata
    assert [str(path) for path, found in metadata.items() if found.keys() != {"dependencies"}] == []


@pytest.mark.parametrize(
    "playbook", ["site.yml", *sorted(f"playbooks/{path.name}" for path in ROOT.glob("playbooks/*.yml"))]
)
def test_playbook_can_be_imported(tmp_path: Path, playbook: str) -> None:
    """Another repository can import the playbooks without an ansible.cfg."""
    (tmp_path / "wheelhouse").symlink_to(ROOT)
    outer = tmp_path / "site.yml"
    outer.write_text(yaml.safe_dump([{"import_playbook": f"wheelhouse/{playbook}"}]))
    done = ansible_playbook(outer, "--syntax-check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("directory", ["playbooks", "other/repository"])
def test_templates_are_found_in_the_kit(tmp_path: Path, directory: str) -> None:
    """Templates are found relative to the kit, not to the playbook."""
    target = tmp_path / "yanked.json"
    ownership = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}
    file = {"path": str(target), "template": "/etc/pypi/yanked.json"} | ownership
    playbook = play_with(
        tmp_path / directory / "one.yml",
        roles=[{"role": "pypi", "when": False}],
        tasks=[{"name": "Write a file", "pypi_files": {"files": [file]}}],
        vars={
            "ansible_python_interpreter": sys.executable,
            "pypi_yanked": [{"project": "acme", "version": "1.0"}],
        },
    )
    other = playbook.parent / "templates/etc/pypi/yanked.json.j2"
    other.parent.mkdir(parents=True)
    other.write_text("other\n")
    done = ansible_playbook(playbook, ANSIBLE_ROLES_PATH=str(ROOT / "roles"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"acme"' in target.read_text()


def test_no_path_depends_on_the_playbook() -> None:
    """playbook_dir differs in each repository that uses the roles."""
    files = [path for path in ROOT.glob("roles/**/*") if path.suffix in (".yml", ".py", ".j2")]
    assert [str(path) for path in files if "playbook_dir" in path.read_text(encoding="utf-8")] == []


def files_of(role: str) -> list[Path]:
    """Return the task, handler and variable files of a role, and the templates that its tasks render."""
    directory = ROOT / "roles" / role
    found = [*directory.glob("tasks/*.yml"), *directory.glob("handlers/*.yml"), *directory.glob("vars/*.yml")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in found)
    templates = {
        f"/{path.relative_to(ROOT / 'templates')}".removesuffix(".j2"): path
        for path in map(ROOT.joinpath, ansible_templates.TEMPLATES)
        if path.is_relative_to(ROOT / "templates")
    }
    return found + [path for name, path in templates.items() if name in text]


@pytest.mark.parametrize("role", ansible_templates.ROLES)
def test_role_reads_no_internals_of_other_roles(role: str) -> None:
    """Registered variables of other roles are undefined with --tags. All roles may read pypi_shared_*."""
    found = {
        f"{path.name}: {match[0]}"
        for path in files_of(role)
        for match in INTERNAL.finditer(path.read_text(encoding="utf-8"))
        if match[1] != role and match[1] in ansible_templates.ROLES
    }
    assert sorted(found) == []
