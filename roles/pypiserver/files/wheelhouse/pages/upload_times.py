"""When each file was uploaded, recorded with the data: a file's own time is lost by a copy (cp -r, tar).

The table has a line for each file: the time (ISO 8601, UTC, as PEP 700 has it), the file's SHA-256, its name. Lines are
added at its end, so an upload costs the same however many there are; of several lines with one name the last counts.
The records of the pages have the times as well. So nobody waits for the table: one that is lost or damaged is completed
from these by the next catch_up or rebuild, and from the files' own times where both are lost.
"""

import errno
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from wheelhouse.pages.disk import only_writer, sync_directory, write_atomically
from wheelhouse.pages.record import Entry

# The end of the year 9999, in nanoseconds since 1970.
LAST_TIME = 253_402_300_799_999_999_999
LINE = re.compile(rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z) ([0-9a-f]{64}) ([!-.0-~]+)")


class Recorded(NamedTuple):
    """What is recorded of a file: its time of upload, and its SHA-256 in hexadecimal."""

    time: str
    sha256: str


def time_of(nanoseconds: int) -> str:
    """Return a time since 1970 in the form that PEP 700 demands: ISO 8601, UTC, with microseconds."""
    # A file's time can be set to what no calendar has.
    seconds, rest = divmod(min(max(nanoseconds, 0), LAST_TIME), 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def nanoseconds_of(time: str) -> int:
    """Return what time_of was given, to the microsecond."""
    passed = datetime.fromisoformat(time) - datetime.fromtimestamp(0, UTC)
    return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1000


class UploadTimes:
    """The table. All methods raise OSError. For any number of threads and processes."""

    def __init__(self, path: Path, lock: Path):
        self._path, self._lock = path, lock

    def read(self) -> tuple[dict[str, Recorded], int]:
        """Return what is recorded by file name, and how many lines cannot be read."""
        found, unreadable = {}, 0
        for line in self._lines():
            try:
                time, sha256, filename = parse(line)
                found[filename] = Recorded(time, sha256)
            except ValueError:
                unreadable += 1
        return found, unreadable

    def _lines(self) -> list[bytes]:
        try:
            return self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []

    def seen(self) -> list[int]:
        """Return what changes whenever the table does: nothing if there is none."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return []
        return [status.st_size, status.st_mtime_ns]

    def add(self, recorded: Mapping[str, Recorded]) -> None:
        """Add a line for each file. All are on the disk when this returns, or none is there if it raises."""
        if not recorded:
            return
        content = as_lines(recorded)
        with only_writer(self._lock):
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
            try:
                size = os.fstat(file).st_size
                # A crash may have left half a line.
                if size and os.pread(file, 1, size - 1) != b"\n":
                    content = b"\n" + content
                append(file, content, size)
            finally:
                os.close(file)
            if not size:
                sync_directory(self._path.parent)

    def compact(self) -> None:
        """Drop the lines that do not count. Those of files that are gone stay: such a file may come back."""
        with only_writer(self._lock):
            found, _unreadable = self.read()
            if len(self._lines()) != len(found):
                write_atomically(self._path, as_lines(found))
                sync_directory(self._path.parent)


def parse(line: bytes) -> tuple[str, str, str]:
    """Return the time, SHA-256 and file name of a line. Raises ValueError if it has another form."""
    match = LINE.fullmatch(line)
    if not match:
        raise ValueError("it is no line of this table")
    time, sha256, filename = (part.decode("ascii") for part in match.groups())
    datetime.fromisoformat(time)  # raises ValueError for a 13th month
    return time, sha256, filename


def as_lines(recorded: Mapping[str, Recorded]) -> bytes:
    """Return the table's lines for some files."""
    return "".join(f"{one.time} {one.sha256} {name}\n" for name, one in recorded.items()).encode("ascii")


def append(file: int, content: bytes, size: int) -> None:
    """Add to a file of some size, durably. Raises OSError, and then nothing of it is left there."""
    try:
        if os.write(file, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    except OSError:
        os.ftruncate(file, size)
        raise


class Recorder:
    """Gives files their times of upload, and records those of new files.

    at_once: they are on the disk when completed() returns. Without it, the table is read once, and what is new is
    written by finish().
    """

    def __init__(self, table: UploadTimes, at_once: bool):
        self._table, self._at_once = table, at_once
        self._read: dict[str, Recorded] | None = None
        self._new: dict[str, Recorded] = {}

    def completed(self, entries: Mapping[str, Entry], received: Mapping[str, object]) -> dict[str, Entry]:
        """Return entries by file name with their times of upload: the recorded ones, else the files' own.

        received: the names of those that have just been uploaded. Where the table cannot be read or written, entries
        are returned as they are, without a time.
        """
        missing = {name: one for name, one in entries.items() if one.broken is None and one.uploaded is None}
        if not missing:
            return dict(entries)
        try:
            known = {} if missing.keys() <= received.keys() else self._known()
            times, new = {}, {}
            for name, entry in missing.items():
                there = known.get(name)
                if name in received or there is None or there.sha256 != entry.sha256:
                    there = new[name] = Recorded(time_of(entry.changed), entry.sha256)
                times[name] = replace(entry, uploaded=there.time)
            self._record(new)
        except OSError as error:
            complain(error.strerror or str(error))
            return dict(entries)
        return {**entries, **times}

    def _known(self) -> dict[str, Recorded]:
        if self._at_once:
            return self._table.read()[0]
        if self._read is None:
            self._read = self._table.read()[0]
        return self._read | self._new

    def _record(self, new: Mapping[str, Recorded]) -> None:
        if self._at_once:
            self._table.add(new)
        else:
            self._new.update(new)

    def finish(self) -> None:
        """Write what is new to the table. Raises OSError."""
        new, self._new, self._read = self._new, {}, None
        self._table.add(new)


def complain(problem: str) -> None:
    """Say in the journal what is wrong with the table."""
    print(f"wheelhouse: the table of upload times, state/uploaded.txt: {problem}", file=sys.stderr)
