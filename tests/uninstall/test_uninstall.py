"""playbooks/uninstall.yml removes every path that the roles create, except the data."""

from pathlib import Path

import pytest
from pypi_backup.paths import Paths
from support import ROOT, ansible_templates
from support.installed import arguments, evaluate, installed, packages, task_files, users

# Debian's file, which is restored.
RESTORED = {"/etc/apache2/ports.conf", "/etc/apache2/sites-enabled/000-default.conf"}
# Debian packages that other programs may need.
SHARED_PACKAGES = {"apache2", "ca-certificates", "logrotate", "openssl", "python3-bcrypt", "python3-venv"}
SHARED_PACKAGES |= {"openssh-client"}
UNINSTALL = sorted((ROOT / "roles/uninstall/tasks").glob("*.yml"))


def removed(*, data: bool) -> set[str]:
    """Return the paths that the playbook removes, with the default settings.

    Settings may have been switched off since the files were installed.
    """
    apache = arguments([ROOT / "roles/apache/tasks/uninstall.yml"])
    found = {str(path) for argument in apache for path in evaluate(argument.get("absent", []))}
    logs = {"__uninstall_logs": {"files": [{"path": f"/var/log/pypi/{name}.log"} for name in ("access", "error")]}}
    found |= set(evaluate(arguments([ROOT / "roles/uninstall/tasks/files.yml"])[0]["absent"], **logs))
    if data:
        found |= {*evaluate(arguments([ROOT / "roles/uninstall/tasks/data.yml"])[0]["absent"]), *emptied()}
    return found


def emptied() -> set[str]:
    """Return the directories that are removed if nothing is left in them."""
    return set(evaluate(ansible_templates.trust_as_template("{{ __uninstall_parents }}")))


def left(*, data: bool) -> set[str]:
    """Return the installed paths that are neither removed nor in a directory that is."""
    gone = removed(data=data)
    return {path for path in installed() if not {path, *map(str, Path(path).parents)} & gone}


def test_finds_installed_paths() -> None:
    """The comparison below would always succeed if no paths were found."""
    assert installed() > {"/usr/local/bin/wheelhouse", "/run/pypi-passwords", "/etc/pypi/tls/server.key", "/srv/pypi"}
    assert len(installed()) > 60


def test_removes_everything_with_the_data() -> None:
    """A new file of a role must be removed as well: add it to roles/uninstall/vars/main.yml."""
    assert sorted(left(data=True) - RESTORED) == []


def test_keeps_only_the_data() -> None:
    """Packages, state and the audit log are kept, with the directories above them."""
    data = ["/srv/pypi/.wheelhouse", "/srv/pypi/packages", "/srv/pypi/state", "/var/log/pypi/audit"]
    assert sorted(left(data=False) - RESTORED - emptied()) == data


def test_keeps_the_record_of_the_backup_repository() -> None:
    """It belongs to the data; the other files of pypi-backup do not."""
    files = Paths(config=Path("/etc/pypi/backup"))
    kept = removed(data=True) - removed(data=False)
    assert str(files.record) in kept
    assert not {str(files.status), str(files.lock), str(files.packages.parent)} - removed(data=False)


def test_removes_users_and_packages() -> None:
    """Users of services are removed, and packages if asked, except those that other programs may need."""
    assert users(task_files(), state="present") == users(UNINSTALL, state="absent") == {"pypi", "pypi-monitoring"}
    assert packages(task_files(), state="present") - packages(UNINSTALL, state="absent") == SHARED_PACKAGES


def test_never_removes_data_with_other_directories() -> None:
    """Without the second variable, no directory above the data is removed."""
    data = {"/srv/pypi/packages", "/srv/pypi/state", "/var/log/pypi/audit"}
    assert not removed(data=False) & {str(parent) for path in data for parent in [path, *Path(path).parents]}


def test_stops_every_unit() -> None:
    """The units are those of the templates."""
    units = evaluate(ansible_templates.trust_as_template("{{ __uninstall_units }}"))
    assert set(evaluate(ansible_templates.trust_as_template("{{ pypi_shared_units }}"))) - {"apache2.service"} < set(
        units
    )
    assert "pypi-pages.service" in units
    assert "sandbox.conf" not in units


def test_removes_drop_ins_of_every_unit() -> None:
    """Also those that an admin has added: systemd would list the directories as parts of unknown units."""
    units = evaluate(ansible_templates.trust_as_template("{{ __uninstall_units }}"))
    assert {f"/etc/systemd/system/{unit}.d" for unit in units} < removed(data=False)


def condition(name: str, **given: object) -> bool:
    """Return whether a task of the confirmation fails the run."""
    tasks = ansible_templates.tasks(ROOT / "roles/uninstall/tasks/confirm.yml")
    task = next(task for task in tasks if name in task["name"])
    text = ansible_templates.trust_as_template("{{ " + task["when"] + " }}")
    return bool(evaluate(text, **task.get("vars", {}) | {"ansible_check_mode": False} | given))


@pytest.mark.parametrize(
    ("given", "fails"),
    [
        ({}, True),
        ({"pypi_uninstall_data": "yes"}, True),
        ({"pypi_uninstall": "no"}, True),
        ({"pypi_uninstall": "yes"}, False),
        ({"ansible_check_mode": True}, False),
    ],
    ids=str,
)
def test_needs_confirmation(given: dict, fails: bool) -> None:
    """Only -e pypi_uninstall=yes removes anything."""
    assert condition("without a confirmation", **given) is fails


@pytest.mark.parametrize(
    ("given", "fails"),
    [
        ({}, False),
        ({"pypi_config_dir": "/etc"}, True),
        ({"pypi_pages_dir": "/srv/pypi"}, True),
        ({"pypi_program_dir": "/var/log"}, True),
        ({"pypi_pages_dir": "/data/pages", "pypi_data_dir": "/data/index"}, False),
    ],
    ids=str,
)
def test_refuses_shared_directories(given: dict, fails: bool) -> None:
    """A setting must not delete a directory of the operating system, or the data."""
    assert condition("other files", **given) is fails


def test_modules_of_debian_are_those_that_the_role_changes() -> None:
    """Other modules are neither enabled nor disabled by the role, so they need no removal."""
    variables = {
        name: set(evaluate(ansible_templates.trust_as_template("{{ __apache_modules_" + name + " }}")))
        for name in ("on", "off", "debian")
    }
    assert variables["debian"] <= variables["on"] | variables["off"]
