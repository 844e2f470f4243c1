"""The program pypi-state compares the files that services have read with those on the disk."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from support import ansible_templates

RUNNING = "ActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no"
UNITS = ["pypi-application.service", "pypi-application-proxy.socket", "apache2.service", "pypi-pages.path"]
UNITS += ["pypi-pages.timer", "pypi-certificate.timer"]
PROXY = "pypi-application-proxy.service"
# Services that timers start.
TIMED = ["pypi-pages.service", "pypi-certificate.service"]


class Server:
    """The directories of a host on which all services are up to date."""

    def __init__(self, home: Path, **settings: object):
        self.home = home
        idle = RUNNING.replace("=active", "=inactive").replace("=enabled", "=static")
        self.units = dict.fromkeys([*UNITS, PROXY], RUNNING) | dict.fromkeys(TIMED, idle)
        directories = {f"pypi_{name}_dir": str(home / name) for name in ("config", "program", "pages")}
        text = ansible_templates.render("templates/usr/local/sbin/pypi-state.j2", **directories | settings)
        # Replace only the paths that no setting can change.
        for path in ("/etc/systemd/system", "/etc/apache2", "/usr/local/lib/pypi", "/run/pypi-state"):
            assert text.count(f'Path("{path}")') == 1
            text = text.replace(f'Path("{path}")', f'Path("{home}{path}")')
        self.script = home / "pypi-state"
        self.script.write_text(text.replace('"/usr/bin/systemctl"', f'"{home}/systemctl"'))
        self.module = ModuleType("pypi_state")
        exec(compile(self.script.read_text(), self.script, "exec"), self.module.__dict__)  # noqa: S102
        for name in ("etc/systemd/system/pypi-.service.d", "etc/apache2/sites-enabled", "usr/local/lib/pypi", "run"):
            (home / name).mkdir(parents=True)
        for name in ("etc/apache2/conf-available", "config/tls", "program/one", "program/two", "pages/projects"):
            (home / name).mkdir(parents=True)
        self.write("pages/projects/.complete", "")
        self.write("config/settings.json", "{}")
        self.activate("one")
        for name in self.module.FILES:
            self.load(name, "start")

    def write(self, path: str, text: str) -> None:
        """Write a file on the host."""
        (self.home / path).write_text(text)

    def activate(self, build: str) -> None:
        """Activate a build of a release."""
        (self.home / "program/current").unlink(missing_ok=True)
        (self.home / "program/current").symlink_to(build)

    def load(self, name: str, occasion: str) -> None:
        """Record that a unit reads its files."""
        self.module.prepare(name, occasion)
        self.module.commit(name)

    def pending(self) -> dict:
        """Run the program as the role does."""
        shown = "\n\n".join(f"Id={unit}\n{state}" for unit, state in self.units.items())
        (self.home / "systemctl").write_text(f"#!/bin/sh\ncat <<END\n{shown}\nEND\n")
        (self.home / "systemctl").chmod(0o755)
        found = self.module.pending()
        found["units"] = {unit["name"]: unit["state"] for unit in found["units"]}
        return found


NOTHING = {"daemon_reload": False, "rebuild": False, "units": {}}


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """Return a host without pending changes."""
    return Server(tmp_path)


def test_nothing_pending(server: Server) -> None:
    """Without changes, nothing is pending."""
    assert server.pending() == NOTHING


@pytest.mark.parametrize(
    ("path", "units"),
    [
        ("etc/apache2/sites-enabled/pypi.conf", {"apache2.service": "reloaded"}),
        ("etc/apache2/ports.conf", {"apache2.service": "reloaded"}),
        ("etc/apache2/conf-available/pypi-processes.conf", {"apache2.service": "restarted"}),
        ("usr/local/lib/pypi/passwords.py", {"apache2.service": "reloaded"}),
        ("config/tls/server.crt", {"apache2.service": "reloaded"}),
        ("config/tls/server.key", {"apache2.service": "reloaded"}),
        ("config/application.conf", {"pypi-application.service": "reloaded"}),
        ("etc/systemd/system/pypi-application.service", {"pypi-application.service": "restarted"}),
        ("etc/systemd/system/pypi-application-proxy.socket", {"pypi-application-proxy.socket": "restarted"}),
        ("etc/systemd/system/pypi-application-proxy.service", {PROXY: "restarted"}),
        (
            "etc/systemd/system/pypi-.service.d/sandbox.conf",
            {PROXY: "restarted", "pypi-application.service": "restarted"},
        ),
    ],
)
def test_changed_file_requires_reload_or_restart(server: Server, path: str, units: dict) -> None:
    """A changed file must be read again, whoever has changed it."""
    server.write(path, "new")
    assert server.pending() == NOTHING | {"units": units}
    for unit in units:
        server.load(unit, "start")
    assert server.pending() == NOTHING
    (server.home / path).unlink()
    assert server.pending() == NOTHING | {"units": units}


def test_pages_require_rebuild(server: Server) -> None:
    """Pages depend on the release, the settings and the yanks; missing pages are rebuilt."""
    server.write("config/yanked.json", "{}")
    assert server.pending() == NOTHING | {"rebuild": True}
    server.load("pages", "start")
    assert server.pending() == NOTHING
    (server.home / "pages/projects/.complete").unlink()
    assert server.pending() == NOTHING | {"rebuild": True}


def test_release_requires_reload_and_rebuild(server: Server) -> None:
    """A new build is loaded, and the pages are rebuilt with it."""
    server.activate("two")
    expected = {"rebuild": True, "units": {"pypi-application.service": "reloaded"}}
    assert server.pending() == NOTHING | expected
    server.write("program/two/manifest.json", "{}")
    server.load("pypi-application.service", "reload")
    server.load("pages", "start")
    assert server.pending() == NOTHING
    server.write("program/two/manifest.json", "{...}")
    assert server.pending() == NOTHING | expected


def test_reload_does_not_replace_restart(server: Server) -> None:
    """After a reload, a change that needs a restart is still pending."""
    server.write("etc/apache2/conf-available/pypi-processes.conf", "new")
    server.load("apache2.service", "reload")
    assert server.pending() == NOTHING | {"units": {"apache2.service": "restarted"}}


def test_failed_reload_remains_pending(server: Server) -> None:
    """After a failed reload, systemd does not call commit, so the previous digests are valid."""
    server.write("etc/apache2/ports.conf", "wrong")
    server.module.prepare("apache2.service", "reload")
    assert server.pending() == NOTHING | {"units": {"apache2.service": "reloaded"}}


def test_change_during_reload_remains_pending(server: Server) -> None:
    """A file that changes after its digest was computed is read again (race)."""
    server.module.prepare("apache2.service", "reload")
    server.write("etc/apache2/ports.conf", "later")
    server.module.commit("apache2.service")
    assert server.pending() == NOTHING | {"units": {"apache2.service": "reloaded"}}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (RUNNING, None),
        (RUNNING.replace("=active", "=reloading"), None),
        (RUNNING.replace("=active", "=inactive"), "started"),
        (RUNNING.replace("=active", "=failed"), "started"),
        (RUNNING.replace("=enabled", "=disabled"), "started"),
        (RUNNING.replace("=enabled", "=masked"), "started"),
        ("ActiveState=inactive\nUnitFileState=\nNeedDaemonReload=no", "started"),
    ],
)
@pytest.mark.parametrize("unit", UNITS)
def test_inactive_unit_is_started(server: Server, unit: str, state: str, expected: str | None) -> None:
    """Every unit of the kit runs and is enabled."""
    server.units[unit] = state
    assert server.pending()["units"] == ({unit: expected} if expected else {})


def test_unknown_unit_is_started(server: Server) -> None:
    """A unit without output of systemctl is started."""
    del server.units["pypi-pages.timer"]
    assert server.pending()["units"] == {"pypi-pages.timer": "started"}


def test_inactive_proxy_is_not_started(server: Server) -> None:
    """The proxy is started by its socket."""
    server.units[PROXY] = RUNNING.replace("=active", "=inactive").replace("=enabled", "=static")
    server.write("etc/systemd/system/pypi-application-proxy.service", "new")
    assert server.pending() == NOTHING


def test_changed_unit_file_requires_daemon_reload(server: Server) -> None:
    """The output of systemctl contains whether a unit file has changed."""
    server.units["pypi-pages.path"] = RUNNING.replace("Reload=no", "Reload=yes")
    assert server.pending() == NOTHING | {"daemon_reload": True}


@pytest.mark.parametrize("unit", TIMED)
def test_changed_service_of_a_timer_requires_daemon_reload(server: Server, unit: str) -> None:
    """An active timer keeps its service loaded; the service itself is neither started nor restarted."""
    server.units[unit] = server.units[unit].replace("Reload=no", "Reload=yes")
    assert server.pending() == NOTHING | {"daemon_reload": True}


def test_monitoring_adds_its_timers(tmp_path: Path) -> None:
    """With pypi_monitoring, two more timers run."""
    server = Server(tmp_path, pypi_monitoring=True)
    assert server.pending()["units"] == {"pypi-metrics.timer": "started", "pypi-canary.timer": "started"}


def test_application_is_started_before_apache(server: Server) -> None:
    """A new site may not work with an old application."""
    server.units = dict.fromkeys(server.units, RUNNING.replace("=active", "=inactive"))
    assert list(server.pending()["units"])[:3] == UNITS[:3]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{"), lambda path: path.write_text("[]")])
def test_damaged_state_causes_restart(server: Server, damage: Callable[[Path], object]) -> None:
    """Without a valid record, a service is restarted. Nothing fails."""
    damage(server.home / "run/pypi-state/apache2.service.json")
    assert server.pending()["units"] == {"apache2.service": "restarted"}


def test_certificate_timer_is_optional(tmp_path: Path) -> None:
    """Without self-signed certificates, the timer is not expected."""
    server = Server(tmp_path, pypi_tls="none")
    del server.units["pypi-certificate.timer"]
    assert server.pending() == NOTHING


@pytest.mark.parametrize("words", [[], ["prepare"], ["prepare", "x.service", "start"], ["commit", "/etc/passwd"]])
def test_rejects_invalid_arguments(server: Server, words: list[str]) -> None:
    """Invalid arguments print the help text."""
    done = subprocess.run([sys.executable, server.script, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pypi-state prepare UNIT" in done.stderr


def test_every_unit_records_its_files() -> None:
    """A unit that does not call pypi-state would be restarted by every run."""
    units = "templates/etc/systemd/system"
    templates = {name: f"{units}/{name}.j2" for name in [*UNITS[:2], PROXY]}
    templates["apache2.service"] = f"{units}/apache2.service.d/pypi.conf.j2"
    for name, template in templates.items():
        text = ansible_templates.render(template)
        assert re.search(rf"^ExecStartPre=-\+?/usr/local/sbin/pypi-state prepare {name} start$", text, re.MULTILINE)
        assert re.search(rf"^ExecStartPost=-\+?/usr/local/sbin/pypi-state commit {name}$", text, re.MULTILINE)


def test_prints_json(server: Server) -> None:
    """The role reads JSON from standard output."""
    server.pending()
    done = subprocess.run([sys.executable, "-I", server.script, "pending"], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == {"daemon_reload": False, "rebuild": False, "units": []}


def test_removed_drop_in_requires_restart(server: Server) -> None:
    """A service that was started with a drop-in of an admin is restarted when a run has removed it."""
    name = "pypi-application.service"
    (server.home / f"etc/systemd/system/{name}.d").mkdir()
    server.write(f"etc/systemd/system/{name}.d/override.conf", "[Service]")
    server.load(name, "start")
    (server.home / f"etc/systemd/system/{name}.d/override.conf").unlink()
    assert server.pending()["units"] == {name: "restarted"}


@pytest.mark.parametrize("suffix", ["json", "html", "json.gz", "html.gz"])
def test_deleted_page_requires_rebuild(server: Server, suffix: str) -> None:
    """A page that was deleted by hand is written again; one that an upload is about to write is not missed."""
    (server.home / "pages/records").mkdir()
    record = server.home / "pages/records/acme.json"
    for name in ("json", "html", "json.gz", "html.gz"):
        server.write(f"pages/projects/acme.{name}", "")
    server.write("pages/records/acme.json", "{}")
    server.write("pages/records/.state", json.dumps({"newest": {"acme": "1.0", "removed": "1.0"}}))
    # A project whose files are all corrupt has a record and no page.
    server.write("pages/records/corrupt.json", "{}")
    os.utime(server.home / "pages/records/corrupt.json", (1, 1))
    os.utime(record, (1, 1))
    assert server.pending() == NOTHING
    (server.home / f"pages/projects/acme.{suffix}").unlink()
    assert server.pending() == NOTHING | {"rebuild": True}
    os.utime(record)
    assert server.pending() == NOTHING
    os.utime(record, (1, 1))
    server.write("pages/records/.state", "{")
    assert server.pending() == NOTHING


BACKUP_TIMERS = {"pypi-backup.timer": "started", "pypi-backup-check.timer": "started"}


@pytest.mark.parametrize(("repository", "units"), [("", {}), ("/mnt/backup", BACKUP_TIMERS)])
def test_timers_of_backups_are_started(tmp_path: Path, repository: str, units: dict) -> None:
    """With pypi_backup_repository, two more timers run."""
    server = Server(tmp_path, pypi_backup_repository=repository)
    assert server.pending() == NOTHING | {"units": units}


@pytest.mark.parametrize("name", ["pypi-backup", "pypi-backup-check", "pypi-backup-copy"])
def test_changed_service_of_backups_requires_daemon_reload(tmp_path: Path, name: str) -> None:
    """Timers start two of the services, and the backup starts the third."""
    server = Server(tmp_path, pypi_backup_repository="/mnt/backup")
    server.units |= dict.fromkeys(BACKUP_TIMERS, RUNNING)
    server.units[f"{name}.service"] = "ActiveState=inactive\nUnitFileState=static\nNeedDaemonReload=yes"
    assert server.pending() == NOTHING | {"daemon_reload": True}
