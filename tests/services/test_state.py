"""pypi-state: what the services have read, compared with what is on the disk."""

import json
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


class Server:
    """A host's directories, on which everything runs with what is there."""

    def __init__(self, home: Path, **settings: object):
        self.home = home
        self.units = dict.fromkeys([*UNITS, PROXY], RUNNING)
        places = {f"pypi_{name}_dir": str(home / name) for name in ("config", "program", "pages")}
        text = ansible_templates.render("templates/usr/local/sbin/pypi-state.j2", **places | settings)
        # Only the places that no setting moves are replaced.
        for place in ("/etc/systemd/system", "/etc/apache2", "/usr/local/lib/pypi", "/run/pypi-state"):
            assert text.count(f'Path("{place}")') == 1
            text = text.replace(f'Path("{place}")', f'Path("{home}{place}")')
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
        self.use("one")
        for name in self.module.FILES:
            self.read(name, "start")

    def write(self, path: str, text: str) -> None:
        """Write a file on the host."""
        (self.home / path).write_text(text)

    def use(self, build: str) -> None:
        """Take a build of a release into use."""
        (self.home / "program/current").unlink(missing_ok=True)
        (self.home / "program/current").symlink_to(build)

    def read(self, name: str, occasion: str) -> None:
        """Have a unit read its files."""
        self.module.prepare(name, occasion)
        self.module.commit(name)

    def pending(self) -> dict:
        """Ask the program, as the role does."""
        shown = "\n\n".join(f"Id={unit}\n{state}" for unit, state in self.units.items())
        (self.home / "systemctl").write_text(f"#!/bin/sh\ncat <<END\n{shown}\nEND\n")
        (self.home / "systemctl").chmod(0o755)
        found = self.module.pending()
        found["units"] = {unit["name"]: unit["state"] for unit in found["units"]}
        return found


NOTHING = {"daemon_reload": False, "rebuild": False, "units": {}}


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A host on which nothing is to be done."""
    return Server(tmp_path)


def test_nothing(server: Server) -> None:
    """A run that finds everything as it should be has nothing to do."""
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
def test_changed_files(server: Server, path: str, units: dict) -> None:
    """A file that a service has read and that has changed since is to be read again, whoever changed it and when."""
    server.write(path, "new")
    assert server.pending() == NOTHING | {"units": units}
    for unit in units:
        server.read(unit, "start")
    assert server.pending() == NOTHING
    (server.home / path).unlink()
    assert server.pending() == NOTHING | {"units": units}


def test_pages(server: Server) -> None:
    """Pages follow from the release, the settings and the yanks in them; and they must be there."""
    server.write("config/yanked.json", "{}")
    assert server.pending() == NOTHING | {"rebuild": True}
    server.read("pages", "start")
    assert server.pending() == NOTHING
    (server.home / "pages/projects/.complete").unlink()
    assert server.pending() == NOTHING | {"rebuild": True}


def test_release(server: Server) -> None:
    """Another build of the release is loaded, and the pages are made with it."""
    server.use("two")
    wanted = {"rebuild": True, "units": {"pypi-application.service": "reloaded"}}
    assert server.pending() == NOTHING | wanted
    server.write("program/two/manifest.json", "{}")
    server.read("pypi-application.service", "reload")
    server.read("pages", "start")
    assert server.pending() == NOTHING
    server.write("program/two/manifest.json", "{...}")
    assert server.pending() == NOTHING | wanted


def test_a_reload_does_not_count_as_a_start(server: Server) -> None:
    """After a reload the number of threads is the old one, and the restart is still pending."""
    server.write("etc/apache2/conf-available/pypi-processes.conf", "new")
    server.read("apache2.service", "reload")
    assert server.pending() == NOTHING | {"units": {"apache2.service": "restarted"}}


def test_a_reload_that_failed(server: Server) -> None:
    """systemd does not call commit then: what Apache has read is what it had read before."""
    server.write("etc/apache2/ports.conf", "wrong")
    server.module.prepare("apache2.service", "reload")
    assert server.pending() == NOTHING | {"units": {"apache2.service": "reloaded"}}


def test_changed_while_it_is_read(server: Server) -> None:
    """What changes after the digests were computed may have been read or not: it is read again."""
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
        ("ActiveState=inactive\nUnitFileState=\nNeedDaemonReload=no", "started"),
    ],
)
@pytest.mark.parametrize("unit", UNITS)
def test_units(server: Server, unit: str, state: str, expected: str | None) -> None:
    """Every unit of the kit runs and starts with the host."""
    server.units[unit] = state
    assert server.pending()["units"] == ({unit: expected} if expected else {})


def test_unknown_unit(server: Server) -> None:
    """A unit that systemd says nothing of is not passed over."""
    del server.units["pypi-pages.timer"]
    assert server.pending()["units"] == {"pypi-pages.timer": "started"}


def test_proxy_on_demand(server: Server) -> None:
    """It is started by its socket, and not by a run."""
    server.units[PROXY] = RUNNING.replace("=active", "=inactive").replace("=enabled", "=static")
    server.write("etc/systemd/system/pypi-application-proxy.service", "new")
    assert server.pending() == NOTHING


def test_changed_units(server: Server) -> None:
    """systemd itself knows whether it has read its files."""
    server.units["pypi-pages.path"] = RUNNING.replace("Reload=no", "Reload=yes")
    assert server.pending() == NOTHING | {"daemon_reload": True}


def test_order(server: Server) -> None:
    """The application comes before the front: with an old application, a new site may not work."""
    server.units = dict.fromkeys(server.units, RUNNING.replace("=active", "=inactive"))
    assert list(server.pending()["units"])[:3] == UNITS[:3]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{"), lambda path: path.write_text("[]")])
def test_unknown_state(server: Server, damage: Callable[[Path], object]) -> None:
    """Where it is not known what a service has read, it reads again. Nothing fails."""
    damage(server.home / "run/pypi-state/apache2.service.json")
    assert server.pending()["units"] == {"apache2.service": "restarted"}


def test_without_certificates_of_its_own(tmp_path: Path) -> None:
    """The timer that renews them is not missed."""
    server = Server(tmp_path, pypi_tls="none")
    del server.units["pypi-certificate.timer"]
    assert server.pending() == NOTHING


@pytest.mark.parametrize("words", [[], ["prepare"], ["prepare", "x.service", "start"], ["commit", "/etc/passwd"]])
def test_usage(server: Server, words: list[str]) -> None:
    """What cannot be meant is rejected, with the help text."""
    done = subprocess.run([sys.executable, server.script, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pypi-state prepare UNIT" in done.stderr


def test_every_unit_records_what_it_reads() -> None:
    """A unit that pypi-state knows and that does not call it would be restarted by every run."""
    units = "templates/etc/systemd/system"
    templates = {name: f"{units}/{name}.j2" for name in [*UNITS[:2], PROXY]}
    templates["apache2.service"] = f"{units}/apache2.service.d/pypi.conf.j2"
    for name, template in templates.items():
        text = ansible_templates.render(template)
        assert re.search(rf"^ExecStartPre=-\+?/usr/local/sbin/pypi-state prepare {name} start$", text, re.MULTILINE)
        assert re.search(rf"^ExecStartPost=-\+?/usr/local/sbin/pypi-state commit {name}$", text, re.MULTILINE)


def test_prints_json(server: Server) -> None:
    """What the role reads."""
    server.pending()
    done = subprocess.run([sys.executable, "-I", server.script, "pending"], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == {"daemon_reload": False, "rebuild": False, "units": []}
