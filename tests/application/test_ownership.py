"""Check reports files with a wrong owner or mode, with the command that corrects them."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from support import short
from support.archives import sdist
from support.command import run
from support.pages import Site, write_settings
from wheelhouse.config import Settings
from wheelhouse.files import permissions
from wheelhouse.files.permissions import Identity, Status, fix_for_own_file, fix_for_served_file
from wheelhouse.storage import ownership

SDIST = "foo-1.0.tar.gz"
FILE = Path("/srv/pypi/packages/foo-1.0.tar.gz")
# Unused IDs: user and group pypi, Apache's group, the former owner of the data, another group.
PYPI, WEB, FORMER, STRANGE = 64_001, 64_002, 64_003, 64_004
WHO = Identity(PYPI, PYPI, WEB, STRANGE)


@pytest.fixture
def settings(site: Site) -> Path:
    """Return the settings of a site with one release of foo, and current pages."""
    site.put(SDIST, sdist())
    site.folder.sync_changed()
    for name in ("records", "locks"):
        (site.paths.pages / name).chmod(0o700)
    return write_settings(site.home, site.home / "data", site.paths.pages)


@pytest.fixture
def found(settings: Path) -> Callable[[], list[str]]:
    """Return a helper that checks the site and returns the lines."""
    return lambda: ownership.examine(Settings.load(settings)).lines


def change_identity(monkeypatch: pytest.MonkeyPatch, **changed: int) -> None:
    """Replace the IDs of user pypi and of Apache's group. changed: fields of Identity."""
    identity = permissions.identity()._replace(**changed)
    monkeypatch.setattr(permissions, "identity", lambda: identity)


def pretend(monkeypatch: pytest.MonkeyPatch, name: str, **changed: int) -> None:
    """Change the owner, group or mode of a file as it is reported."""
    status_of = permissions.status_of

    def status(path: Path) -> Status:
        return status_of(path)._replace(**changed) if path.name == name else status_of(path)

    monkeypatch.setattr(permissions, "status_of", status)


def test_reports_nothing(found: Callable, settings: Path, capsys: pytest.CaptureFixture) -> None:
    """A correct site has no findings."""
    assert found() == []
    assert run(settings, "check") == 0
    assert capsys.readouterr() == ("", "")


def test_another_user_owns_everything(
    site: Site, found: Callable, settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """After user pypi got another uid, one command for each directory is printed."""
    change_identity(monkeypatch, user=PYPI)
    lines = found()
    pages = [site.paths.pages / name for name in ("projects", "root", "metadata", "records", "locks")]
    directories = [site.paths.packages, site.home / "data/state", site.paths.pages, *pages, site.home / "log/audit"]
    assert len(lines) == len(directories)
    for directory, line in zip(directories, lines, strict=True):
        recursive = "" if directory == site.paths.pages else "-R "
        assert line.startswith(f"{directory}: owner: ")
        assert f", and not {PYPI}:" in line
        assert f". Run as root: chown {recursive}{PYPI}:" in line
        assert line.endswith(f" {directory}")
    assert run(settings, "check") == 1
    assert capsys.readouterr().out.splitlines() == lines


def test_directories_were_given_back(
    site: Site, found: Callable, settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """After a run of site.yml has corrected the directories, wrong owners of files in them are reported."""
    status_of = permissions.status_of

    def status(path: Path) -> Status:
        found = status_of(path)
        return found if stat.S_ISDIR(found.mode) else found._replace(user=FORMER)

    monkeypatch.setattr(permissions, "status_of", status)
    lines = found()
    for path in (site.paths.upload_times, site.paths.used_names, site.paths.projects / "foo.json"):
        assert [line for line in lines if line.startswith(f"{path}: owner: {FORMER}:") and line.endswith(f" {path}")]
    assert lines[0].startswith(f"{SDIST}: owner: {FORMER}:")
    assert run(settings, "check") == 1
    assert capsys.readouterr().out.splitlines() == lines


def test_group_of_directories(site: Site, found: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """New files get the group of their directory: Apache could not read them."""
    change_identity(monkeypatch, web=WEB)
    served = [site.paths.packages, site.paths.pages]
    served += [site.paths.pages / name for name in ("projects", "root", "metadata")]
    assert [line.partition(":")[0] for line in found()] == [str(directory) for directory in served]
    assert all(f":{WEB} " in line for line in found())


@pytest.mark.parametrize(
    ("name", "mode", "least", "fix"),
    [
        ("data/packages", 0o750, "2750", "2750"),
        ("data/packages", 0o2700, "2750", "2750"),
        ("data/packages", 0o2575, "2750", "2775"),
        ("data/state", 0o555, "0700", "755"),
        ("pages/projects", 0o750, "2750", "2750"),
        ("pages/records", 0o500, "0700", "700"),
        ("log/audit", 0o2550, "2750", "2750"),
    ],
)
def test_mode_of_a_directory(site: Site, found: Callable, name: str, mode: int, least: str, fix: str) -> None:
    """Without the set-group-ID bit, new files get another group; without the others, directories are inaccessible."""
    path = site.home / name
    path.chmod(mode)
    (line,) = found()
    path.chmod(0o2750)
    assert line.startswith(f"{path}: mode: ")
    assert f", mode {mode:04o}, and not {least}. Run as root: chmod {fix} {path}" in line


def test_more_than_needed(site: Site, found: Callable) -> None:
    """Additional permissions are allowed: an administrator may have set them."""
    site.paths.packages.chmod(0o2775)
    (site.home / "data/state").chmod(0o777)
    (site.paths.packages / SDIST).chmod(0o666)
    assert found() == []


def test_a_missing_directory(site: Site, found: Callable) -> None:
    """A run of site.yml creates it."""
    for path in (site.paths.pages / "locks").iterdir():
        path.unlink()
    (site.paths.pages / "locks").rmdir()
    assert found() == [f"{site.paths.pages}/locks: missing. Run: ansible-playbook site.yml"]


CHOWN, CHMOD = f"chown -h {PYPI}:{WEB} {FILE}", f"chmod 640 {FILE}"


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        (Status(PYPI, WEB, 0o640), None),
        (Status(PYPI, WEB, 0o644), None),
        (Status(PYPI, STRANGE, 0o644), None),
        # Copied by root.
        (Status(0, 0, 0o644), None),
        (Status(0, WEB, 0o644), None),
        (Status(0, 0, 0o600), f"{CHOWN} && {CHMOD}"),
        (Status(0, WEB, 0o640), CHOWN),
        # Not readable by Apache.
        (Status(PYPI, PYPI, 0o640), CHOWN),
        (Status(PYPI, WEB, 0o600), CHMOD),
        (Status(PYPI, WEB, 0o604), CHMOD),
        (Status(PYPI, PYPI, 0o600), f"{CHOWN} && {CHMOD}"),
        # Not readable by user pypi.
        (Status(PYPI, WEB, 0o040), CHMOD),
        (Status(PYPI, WEB, 0o000), CHMOD),
        # Writable by another user.
        (Status(FORMER, WEB, 0o640), CHOWN),
        (Status(FORMER, WEB, 0o644), CHOWN),
        (Status(FORMER, STRANGE, 0o600), f"{CHOWN} && {CHMOD}"),
    ],
    ids=short,
)
def test_served_files(status: Status, fix: str | None) -> None:
    """The index and Apache must be able to read them, with a safe owner; the command changes only what is needed."""
    assert fix_for_served_file(FILE, status, WHO) == fix


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        (Status(PYPI, STRANGE, 0o600), None),
        (Status(PYPI, PYPI, 0o400), f"chmod u+rw {FILE}"),
        (Status(0, 0, 0o666), f"chown -h {PYPI}:{PYPI} {FILE}"),
        (Status(FORMER, PYPI, 0o060), f"chown -h {PYPI}:{PYPI} {FILE} && chmod u+rw {FILE}"),
    ],
    ids=short,
)
def test_own_files(status: Status, fix: str | None) -> None:
    """The index must own the files that it replaces or appends to."""
    assert fix_for_own_file(FILE, status, WHO) == fix


def test_a_file(site: Site, found: Callable, settings: Path, capsys: pytest.CaptureFixture) -> None:
    """Each file is reported once, with its owner, mode, configured path, and the command."""
    path = site.paths.packages / SDIST
    path.chmod(0o600)
    (line,) = found()
    whose = permissions.owner(os.geteuid(), os.getegid())
    assert line == f"{SDIST}: mode: {whose}, mode 0600. Run as root: chmod 640 {path}"
    assert run(settings, "check") == 1
    assert capsys.readouterr().out == f"{line}\n"


def test_many_files(site: Site, found: Callable) -> None:
    """One command for the whole directory is printed, not ten thousand lines."""
    for number in range(20):
        site.put(f"foo-1.{number}.tar.gz", sdist()).chmod(0o600)
    (line,) = found()
    directory = site.paths.packages
    assert line.startswith(f"{directory}: owner or mode of 20 files, as of {SDIST}: ")
    whose = permissions.owner(os.geteuid(), os.getegid())
    assert line.endswith(f". Run as root: chown -R {whose} {directory} && chmod -R u+rwX,g+rX {directory}")


def test_files_that_are_being_written(site: Site, found: Callable) -> None:
    """Temporary files of uploads in progress are not reported."""
    (site.paths.packages / ".upload-x").touch(0o600)
    assert found() == []


@pytest.mark.parametrize("name", ["claims.json", "names.txt"])
def test_state(site: Site, found: Callable, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A table that is not writable would reject uploads."""
    path = site.home / "data/state" / name
    path.touch()
    pretend(monkeypatch, name, user=FORMER)
    (line,) = found()
    assert line.startswith(f"{path}: owner: {FORMER}:")
    assert line.endswith(f" {path}")
    assert ". Run as root: chown -h " in line


def test_what_cannot_be_compared(
    settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """If a directory cannot be listed, that is reported with the command, and without a traceback."""
    change_identity(monkeypatch, user=PYPI)
    scandir = os.scandir

    def refuse(path: object = ".") -> object:
        if str(path).endswith("packages"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert run(settings, "check") == 1
    said = capsys.readouterr()
    assert said.err == ""
    assert f"chown -R {PYPI}:" in said.out
    assert said.out.splitlines()[-1] == "The files were not compared: Permission denied. Run the commands above first."


def test_other_commands_lead_to_check(
    site: Site, settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The pages job refers to `wheelhouse check` in the journal."""

    def refuse(_path: object) -> None:
        raise PermissionError(13, "Permission denied", str(site.paths.packages))

    monkeypatch.setattr("wheelhouse.pages.sync.os.scandir", refuse)
    assert run(settings, "rebuild", "--changed") == 2
    assert "To check owners and modes: wheelhouse check" in capsys.readouterr().err


def test_unreadable(tmp_path: Path) -> None:
    """The command for an unreadable file depends on the cause: owner, mode, or a parent directory."""
    path = tmp_path / "x"
    path.touch()
    for mode, fix in ((0o000, f"chmod 640 {path}"), (0o640, f"namei -l {path}")):
        path.chmod(mode)
        assert permissions.explain_unreadable(path).endswith(f", mode {mode:04o}. Run as root: {fix}")
    assert permissions.explain_unreadable(tmp_path / "none") == "it may not be read"
