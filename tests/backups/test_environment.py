"""The environment of restic: systemd and the program read the same file."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pypi_backup import main, paths
from pypi_backup.paths import Paths, Settings
from support import ansible_templates

VALUES = {"A": 'a "quoted" \\ text', "B": "$HOME `x` 'y' #z", "C": "", "D_1": "ends with \\", "E": "=a=b"}


@pytest.fixture
def files(tmp_path: Path) -> Paths:
    """Return the files of a configuration with variables."""
    given = {"pypi_backup_repository": 'rest:https://u:p"\\w@host/', "pypi_backup_environment": VALUES}
    for name in ("environment", "settings.json"):
        text = ansible_templates.render(f"templates/etc/pypi/backup/{name}.j2", **given)
        (tmp_path / name).write_text(text)
    return Paths(config=tmp_path)


def test_program_reads_all_values(files: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotes, backslashes and dollar signs are read as they were set."""
    monkeypatch.setattr(os, "environ", {})
    paths.load_environment(files)
    assert {name: os.environ[name] for name in VALUES} == VALUES
    assert os.environ["RESTIC_REPOSITORY"] == 'rest:https://u:p"\\w@host/'
    assert os.environ["RESTIC_PASSWORD_FILE"] == "/etc/pypi/backup/password"
    assert os.environ["RESTIC_CACHE_DIR"] == "/var/cache/pypi-backup"


def test_environment_of_systemd_has_priority(files: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a service, systemd has read the file (EnvironmentFile=)."""
    monkeypatch.setattr(os, "environ", {"RESTIC_REPOSITORY": "/x"})
    paths.load_environment(files)
    assert os.environ == {"RESTIC_REPOSITORY": "/x"}


def test_settings_are_read(files: Paths) -> None:
    """The template and the program use the same names."""
    settings = Settings.load(files)
    assert (settings.host, settings.directory, settings.options) == ("pypi.example.com", None, [])
    assert settings.retention == {"daily": 14, "weekly": 8, "monthly": 12}
    assert (settings.max_age_hours, settings.check_max_age_hours) == (48, 336)


def test_settings_have_options_of_restic() -> None:
    """Bandwidth is in KiB per second; ssh never asks and knows only the given host keys."""
    given = {"pypi_backup_repository": "sftp://u@host:2222//path", "pypi_backup_max_rate": "10M"}
    given |= {"pypi_backup_retention": {"last": "3"}, "pypi_config_dir": "/a"}
    text = ansible_templates.render("templates/etc/pypi/backup/settings.json.j2", **given)
    upload, download, sftp = json.loads(text)["options"]
    assert (upload, download) == ("--limit-upload=10240", "--limit-download=10240")
    assert sftp.startswith("--option=sftp.command=ssh -F none -i /a/backup/ssh-key ")
    assert sftp.endswith(" -p 2222 u@host -s sftp")
    for option in ("UserKnownHostsFile=/a/backup/ssh-known-hosts", "BatchMode=yes", "StrictHostKeyChecking=yes"):
        assert f" -o {option} " in sftp
    assert json.loads(text)["retention"] == {"last": 3}


@pytest.fixture
def process() -> Iterator[None]:
    """Restore what the program changes in its process."""
    mask, handler = os.umask(0o022), signal.getsignal(signal.SIGTERM)
    os.umask(mask)
    yield
    os.umask(mask)
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.usefixtures("process")
def test_command_line(files: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """Failures are one line; other words are passed to restic with the options of the kit."""
    monkeypatch.setattr(os, "environ", {})
    calls: list[tuple] = []
    monkeypatch.setattr(os, "execv", lambda *words: calls.append(words))
    assert main.main(str(files.config), ["restic", "snapshots", "--json"]) == 0
    assert calls == [("/usr/bin/restic", ["/usr/bin/restic", "snapshots", "--json"])]
    (files.config / "settings.json").unlink()
    assert main.main(str(files.config), ["check"]) == 1
    assert capsys.readouterr().err.startswith("pypi-backup: [Errno 2] No such file")


def test_program_imports_its_package() -> None:
    """The installed program finds its package in isolated mode, and nothing else of the kit."""
    text = ansible_templates.render("templates/usr/local/sbin/pypi-backup.j2")
    compile(text, "pypi-backup", "exec")
    assert text.startswith("#!/usr/bin/python3 -I\n")
    imported = {name for name in sys.modules if name.startswith("pypi_backup.")}
    assert imported
    sources = [Path(sys.modules[name].__file__ or "").read_text() for name in imported]
    assert not [source for source in sources if "import wheelhouse" in source or "from wheelhouse" in source]
