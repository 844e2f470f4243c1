"""Upload times, stored with the data: the modification time of a file is lost by a copy (cp -r, tar).

The table has a line for each file: the time (ISO 8601, UTC, as in PEP 700), the file's SHA-256, its name. Lines are
appended, so the cost of an upload does not depend on the size of the table; the last line of a filename counts. The
file records of the pages have the times as well. So the table is never required: one that is lost or corrupt is
completed from the records by the next rebuild or sync_changed, and from the files' own times if both are lost.
"""

import os
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from wheelhouse.files.atomic import append_durably, sync_directory, write_atomically
from wheelhouse.files.locks import exclusive_lock
from wheelhouse.pages.file_records import FileRecord

# The end of the year 9999, in nanoseconds since 1970.
LAST_TIME = 253_402_300_799_999_999_999
LINE = re.compile(rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z) ([0-9a-f]{64}) ([!-.0-~]+)")


class UploadTime(NamedTuple):
    """The upload time of a file, and the file's SHA-256 in hexadecimal."""

    time: str
    sha256: str


def format_time(nanoseconds: int) -> str:
    """Return a time since 1970 in the format of PEP 700: ISO 8601, UTC, with microseconds."""
    # A file's modification time may be outside of what datetime can represent.
    seconds, rest = divmod(min(max(nanoseconds, 0), LAST_TIME), 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(time: str) -> int:
    """Return a time of format_time in nanoseconds since 1970, to the microsecond."""
    passed = datetime.fromisoformat(time) - datetime.fromtimestamp(0, UTC)
    return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1000


class UploadTimes:
    """The table, for any number of threads and processes. All methods raise OSError."""

    def __init__(self, path: Path, lock: Path) -> None:
        self._path, self._lock = path, lock

    def read(self) -> tuple[dict[str, UploadTime], int]:
        """Return the upload times by filename, and the number of invalid lines."""
        found, invalid = {}, 0
        for line in self._lines():
            try:
                time, sha256, filename = parse_line(line)
                found[filename] = UploadTime(time, sha256)
            except ValueError:
                invalid += 1
        return found, invalid

    def _lines(self) -> list[bytes]:
        try:
            return self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []

    def fingerprint(self) -> list[int]:
        """Return numbers that change whenever the table does; an empty list if it does not exist."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return []
        return [status.st_size, status.st_mtime_ns]

    def add(self, times: Mapping[str, UploadTime]) -> None:
        """Append a line for each filename, durably and all or none."""
        if not times:
            return
        content = format_lines(times)
        with exclusive_lock(self._lock):
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
            try:
                size = os.fstat(file).st_size
                # A crash may have left a partial line.
                if size and os.pread(file, 1, size - 1) != b"\n":
                    content = b"\n" + content
                append_durably(file, content)
            finally:
                os.close(file)
            if not size:
                sync_directory(self._path.parent)

    def compact(self) -> None:
        """Drop invalid and superseded lines. Lines of deleted files are kept: such a file may be restored."""
        with exclusive_lock(self._lock):
            found, _invalid = self.read()
            if len(self._lines()) != len(found):
                write_atomically(self._path, format_lines(found))
                sync_directory(self._path.parent)


def parse_line(line: bytes) -> tuple[str, str, str]:
    """Return the time, SHA-256 and filename of a line. Raises ValueError if the line is invalid."""
    match = LINE.fullmatch(line)
    if not match:
        raise ValueError("invalid line of the table of upload times")
    time, sha256, filename = (part.decode("ascii") for part in match.groups())
    datetime.fromisoformat(time)  # raises ValueError for a 13th month
    return time, sha256, filename


def format_lines(times: Mapping[str, UploadTime]) -> bytes:
    """Return the lines of some files."""
    return "".join(f"{one.time} {one.sha256} {name}\n" for name, one in times.items()).encode("ascii")


class UploadTimeRecorder:
    """Adds upload times to file records, and records those of new files.

    immediate: new times are durable when with_times() returns. Otherwise the table is read once, and new times are
    written by finish().
    """

    def __init__(self, table: UploadTimes, immediate: bool) -> None:
        self._table, self._immediate = table, immediate
        self._cache: dict[str, UploadTime] | None = None
        self._new: dict[str, UploadTime] = {}

    def with_times(self, records: Mapping[str, FileRecord], uploaded: Collection[str]) -> dict[str, FileRecord]:
        """Return records by filename with their upload times: the recorded ones, else the files' own.

        uploaded: names of files that have just been uploaded. If the table cannot be read or written, the records are
        returned without times.
        """
        missing = {name: one for name, one in records.items() if one.broken is None and one.uploaded is None}
        if not missing:
            return dict(records)
        try:
            recorded = {} if missing.keys() <= set(uploaded) else self._recorded()
            completed, new = {}, {}
            for name, record in missing.items():
                time = recorded.get(name)
                if name in uploaded or time is None or time.sha256 != record.sha256:
                    time = new[name] = UploadTime(format_time(record.changed), record.sha256)
                completed[name] = replace(record, uploaded=time.time)
            self._add(new)
        except OSError as error:
            log_problem(error.strerror or str(error))
            return dict(records)
        return {**records, **completed}

    def _recorded(self) -> dict[str, UploadTime]:
        if self._immediate:
            return self._table.read()[0]
        if self._cache is None:
            self._cache = self._table.read()[0]
        return self._cache | self._new

    def _add(self, new: Mapping[str, UploadTime]) -> None:
        if self._immediate:
            self._table.add(new)
        else:
            self._new.update(new)

    def finish(self) -> None:
        """Write new times to the table. Raises OSError."""
        new, self._new, self._cache = self._new, {}, None
        self._table.add(new)


def log_problem(problem: str) -> None:
    """Write a problem with the table to the journal."""
    print(f"wheelhouse: the table of upload times, state/uploaded.txt: {problem}", file=sys.stderr)
