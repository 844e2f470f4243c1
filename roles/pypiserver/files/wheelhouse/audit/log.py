"""Write-ahead audit log with a hash chain: an entry is durable before its action, and has the previous one's hash.

The head is a file with a copy of the newest entry, on the data's file system. It is written before the log. So an entry
that a crash has kept from the log is added later, and an entry that somebody has deleted is detected.

Rejections are limited (rate_limit.py), and reserved disk space is not used for them (reserve.py): a client whose
requests are rejected can neither fill the log nor prevent the entries of others.
"""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from wheelhouse.audit import rotation
from wheelhouse.audit.entry import BROKEN, EVENTS, NO_PREVIOUS, OPENED, AuditEntry, digest_of
from wheelhouse.audit.rate_limit import REJECTION_EVENTS, RejectionLimit
from wheelhouse.audit.reserve import DiskReserve
from wheelhouse.audit.rotation import LogFile
from wheelhouse.files.atomic import (
    DISK_FULL_ERRNOS,
    append_durably,
    check_writable,
    delete_if_exists,
    sync_directory,
    write_atomically,
)
from wheelhouse.files.locks import exclusive_lock

# Bytes reserved with the log, for about 2,000 entries; and with the head, which each entry replaces by renaming a
# temporary file: only the block and the inode of that file are needed.
LOG_RESERVE = 1 << 20
HEAD_RESERVE = 1 << 16

# Counts of rejections that are written with one entry: the request that writes it waits for them.
MAX_COUNTS_PER_ENTRY = 20


class AuditLog:
    """The audit log of an index, for any number of threads and processes."""

    def __init__(self, log: Path, head: Path) -> None:
        """Name the files, whose directories must exist.

        log: reopened for each entry, so that it may be rotated at any time; head: the copy of the newest entry. The
        lock file of writers is in the directory of the head.
        """
        self._log = log
        self._head = head
        self._lock = head.with_suffix(".lock")
        self._limit = RejectionLimit()
        self._reserves = [
            DiskReserve(log.with_suffix(".reserve"), LOG_RESERVE),
            DiskReserve(head.with_suffix(".reserve"), HEAD_RESERVE),
        ]

    def write(
        self,
        event: str,
        *,
        user: str,
        address: str,
        project: str | None = None,
        version: str | None = None,
        filename: str | None = None,
        size: int | None = None,
        sha256: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Write an entry, durably, except for rejections that are only counted.

        event: one of EVENTS; address: the client's IP, or "local"; project: normalized name; size: bytes; sha256:
        hexadecimal. Raises OSError or ValueError if the entry cannot be written: the action must not be performed.
        """
        if event not in EVENTS:
            raise ValueError(f"{event!r} is not an event of the audit log")
        facts = {
            "event": event,
            "user": user,
            "address": address,
            "project": project,
            "version": version,
            "filename": filename,
            "size": size,
            "sha256": sha256,
            "reason": reason,
        }
        if event not in REJECTION_EVENTS:
            with exclusive_lock(self._lock):
                self._write_due_counts(facts)
                try:
                    self._write(facts)
                    self._ensure_reserves()
                    return
                except OSError as error:
                    if error.errno not in DISK_FULL_ERRNOS or not self._release_reserves():
                        raise
                self._write(facts)
        elif self._limit.allows(facts):
            try:
                with exclusive_lock(self._lock):
                    self._write_due_counts(facts)
                    self._write_rejection(facts)
            except OSError:
                self._limit.count_unwritten(facts)
                raise

    def _write_due_counts(self, facts: Mapping[str, Any]) -> None:
        """Write the counts that are due before an entry. Counts that cannot be written are kept for later."""
        counts = self._limit.take_due(facts)
        try:
            for _ in range(min(len(counts), MAX_COUNTS_PER_ENTRY)):
                self._write_rejection(counts[0].facts())
                del counts[0]
        except OSError:
            pass  # writing the entry itself raises the same error, or uses the reserves
        finally:
            self._limit.put_back(counts)

    def _write_rejection(self, facts: Mapping[str, Any]) -> None:
        """Write an entry only if all space is reserved. Raises OSError."""
        if not self._ensure_reserves():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._write(facts)

    def _ensure_reserves(self) -> bool:
        """Reserve missing space. Return whether all of it is reserved."""
        reserved = [reserve.ensure() for reserve in self._reserves]
        return all(reserved)

    def _release_reserves(self) -> bool:
        """Release all reserves, because the full disk is unknown. Return whether there were any."""
        released = [reserve.release() for reserve in self._reserves]
        return any(released)

    def _write(self, facts: Mapping[str, Any]) -> None:
        """Write an entry to head and log, after an entry of the log itself if one is needed. Raises OSError."""
        with self._opened() as log:
            previous, inconsistency = self._recover(log)
            if inconsistency:
                previous = self._add(log, previous, _own_facts(BROKEN, inconsistency))
            elif previous and not os.fstat(log).st_size:
                previous = self._add(log, previous, _own_facts(OPENED))
            self._add(log, previous, facts)

    def check(self) -> None:
        """Raise OSError if no entry can be written now, even by releasing the reserves."""
        for directory, reserve in zip((self._log.parent, self._head.parent), self._reserves, strict=True):
            try:
                check_writable(directory)
            except OSError as error:
                if error.errno not in DISK_FULL_ERRNOS or not reserve.exists():
                    raise
        if self._log.exists():
            os.close(os.open(self._log, os.O_WRONLY | os.O_APPEND))

    def mismatch(self) -> str | None:
        """Return why head and log do not match, so that the data directory is not the one that was served last.

        None if they match, or if there is no log at all: then the log was lost, not the data. Recovers from a crash.
        Raises OSError.
        """
        with exclusive_lock(self._lock):
            if not self._log.exists() and not rotation.rotated_files(self._log):
                return None
            with self._opened() as log:
                if not os.fstat(log).st_size and not rotation.rotated_files(self._log):
                    return None
                _entry, inconsistency = self._recover(log)
        return inconsistency

    def newest(self) -> AuditEntry | None:
        """Return the newest entry according to the head; None if the head is missing or corrupt. Raises OSError."""
        try:
            return AuditEntry.parse(self._head.read_bytes().removesuffix(b"\n"))
        except (FileNotFoundError, ValueError):
            return None

    @contextmanager
    def reading(self, locked: Callable[[], None] = lambda: None) -> Iterator[tuple[AuditEntry | None, list[LogFile]]]:
        """Yield the newest entry according to the head, and all files, oldest first, opened.

        They are a consistent snapshot, even if other threads write meanwhile. locked: is called while they are opened
        and nobody can write. Recovers from a crash. Raises OSError.
        """
        with ExitStack() as opened:
            with exclusive_lock(self._lock), self._opened() as log:
                self._recover(log)
                head = self.newest()
                newest = replace(LogFile.open(self._log), size=os.fstat(log).st_size)
                opened.callback(newest.file.close)
                files = [LogFile.open(path) for path in rotation.rotated_files(self._log)]
                for file in files:
                    opened.callback(file.file.close)
                locked()
            yield head, [*files, newest]

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Open the log to append to it. It is created if it is missing."""
        log = os.open(self._log, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o640)
        try:
            yield log
        finally:
            os.close(log)

    def _recover(self, log: int) -> tuple[AuditEntry | None, str | None]:
        """Recover from a crash. Returns the last valid entry, and an unrecoverable inconsistency, or None."""
        head = self.newest()
        last, file = _repair_end(log, head), log
        with ExitStack() as opened:
            # Just rotated: the newest entry is in an earlier file. The one right before may have only a partial line.
            for path in reversed(rotation.rotated_files(self._log)) if last is None else ():
                if rotation.is_compressed(path):
                    last = rotation.last_line(path)
                else:
                    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
                    opened.callback(os.close, file)
                    last = _repair_end(file, head)
                if last is not None:
                    break
            return self._compare(head, last, file)

    def _compare(self, head: AuditEntry | None, last: bytes | None, file: int) -> tuple[AuditEntry | None, str | None]:
        """Compare the head with the last line of the log, which is in a file. Returns what _recover returns."""
        if head is None:
            return (None, None) if last is None else (_parse(last), f"{self._head.name} was missing or corrupt")
        if last == head.raw:
            return head, None
        if head.previous == (NO_PREVIOUS if last is None else digest_of(last)):
            append_durably(file, head.raw + b"\n")
            return head, None
        return head, _explain_mismatch(head, _parse(last) if last else None)

    def _add(self, log: int, previous: AuditEntry | None, facts: Mapping[str, Any]) -> AuditEntry:
        """Write an entry to head and log, or to neither. Raises OSError."""
        entry = AuditEntry.following(previous, facts)
        size = os.fstat(log).st_size
        self._write_head(entry)
        try:
            append_durably(log, entry.raw + b"\n")
            if not size:
                sync_directory(self._log.parent)
        except OSError:
            # If a part of the line could not be removed, the head must stay, too: _recover completes the entry.
            if os.fstat(log).st_size == size:
                self._write_head(previous)
            raise
        return entry

    def _write_head(self, entry: AuditEntry | None) -> None:
        if entry:
            write_atomically(self._head, entry.raw + b"\n")
        else:
            delete_if_exists(self._head)
        sync_directory(self._head.parent)


def _own_facts(event: str, reason: str | None = None) -> dict[str, Any]:
    """Return the facts of an entry that the log writes about itself."""
    return {"event": event, "user": "wheelhouse", "address": "local", "reason": reason}


def _explain_mismatch(head: AuditEntry, last: AuditEntry | None) -> str:
    """Return why the last entry of the log does not match the head."""
    if last is None or last.number <= head.number:
        return f"its last entry is not number {head.number}, which was written last"
    return (
        "the data directory is older than the log: the newest entry in its head is number "
        f"{head.number} of {head.time}, and the log's is number {last.number} of {last.time}. "
        "It is a stale copy, or entries were added to the log"
    )


def _repair_end(file: int, head: AuditEntry | None) -> bytes | None:
    """Return the last line of a file, after a partial line at its end is repaired.

    It is removed if it is the beginning of the head, else it gets a line end.
    """
    last, rest = rotation.read_tail(file)
    if not rest:
        return last
    # A power failure may leave zeros in place of the rest.
    if head and (head.raw + b"\n").startswith(rest.rstrip(b"\0")):
        os.ftruncate(file, os.fstat(file).st_size - len(rest))
        return last
    append_durably(file, b"\n")
    return rest


def _parse(raw: bytes) -> AuditEntry | None:
    try:
        return AuditEntry.parse(raw)
    except ValueError:
        return None
