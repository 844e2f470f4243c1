"""The copy for a backup is what a crash at one moment would leave."""

import gzip
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support import command
from support.archives import wheel
from support.web import Index
from wheelhouse.audit.log import AuditLog
from wheelhouse.audit.verify import Verification
from wheelhouse.config import Settings
from wheelhouse.storage import backup_copy
from wheelhouse.storage.backup_copy import write_copy


@pytest.fixture
def settings(index: Index) -> Settings:
    """Return the settings of an index."""
    return Settings.load(index.settings)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return the directory for copies."""
    path = tmp_path / "copy"
    path.mkdir()
    return path


def filename(number: int) -> str:
    """Return the name of a wheel."""
    return f"foo-{number}.0-py3-none-any.whl"


def upload(index: Index, number: int) -> None:
    """Upload a wheel."""
    name = filename(number)
    assert index.upload(name, wheel("foo", f"{number}.0"), user="alice").code == 200


def names(target: Path) -> list[str]:
    """Return the files in the copied list."""
    return json.loads((target / "packages.json").read_text())


def faults(target: Path) -> list[str]:
    """Return the faults of the copied audit log."""
    return list(Verification().faults(AuditLog(target / "audit/audit.log", target / "state/audit-head.json")))


def uploaded(target: Path) -> set[str]:
    """Return the names in the upload entries of the copied audit log."""
    with AuditLog(target / "audit/audit.log", target / "state/audit-head.json").reading() as (_head, files):
        entries = [json.loads(line) for file in files for line in file.lines()]
    return {entry["filename"] for entry in entries if entry["event"] == "upload"}


def test_copies_state_log_and_list(index: Index, settings: Settings, target: Path) -> None:
    """The copy has all state files, the log, and the names of the packages without temporary files."""
    upload(index, 1)
    (settings.packages / ".upload-x").write_text("")
    (target / "old").mkdir()
    write_copy(settings, target)
    assert names(target) == [filename(1)]
    assert uploaded(target) == {filename(1)}
    assert faults(target) == []
    copied = {path.name for path in (target / "state").iterdir()}
    assert copied == {"names.txt", "uploaded.txt", "audit-head.json"} | (
        copied & {"audit-head.lock", "audit-head.reserve"}
    )
    for name in ("names.txt", "uploaded.txt"):
        assert (target / "state" / name).read_bytes() == (index.data / "state" / name).read_bytes()
    assert not (target / "old").exists()


def test_copies_an_empty_index(settings: Settings, target: Path) -> None:
    """A new index has neither a log nor a head."""
    write_copy(settings, target)
    assert names(target) == []
    assert faults(target) == []


def test_copies_rotated_logs(index: Index, settings: Settings, target: Path) -> None:
    """A compressed log gets a second name; the others are copied, since lines may still be added to them."""
    for number in range(1, 4):
        upload(index, number)
        for old, new in (("audit.log.2.gz", "audit.log.3.gz"), ("audit.log.1", "audit.log.2.gz")):
            path = settings.audit.with_name(old)
            if path.exists() and not path.name.endswith(".gz"):
                settings.audit.with_name(new).write_bytes(gzip.compress(path.read_bytes()))
                path.unlink()
            elif path.exists():
                path.rename(settings.audit.with_name(new))
        settings.audit.rename(settings.audit.with_name("audit.log.1"))
    upload(index, 4)
    write_copy(settings, target)
    before = {path.name: path.read_bytes() for path in (target / "audit").iterdir()}
    assert {"audit.log", "audit.log.1", "audit.log.2.gz", "audit.log.3.gz"} <= before.keys()
    linked = {name for name in before if (target / "audit" / name).stat().st_nlink > 1}
    assert linked == {"audit.log.2.gz", "audit.log.3.gz"}
    upload(index, 5)
    assert {path.name: path.read_bytes() for path in (target / "audit").iterdir()} == before
    assert uploaded(target) == {filename(number) for number in range(1, 5)}
    assert faults(target) == []


def test_log_on_another_file_system_is_copied(
    index: Index, settings: Settings, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a hard link is impossible, a compressed log is copied."""
    upload(index, 1)
    settings.audit.with_name("audit.log.1.gz").write_bytes(gzip.compress(settings.audit.read_bytes()))
    settings.audit.write_bytes(b"")
    upload(index, 2)

    def fail(_target: Path, _source: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", fail)
    write_copy(settings, target)
    assert (target / "audit/audit.log.1.gz").stat().st_nlink == 1
    assert uploaded(target) == {filename(1), filename(2)}
    assert faults(target) == []


def between(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Perform an action each time the log has been read, before its files are copied."""
    original = backup_copy.copy_log

    def copy_log(*arguments: object) -> None:
        action()
        original(*arguments)

    monkeypatch.setattr(backup_copy, "copy_log", copy_log)


def test_rotation_repeats_the_copy(
    index: Index, settings: Settings, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that was made during a rotation is discarded."""
    upload(index, 1)
    rotations = iter([True])

    def rotate() -> None:
        if next(rotations, False):
            settings.audit.rename(settings.audit.with_name("audit.log.1"))
            upload(index, 2)

    between(monkeypatch, rotate)
    write_copy(settings, target)
    assert uploaded(target) == {filename(1), filename(2)}
    assert faults(target) == []


def test_endless_rotation_is_an_error(
    index: Index, settings: Settings, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of attempts is limited."""
    upload(index, 1)

    def rotate() -> None:
        content = settings.audit.read_bytes()
        settings.audit.rename(settings.audit.with_name("audit.log.1"))
        settings.audit.write_bytes(content)

    between(monkeypatch, rotate)
    with pytest.raises(OSError, match="rotated"):
        write_copy(settings, target)


def test_entries_written_later_are_not_copied(
    index: Index, settings: Settings, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log ends with the entry of the head, whatever is written while it is copied."""
    upload(index, 1)
    numbers = iter(range(2, 100))
    between(monkeypatch, lambda: upload(index, next(numbers)))
    write_copy(settings, target)
    assert names(target) == [filename(1)]
    assert uploaded(target) == {filename(1)}
    assert faults(target) == []


def test_each_copied_name_has_its_entry(index: Index, settings: Settings, target: Path) -> None:
    """During uploads and removals: a listed file is in the log, and a file in the log that was answered is listed."""
    stop = threading.Event()
    answered: list[str] = []

    def work() -> None:
        for number in range(1, 1000):
            if stop.is_set():
                return
            upload(index, number)
            answered.append(filename(number))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(10):
            before = set(answered)
            write_copy(settings, target)
            listed = set(names(target))
            assert before <= listed <= uploaded(target)
            assert faults(target) == []
    finally:
        stop.set()
        thread.join()


def test_command(index: Index, target: Path) -> None:
    """The service runs the command."""
    upload(index, 1)
    assert command.run(index.settings, "backup-copy", str(target)) == 0
    assert names(target) == [filename(1)]
