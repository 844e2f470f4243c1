"""The module that inspects the host before any change, run as Ansible runs it."""

import hashlib
import json
import os
import platform
import pwd
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from support import ROOT, ansible_templates, load
from support.installed import arguments, evaluate, written

module = load("roles/pypi/library/pypi_host.py")
ME = pwd.getpwuid(os.getuid()).pw_name
SITE = "<VirtualHost *:{}>\n    ServerName other.example.com\n</VirtualHost>\n"


class Host:
    """The directories of a host."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
        self.home = home
        self._capsys = capsys
        for name, path in (("APACHE", "apache2"), ("PACKAGES", "status"), ("LISTS", "lists")):
            monkeypatch.setattr(module, name, home / path)
        monkeypatch.setattr(module, "UNITS", [home / "system", home / "system.control"])
        monkeypatch.setattr(module, "DEFAULT_SITE", home / "apache2/sites-enabled/000-default.conf")
        self.data = [str(home / name) for name in ("packages", "state")]

    def write(self, path: str, text: str = "") -> None:
        """Write a file on the host."""
        (self.home / path).parent.mkdir(parents=True, exist_ok=True)
        (self.home / path).write_text(text)

    def inspect(self, **options: Any) -> dict:
        """Run the module. Returns its result."""
        arguments = {
            "settings_file": str(self.home / "settings.json"),
            "data_mark": str(self.home / ".wheelhouse"),
            "data": self.data,
            "backup_files": str(self.home / "config/backup"),
            "user": ME,
            "ports": [80, 443],
        }
        with patch_module_args(arguments | options), pytest.raises(SystemExit):
            module.main()
        return json.loads(self._capsys.readouterr().out)


@pytest.fixture
def host(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a fresh host without Apache."""
    return Host(tmp_path, capsys, monkeypatch)


def problems(found: dict) -> list[str]:
    """Return the problems of the host's Apache, by the role's expression."""
    return ansible_templates.evaluate(
        ansible_templates.trust_as_template("{{ __pypi_apache_problems }}"), __pypi_host=found
    )


def test_fresh_host(host: Host) -> None:
    """Nothing is deployed on a fresh host."""
    found = host.inspect(user="nobody-has-this-name")
    assert (found["deployed"], found["has_data"], found["package_lists"]) == (False, False, False)
    assert (found["user_uid"], found["data_uid"], found["foreign_files"]) == (None, None, 0)
    assert problems(found) == []


def test_detects_deployment(host: Host) -> None:
    """A deployed index is detected by its files."""
    for path in ("settings.json", ".wheelhouse", "lists/debian_Packages.lz4", "packages/a.whl"):
        host.write(path)
    found = host.inspect()
    assert (found["deployed"], found["has_data"], found["package_lists"]) == (True, True, True)
    assert found["user_uid"] == os.getuid()
    assert found["foreign_files"] == 0


def test_counts_packages(host: Host) -> None:
    """Temporary uploads do not count."""
    assert host.inspect()["packages"] == 0
    for name in ("a.whl", "b.whl", ".upload-x"):
        host.write(f"packages/{name}")
    assert host.inspect()["packages"] == 2


def test_accepts_file_in_place_of_data_directory(host: Host) -> None:
    """The module does not fail: the task that creates the directory reports the file."""
    host.write("state")
    assert host.inspect()["foreign_files"] == 0


@pytest.mark.parametrize(
    ("progress", "step"),
    [(None, ""), ('{"step": null}', "begun"), ("{", "begun"), ('{"step": "set aside"}', "set aside")],
)
def test_detects_interrupted_restore(host: Host, progress: str | None, step: str) -> None:
    """The last step of an interrupted restore is known."""
    if progress:
        host.write(".restore/progress.json", progress)
    assert host.inspect()["restoring"] == step


def test_detects_configuration_of_backups(host: Host) -> None:
    """The directory exists while backups are configured."""
    assert host.inspect()["backup_files"] is False
    host.write("config/backup/password")
    assert host.inspect()["backup_files"] is True


def test_detects_files_of_other_users(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restored data may have another UID. Packages of root are allowed."""
    uids = {"packages/a.whl": 4321, "packages/b.whl": 4321, "packages/c.whl": 0, "state/names.txt": 1234}
    for path in uids:
        host.write(path)
    monkeypatch.setattr(module, "owner", lambda entry: uids[str(Path(entry.path).relative_to(host.home))])
    found = host.inspect()
    assert found["foreign_files"] == 3
    assert found["data_uid"] == 4321
    assert found["data_uid_user"] == ""
    assert host.inspect(user="root")["foreign_files"] == 3


@pytest.mark.parametrize("name", ["prefork", "worker"])
def test_rejects_other_mpm(host: Host, name: str) -> None:
    """HTTP/2 and the number of threads need mpm_event. The message contains the commands."""
    host.write(f"apache2/mods-enabled/mpm_{name}.load")
    (problem,) = problems(host.inspect())
    assert f"a2dismod mpm_{name}" in problem


def test_accepts_default_apache(host: Host) -> None:
    """Debian's default configuration is accepted."""
    content = SITE.format(80)
    host.write("apache2/mods-enabled/mpm_event.load")
    host.write("apache2/ports.conf", "Listen 80\n<IfModule ssl_module>\n\tListen 443\n</IfModule>\n")
    host.write("apache2/sites-enabled/000-default.conf", content)
    path = host.home / "apache2/sites-available/000-default.conf"
    digest = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
    host.write("status", f"Package: apache2\nConffiles:\n /etc/other 0123\n {path} {digest}\nDescription: x\n")
    assert problems(host.inspect()) == []
    assert problems(host.inspect(ports=[8080])) == []


def test_rejects_edited_default_site(host: Host) -> None:
    """A default site with changes is not disabled."""
    host.write("apache2/sites-enabled/000-default.conf", SITE.format(80))
    path = host.home / "apache2/sites-available/000-default.conf"
    host.write("status", f"Conffiles:\n {path} {'0' * 32}\n")
    (problem,) = problems(host.inspect())
    assert "a2dissite 000-default" in problem


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("8081", "*:8081"),
        ("127.0.0.1:8081", "127.0.0.1:8081"),
        ("[::1]:8081", "[::1]:8081"),
        ("8081 https", "_default_:8081"),
    ],
)
def test_rejects_sites_that_depend_on_ports_conf(host: Host, listen: str, address: str) -> None:
    """ports.conf is replaced, so other sites must have their own Listen directives."""
    host.write("apache2/ports.conf", f"Listen 80\n  listen {listen}\nListen 9999\n")
    host.write("apache2/sites-enabled/other.conf", f"<VirtualHost *:80 {address}>\n</VirtualHost>\n")
    found = host.inspect()
    assert found["foreign_ports"] == [8081]
    (problem,) = problems(found)
    assert "for the ports 8081." in problem


@pytest.mark.parametrize("ports", [[80, 443], [8080, 8443], [80]])
def test_accepts_independent_sites(host: Host, ports: list[int]) -> None:
    """Sites on the index's port or with their own Listen directive are not affected."""
    host.write("apache2/ports.conf", "# Listen 8081\nListen 80\nListen 443\n")
    host.write("apache2/sites-enabled/other.conf", "Listen 8081\n" + SITE.format(8081))
    host.write("apache2/sites-enabled/pypi.conf", SITE.format(80) + SITE.format(443))
    assert problems(host.inspect(ports=ports)) == []


def test_reports_the_python_of_debian(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ansible may run the module with another Python than the one that releases are built with."""
    host.write("python3", "#!/bin/sh\necho 3.99.1\n")
    (host.home / "python3").chmod(0o755)
    monkeypatch.setattr(module, "PYTHON", host.home / "python3")
    assert host.inspect()["python_version"] == "3.99.1"


def test_reports_its_own_python(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host without /usr/bin/python3, the version is that of Ansible's Python."""
    monkeypatch.setattr(module, "PYTHON", host.home / "python3")
    assert host.inspect()["python_version"] == platform.python_version()


def test_finds_drop_ins_of_others(host: Host) -> None:
    """Drop-ins of systemctl edit and set-property are found; those of the kit and of other units are not."""
    own = "system/pypi-.service.d/sandbox.conf"
    others = [
        "system/pypi-pages.service.d/override.conf",
        "system.control/pypi-application.service.d/50-MemoryMax.conf",
    ]
    for path in [own, *others, "system/ssh.service.d/override.conf", "system/apache2.service.d/other.conf"]:
        host.write(path)
    found = host.inspect(drop_ins=[str(host.home / own)])
    assert found["foreign_drop_ins"] == sorted(str(host.home / path) for path in others)


def test_knows_the_drop_ins_of_the_kit() -> None:
    """A run would remove a drop-in that a role writes and that is not in the list, and write it again."""
    known = [
        path
        for argument in arguments([ROOT / "roles/pypi/tasks/host.yml"], "pypi_host")
        for path in evaluate(argument["drop_ins"])
    ]
    assert sorted(known) == sorted(path for path in written() if PurePosixPath(path).match("pypi-*.d/*.conf"))
