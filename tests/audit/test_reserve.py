"""Reserved disk space: with a full disk, actions are still logged, and rejections do not use the reserve."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.audit import Log
from wheelhouse.audit import log as log_module
from wheelhouse.audit.reserve import DiskReserve


class Disk:
    """A disk with a limited free space, in lines; a released reserve adds to it."""

    def __init__(self, log: Log, place: str):
        self.full = False
        self.reserve = {"log": log.path, "head": log.head}[place].with_suffix(".reserve")
        self._place = place
        self._append, self._write_atomically = log_module.append_durably, log_module.write_atomically

    def _check(self) -> None:
        if self.full and self.reserve.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def append(self, *arguments: object) -> None:
        if self._place == "log":
            self._check()
        self._append(*arguments)

    def write_atomically(self, *arguments: object) -> None:
        if self._place == "head":
            self._check()
        self._write_atomically(*arguments)

    def statvfs(self, path: Path) -> object:
        free = 0 if self.full and path == self.reserve.parent else 1 << 30
        return SimpleNamespace(f_bavail=free, f_frsize=1)


@pytest.fixture(params=["log", "head"])
def disk(request: pytest.FixtureRequest, log: Log, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Return the file system of the log, or of the head, with free space."""
    found = Disk(log, request.param)
    monkeypatch.setattr(log_module, "append_durably", found.append)
    monkeypatch.setattr(log_module, "write_atomically", found.write_atomically)
    monkeypatch.setattr(os, "statvfs", found.statvfs)
    return found


def reject(log: Log) -> None:
    """Log a rejected request."""
    log.audit.write("refused", user="bob", address="192.0.2.1", reason="it is corrupt")


def test_reserved_with_the_first_entry(log: Log) -> None:
    """The reserve is allocated on the disk, and other users cannot read it."""
    log.write()
    for path, size in ((log.path, log_module.LOG_RESERVE), (log.head, log_module.HEAD_RESERVE)):
        status = path.with_suffix(".reserve").stat()
        assert status.st_size == size
        assert status.st_blocks * 512 >= size
        assert status.st_mode & 0o777 == 0o600


def test_a_full_disk(log: Log, disk: Disk) -> None:
    """Actions are logged, rejections are not; with free space again, the reserve is restored."""
    log.write()
    disk.full = True
    with pytest.raises(OSError, match="No space left"):
        reject(log)
    assert disk.reserve.exists()
    log.write(3)
    assert not disk.reserve.exists()
    with pytest.raises(OSError, match="No space left"):
        reject(log)
    log.write()
    assert not disk.reserve.exists()
    disk.full = False
    reject(log)
    assert disk.reserve.stat().st_size > 0
    assert log.filenames() == log.wanted()
    assert [line["user"] for line in log.all()].count("bob") == 1
    assert log.faults() == []


def test_unwritten_rejections_are_counted(log: Log, disk: Disk) -> None:
    """They are logged when there is free space."""
    log.write()
    disk.full = True
    log.write()
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            reject(log)
    disk.full = False
    log.audit.write("upload", user="bob", address="192.0.2.1")
    assert log.all()[-2]["reason"].startswith("and 3 more requests of this user were rejected between ")


def test_completes_an_interrupted_entry(log: Log, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that a crash has interrupted is completed before a new one, and may use the reserve as well."""
    log.write()

    def crash(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(log_module, "append_durably", crash)
        with pytest.raises(KeyboardInterrupt):
            log.write()
    log.written += 1
    disk.full = True
    log.write()
    assert log.filenames() == log.wanted()
    assert log.faults() == []


def test_health(log: Log, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is writable while there is a reserve, and the health check tests that."""
    log.write()
    disk.full = True

    def full(dir: Path) -> None:  # noqa: A002, ARG001  (tempfile calls it so)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    log.audit.check()
    log.write()
    with pytest.raises(OSError, match="No space left"):
        log.audit.check()


def test_partial_reserve_does_not_count(tmp_path: Path) -> None:
    """A crash may leave an empty reserve file."""
    path = tmp_path / "reserve"
    path.touch()
    reserve = DiskReserve(path, 4096)
    assert not reserve.exists()
    assert reserve.ensure() is True
    assert path.stat().st_size == 4096
    assert reserve.release() is True
    assert reserve.release() is False


@pytest.mark.parametrize(("error", "kept"), [(errno.ENOSPC, False), (errno.EDQUOT, False), (errno.EOPNOTSUPP, True)])
def test_a_file_system_without_space_or_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, kept: bool
) -> None:
    """No file is left; without any reserve, rejections are logged as well."""

    def fail(*_arguments: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "posix_fallocate", fail)
    assert DiskReserve(tmp_path / "reserve", 4096).ensure() is kept
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("harm", [lambda path: path.mkdir(), lambda path: path.symlink_to("elsewhere")])
def test_something_else_in_its_place(log: Log, harm: Callable[[Path], None]) -> None:
    """If the reserve's path is not a file, the log is written without it."""
    harm(log.path.with_suffix(".reserve"))
    log.write(2)
    reject(log)
    assert len(log.lines()) == 3
