"""Snapshots in a real repository: content, consistency, retention, failures."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pypi_backup import backup
from pypi_backup.paths import BackupError
from pypi_backup.restic import Restic
from support.backups import RESTIC, Site, needs_restic

pytestmark = needs_restic


def names_in(site: Site, directory: str, snapshot: str = "latest") -> set[str]:
    """Return the names of the files in a directory of a snapshot."""
    return set(site.restic.names_in(snapshot, directory))


def meanwhile(monkeypatch: pytest.MonkeyPatch, *actions: Callable[[], object]) -> None:
    """Perform an action in each pass, after the state was copied and before restic reads the packages."""
    original, left = Restic.backup, list(actions)

    def run(self: Restic, directory: Path, *names: str) -> dict:
        if left:
            left.pop(0)()
        return original(self, directory, *names)

    monkeypatch.setattr(Restic, "backup", run)


def test_snapshot_has_packages_and_state(site: Site) -> None:
    """A snapshot has the packages and the copy, at paths that do not depend on the settings; no temporary files."""
    name = site.upload(1)
    (site.index.data / "packages/.upload-x").write_text("")
    (site.index.data / "tls").mkdir()
    (site.index.data / "tls/ca.key").write_text("key")
    site.create()
    snapshot = site.back_up()
    assert names_in(site, "/packages", snapshot) == {name}
    assert {"audit-head.json", "names.txt", "uploaded.txt"} <= names_in(site, "/copy/state")
    assert names_in(site, "/copy/audit") == {"audit.log"}
    assert names_in(site, "/tls") == {"ca.key"}
    (found,) = site.snapshots()
    assert (found["hostname"], found["tags"]) == ("pypi.example.com", ["wheelhouse"])


def test_result_is_recorded(site: Site) -> None:
    """The status file has the result; a later failure does not hide the last success."""
    site.upload(1)
    site.create()
    assert (site.status["backup"], site.status["max_age_hours"]) == ({}, 48)
    site.back_up()
    first = site.status["backup"]
    assert (first["result"], first["reason"]) == ("ok", "")
    assert first["files"] >= 4
    assert first["succeeded"] == first["finished"]
    site.password("wrong")
    with pytest.raises(BackupError):
        site.back_up()
    second = site.status["backup"]
    assert second["result"] == "failed"
    assert "wrong password" in second["reason"]
    assert (second["succeeded"], second["snapshot"]) == (first["succeeded"], first["snapshot"])
    assert site.status["since"]


def test_uploads_during_the_backup_are_not_restored(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is published after the copy has no entry in it, and is not in its list."""
    first = site.upload(1)
    site.create()
    meanwhile(monkeypatch, lambda: site.upload(2))
    site.back_up()
    assert site.copies == 1
    assert len(names_in(site, "/packages")) == 2
    assert json.loads(site.restic.run("dump", "latest", "/copy/packages.json")) == [first]


def test_removal_during_the_backup_repeats_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that lacks a listed package is replaced by another one."""
    gone, kept = site.upload(1), site.upload(2)
    site.create()
    meanwhile(monkeypatch, (site.index.data / "packages" / gone).unlink)
    site.back_up()
    assert site.copies == 2
    assert json.loads(site.restic.run("dump", "latest", "/copy/packages.json")) == [kept]
    assert len(site.snapshots()) == 1


def test_endless_removals_do_not_prevent_backups(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The number of passes is limited: the last one lacks only what was removed."""
    names = [site.upload(number) for number in range(1, 5)]
    site.create()
    meanwhile(monkeypatch, *((site.index.data / "packages" / name).unlink for name in names[:3]))
    site.back_up()
    assert site.copies == backup.ATTEMPTS
    assert names_in(site, "/packages") == {names[3]}
    assert "removed during the backup, and are not in it: 1" in capsys.readouterr().out
    assert site.status["backup"]["result"] == "ok"


def test_unreadable_package_is_a_failure(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a listed package exists and is not in the snapshot, the backup fails, and no such snapshot stays."""
    site.upload(1)
    site.create()
    monkeypatch.setattr(Restic, "names_in", lambda *_: iter([]))
    with pytest.raises(BackupError, match=r"could not be read: 1, such as foo-1\.0"):
        site.back_up()
    assert site.status["backup"]["result"] == "failed"
    assert site.snapshots() == []


def test_missing_data_is_a_failure(site: Site) -> None:
    """The service mounts no packages if the data directory is missing."""
    site.create()
    (site.index.data / "packages").rename(site.index.data / "elsewhere")
    (site.index.data / "copy/packages.json").write_text("[]")
    with pytest.raises((BackupError, OSError)):
        site.back_up()
    assert site.status["backup"]["result"] == "failed"


def test_lock_of_a_killed_process_is_removed(site: Site) -> None:
    """A lock that an interrupted backup has left does not stop the next one."""
    site.upload(1)
    site.create()
    locks = site.repository / "locks"
    with subprocess.Popen([RESTIC, "backup", "--quiet", "--stdin"], stdin=subprocess.PIPE) as killed:
        for _ in range(600):
            if any(locks.iterdir()):
                break
            time.sleep(0.05)
        killed.kill()
    assert any(locks.iterdir())
    site.back_up()
    assert site.status["backup"]["result"] == "ok"


def test_retention(site: Site) -> None:
    """Old snapshots of this index are removed, and no others."""
    site.upload(1)
    site.create()
    site.configure(host="other.example.com")
    site.back_up()
    site.configure(retention={"last": 2, "daily": 0})
    for _ in range(3):
        site.back_up()
    hosts = [snapshot["hostname"] for snapshot in site.snapshots()]
    assert sorted(hosts) == ["other.example.com", "pypi.example.com", "pypi.example.com"]


def test_check_finds_damage(site: Site) -> None:
    """A check reads data; its result is recorded beside that of the backup."""
    site.upload(1)
    site.create()
    site.back_up()
    backup.check(site.files, site.settings, site.restic)
    assert site.status["check"]["result"] == "ok"
    largest = max((path for path in site.repository.glob("data/*/*")), key=lambda path: path.stat().st_size)
    largest.chmod(0o600)
    content = bytearray(largest.read_bytes())
    content[10] ^= 1
    largest.write_bytes(content)
    with pytest.raises(BackupError):
        backup.check(site.files, site.settings, site.restic)
    assert (site.status["check"]["result"], site.status["backup"]["result"]) == ("failed", "ok")


def test_secrets_are_not_in_arguments(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other users can read command lines: repository and password are in the environment and in a file."""
    calls: list[tuple[str, ...]] = []
    original = Restic.call
    monkeypatch.setattr(
        Restic, "call", lambda self, *words, **more: calls.append(words) or original(self, *words, **more)
    )
    site.upload(1)
    site.create()
    site.back_up()
    assert calls
    assert [words for words in calls for word in words if str(site.repository) in word or "the password" in word] == []
