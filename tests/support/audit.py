"""A separate audit log for tests, with ways to damage and read it."""

import gzip
import os
from contextlib import suppress
from pathlib import Path

from wheelhouse.audit import rotation
from wheelhouse.audit.entry import AuditEntry
from wheelhouse.audit.log import AuditLog
from wheelhouse.audit.verify import Verification


class Log:
    """A log and its head file, in two directories as on a server. Entries are identified by their file names."""

    def __init__(self, home: Path):
        self.path, self.head = home / "log/audit/audit.log", home / "state/audit-head.json"
        for directory in (self.path.parent, self.head.parent):
            directory.mkdir(parents=True)
        self.audit = AuditLog(self.path, self.head)
        self.written = 0

    def write(self, count: int = 1) -> None:
        """Write entries, each with another file name."""
        for _ in range(count):
            name = f"foo-{self.written + 1}.tar.gz"
            self.audit.write("upload", user="alice", address="192.0.2.1", project="foo", filename=name, size=7)
            self.written += 1

    def faults(self) -> list[str]:
        """Return the faults that verification finds."""
        return list(Verification().faults(self.audit))

    def lines(self) -> list[bytes]:
        """Return the lines of the current log file."""
        return self.path.read_bytes().splitlines(keepends=True)

    def change(self, lines: list[bytes]) -> None:
        """Replace the lines of the current log file."""
        self.path.write_bytes(b"".join(lines))

    def all(self) -> list[dict]:
        """Return all entries of all files, oldest first, except unreadable ones."""
        found = []
        for path in [*rotation.rotated_files(self.path), *([self.path] if self.path.exists() else [])]:
            content = gzip.decompress(path.read_bytes()) if rotation.is_compressed(path) else path.read_bytes()
            for line in content.splitlines():
                with suppress(ValueError):
                    found.append(AuditEntry.parse(line).facts)
        return found

    def filenames(self) -> list[str]:
        """Return the file names in the entries, oldest first."""
        return [line["filename"] for line in self.all() if "filename" in line]

    def wanted(self) -> list[str]:
        """Return the file names that the log must contain, from the number of written entries."""
        return [f"foo-{number}.tar.gz" for number in range(1, self.written + 1)]

    def wanted_next(self) -> bytes:
        """Return a part of the next entry to be written."""
        return f'"foo-{self.written + 1}.tar.gz"'.encode()

    def rotate(self, keep: int = 100) -> None:
        """Rotate as logrotate does with compress, delaycompress, notifempty and create."""
        if not self.path.exists() or not self.path.stat().st_size:
            return
        for path in rotation.rotated_files(self.path):
            number = int(path.name.split(".")[2])
            if number >= keep:
                path.unlink()
            elif rotation.is_compressed(path):
                path.rename(self.path.with_name(f"audit.log.{number + 1}.gz"))
            else:
                path.with_name(f"audit.log.{number + 1}.gz").write_bytes(gzip.compress(path.read_bytes()))
                path.unlink()
        self.path.rename(self.path.with_name("audit.log.1"))
        with suppress(FileExistsError):  # a writer has created it already
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL, 0o640))
