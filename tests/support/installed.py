"""The paths that the roles of site.yml create on a host."""

import re
from pathlib import Path
from typing import Any

from support import ROOT, ansible_templates

INSTALLERS = [role["role"] for role in ansible_templates.read_yaml("site.yml")[0]["roles"]]
# Variables of tasks, which are paths below the release.
PATHS = {"__pypiserver_release_dir": "/opt/pypi/release", "__pypiserver_site_packages": "/opt/pypi/release/lib"}
# Settings that install more.
SWITCHED_ON: dict[str, Any] = {"pypi_monitoring": True, "pypi_backup_repository": "sftp://user@host//path"}
NOT_INSTALLING = {"uninstall.yml", "rollback.yml"}
# Directories that a service's unit lets systemd create; it removes only those in /run.
KEPT_DIRECTORIES = {"State": "/var/lib", "Cache": "/var/cache", "Logs": "/var/log", "Configuration": "/etc"}
# Directories of Debian with Apache. All others above an installed file are created with it.
DEBIAN = {"/", "/etc", "/opt", "/run", "/srv", "/usr/local/share", "/var/cache", "/var/lib", "/var/log"}
DEBIAN |= {f"/etc/apache2/{kind}-{state}" for kind in ("conf", "sites") for state in ("available", "enabled")}
DEBIAN |= {"/etc/logrotate.d", "/etc/systemd/system", "/etc/tmpfiles.d"}
DEBIAN |= {f"/usr/local/{name}" for name in ("bin", "lib", "sbin")}
DEBIAN |= {str(parent) for path in DEBIAN for parent in Path(path).parents}


def evaluate(value: object, **changed: object) -> Any:
    """Evaluate a value from a task file."""
    return ansible_templates.evaluate(value, **PATHS | changed)


def arguments(files: list[Path], module: str = "pypi_files") -> list[dict]:
    """Return the arguments of the tasks with a module."""
    return [task[module] for path in files for task in ansible_templates.tasks(path) if module in task]


def task_files() -> list[Path]:
    """Return the task files of the roles of site.yml."""
    found = [path for role in INSTALLERS for path in (ROOT / "roles" / role / "tasks").glob("*.yml")]
    return [path for path in found if path.name not in NOT_INSTALLING]


def written() -> set[str]:
    """Return the paths of directories, files and links that tasks create."""
    found = set()
    for argument in arguments(task_files()):
        for kind in ("directories", "files", "links"):
            found |= {str(one["path"]) for one in evaluate(argument.get(kind, []), **SWITCHED_ON)}
    for path in task_files():
        for task in ansible_templates.tasks(path):
            copied = task.get("ansible.builtin.copy") or task.get("ansible.builtin.template")
            if copied and "delegate_to" not in task:
                found.add(str(evaluate(copied["dest"], **SWITCHED_ON)))
    return found


def created_by_systemd() -> set[str]:
    """Return the directories that systemd creates for services, and does not remove."""
    found = set()
    for template in ansible_templates.TEMPLATES:
        if template.startswith("templates/etc/systemd/system/"):
            text = ansible_templates.render(template, **SWITCHED_ON)
            for kind, names in re.findall(r"^(\w+)Directory=(.*)$", text, re.MULTILINE):
                found |= {f"{KEPT_DIRECTORIES[kind]}/{name}" for name in names.split() if kind in KEPT_DIRECTORIES}
    return found


def installed() -> set[str]:
    """Return all paths that exist on a host because of the kit."""
    found = written() | created_by_systemd()
    return found | {str(parent) for path in found for parent in Path(path).parents} - DEBIAN


def users(files: list[Path], *, state: str) -> set[str]:
    """Return the users that tasks create (present) or remove (absent)."""
    tasks = arguments(files, "ansible.builtin.user")
    return {str(task["name"]) for task in tasks if task.get("state", "present") == state}


def packages(files: list[Path], *, state: str) -> set[str]:
    """Return the Debian packages that tasks install (present) or remove (absent)."""
    tasks = [task for task in arguments(files, "ansible.builtin.apt") if task.get("state", "present") == state]
    names = [evaluate(task["name"], **SWITCHED_ON) for task in tasks]
    return {str(one) for name in names for one in ([name] if isinstance(name, str) else name)}
