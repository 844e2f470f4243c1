"""Writing the audit log: a line is on the disk before what it tells of is answered, and carries the one before it.

The head is a file on the data's disk with the newest line. It is written before the log is, so that a line which a
crash has kept from the log gets there later, and one that somebody has taken out of it is missed.

Refusals are limited, and what the disks have in reserve is not for them: see wheelhouse.audit.limit and reserve. So
whoever is refused, again and again, neither fills the log nor keeps others from their work.
"""

import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from wheelhouse.audit import files
from wheelhouse.audit.files import Part
from wheelhouse.audit.limit import REFUSALS, RefusalLimit
from wheelhouse.audit.line import BROKEN, EVENTS, NOTHING, OPENED, Line, digest_of
from wheelhouse.audit.reserve import Reserve
from wheelhouse.pages.disk import FULL, only_writer, remove, sync_directory, write_atomically

# Bytes in reserve beside the log, for about 2,000 lines; and beside the head, which each line replaces by way of a
# temporary file: that one's block and inode are all that it needs.
LOG_RESERVE = 1 << 20
HEAD_RESERVE = 1 << 16

# So many counts are written with a line at the most: whoever has sent that one waits for them.
COUNTS_AT_ONCE = 20


class Audit:
    """The audit log of an index. Any number of threads and processes may write it at once."""

    def __init__(self, log: Path, head: Path):
        """Name its files, whose directories must be there.

        log: opened anew for each line, so that it may be rotated at any time; head: has the newest line, and beside
        it lies the writers' lock.
        """
        self._log = log
        self._head = head
        self._lock = head.with_suffix(".lock")
        self._limit = RefusalLimit()
        self._reserves = [
            Reserve(log.with_suffix(".reserve"), LOG_RESERVE),
            Reserve(head.with_suffix(".reserve"), HEAD_RESERVE),
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
        """Write a line. It is on the disk when this returns, unless it is a refusal that is only counted.

        event: one of EVENTS; address: the client's IP, or "local"; project: its normalised name; size: bytes.
        Raises OSError or ValueError if it cannot be written; what it tells of must not be done then.
        """
        if event not in EVENTS:
            raise ValueError(f"the audit log knows no event {event!r}")
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
        if event not in REFUSALS:
            with only_writer(self._lock):
                self._write_counts(facts)
                try:
                    self._write(facts)
                    self._keep_reserves()
                    return
                except OSError as error:
                    if error.errno not in FULL or not self._give_up_reserves():
                        raise
                self._write(facts)
        elif self._limit.admits(facts):
            try:
                with only_writer(self._lock):
                    self._write_counts(facts)
                    self._write_refusal(facts)
            except OSError:
                self._limit.failed(facts)
                raise

    def _write_counts(self, facts: Mapping[str, Any]) -> None:
        """Write the counts that belong before a line. Those that cannot be written come later."""
        counts = self._limit.due(facts)
        try:
            for _ in range(min(len(counts), COUNTS_AT_ONCE)):
                self._write_refusal(counts[0].facts())
                del counts[0]
        except OSError:
            pass  # who writes the line itself learns what is wrong, or has a reserve
        finally:
            self._limit.put_back(counts)

    def _write_refusal(self, facts: Mapping[str, Any]) -> None:
        """Write a line as long as nothing of the reserves is used. Raises OSError."""
        if not self._keep_reserves():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._write(facts)

    def _keep_reserves(self) -> bool:
        """Make the reserves that are missing. Return whether all are there."""
        kept = [reserve.keep() for reserve in self._reserves]
        return all(kept)

    def _give_up_reserves(self) -> bool:
        """Free the reserves: which of the disks is full, nobody knows. Return whether there were any."""
        freed = [reserve.give_up() for reserve in self._reserves]
        return any(freed)

    def _write(self, facts: Mapping[str, Any]) -> None:
        """Write a line to head and log, after what the log has to say of itself. Raises OSError."""
        with self._opened() as log:
            before, broken = self._settle(log)
            if broken:
                before = self._add(log, before, _of_the_log(BROKEN, broken))
            elif before and not os.fstat(log).st_size:
                before = self._add(log, before, _of_the_log(OPENED))
            self._add(log, before, facts)

    def check(self) -> None:
        """Raise OSError if a line could not be written just now, not even with the reserve."""
        for directory, reserve in zip((self._log.parent, self._head.parent), self._reserves, strict=True):
            try:
                # Without a name, so that nothing is left behind whatever happens.
                with tempfile.TemporaryFile(dir=directory) as file:
                    file.write(b"\0")
            except OSError as error:
                if error.errno not in FULL or not reserve.is_there():
                    raise
        if self._log.exists():
            os.close(os.open(self._log, os.O_WRONLY | os.O_APPEND))

    def mismatch(self) -> str | None:
        """Return why the data directory is not the one that was served last, by head and log; None if it may be.

        What a crash had cut short is finished. Where there is no log at all, it is the log that was lost. Raises
        OSError.
        """
        with only_writer(self._lock):
            if not self._log.exists() and not files.rotated(self._log):
                return None
            with self._opened() as log:
                if not os.fstat(log).st_size and not files.rotated(self._log):
                    return None
                _line, broken = self._settle(log)
        return broken

    def newest(self) -> Line | None:
        """Return the newest line, as the data directory knows it. Raises OSError."""
        return self._newest()

    @contextmanager
    def reading(self) -> Iterator[tuple[Line | None, list[Part]]]:
        """The newest line as the head has it, and all files, oldest first.

        All are of one moment, whoever writes meanwhile, and what a crash had cut short is finished. Raises OSError.
        """
        with ExitStack() as opened:
            with only_writer(self._lock), self._opened() as log:
                self._settle(log)
                head = self._newest()
                newest = replace(Part.open(self._log), size=os.fstat(log).st_size)
                opened.callback(newest.file.close)
                parts = [Part.open(path) for path in files.rotated(self._log)]
                for part in parts:
                    opened.callback(part.file.close)
            yield head, [*parts, newest]

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The log, to be added to; it is made if there is none."""
        log = os.open(self._log, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o640)
        try:
            yield log
        finally:
            os.close(log)

    def _newest(self) -> Line | None:
        """What the head says; None if there is none, or it says something else."""
        try:
            return Line.parse(self._head.read_bytes().removesuffix(b"\n"))
        except (FileNotFoundError, ValueError):
            return None

    def _settle(self, log: int) -> tuple[Line | None, str | None]:
        """Finish what was cut short. Returns the line to go on from, and what cannot be mended, if anything."""
        head = self._newest()
        last, file = _mended(log, head), log
        with ExitStack() as opened:
            # Just rotated: the newest line is in a file before, and the one right before may have had half a line only.
            for path in reversed(files.rotated(self._log)) if last is None else ():
                if files.is_compressed(path):
                    last = files.last_line(path)
                else:
                    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
                    opened.callback(os.close, file)
                    last = _mended(file, head)
                if last is not None:
                    break
            return self._compare(head, last, file)

    def _compare(self, head: Line | None, last: bytes | None, file: int) -> tuple[Line | None, str | None]:
        """Compare the head with the log's last line, and see what _settle says."""
        if head is None:
            return (None, None) if last is None else (_parsed(last), f"{self._head.name} was missing, or damaged")
        if last == head.raw:
            return head, None
        if head.previous == (NOTHING if last is None else digest_of(last)):
            _append(file, head.raw + b"\n")
            return head, None
        return head, _misfit(head, _parsed(last) if last else None)

    def _add(self, log: int, before: Line | None, facts: Mapping[str, Any]) -> Line:
        """Write a line to head and log, or to none of them. Raises OSError."""
        line = Line.after(before, facts)
        size = os.fstat(log).st_size
        self._put_head(line)
        try:
            _append(log, line.raw + b"\n")
            if not size:
                sync_directory(self._log.parent)
        except OSError:
            # If some of it had to stay, the head must stay, too: the line counts then.
            if os.fstat(log).st_size == size:
                self._put_head(before)
            raise
        return line

    def _put_head(self, line: Line | None) -> None:
        if line:
            write_atomically(self._head, line.raw + b"\n")
        else:
            remove(self._head)
        sync_directory(self._head.parent)


def _of_the_log(event: str, reason: str | None = None) -> dict[str, Any]:
    """What the log says of itself."""
    return {"event": event, "user": "wheelhouse", "address": "local", "reason": reason}


def _misfit(head: Line, last: Line | None) -> str:
    """Say how the log's last line does not fit the head."""
    if last is None or last.number <= head.number:
        return f"its last line was not number {head.number}, which was written last"
    return (
        "the data directory is older than the log: the newest line that it knows is number "
        f"{head.number} of {head.time}, and the log's is number {last.number} of {last.time}. "
        "It is a stale copy, or lines were added to the log"
    )


def _mended(file: int, head: Line | None) -> bytes | None:
    """The last line of a file, after half a line at its end is gone, if it is of the head's, or made a line if not."""
    last, rest = files.tail(file)
    if not rest:
        return last
    # A power cut may leave zeros where the rest was to be.
    if head and (head.raw + b"\n").startswith(rest.rstrip(b"\0")):
        os.ftruncate(file, os.fstat(file).st_size - len(rest))
        return last
    _append(file, b"\n")
    return rest


def _parsed(raw: bytes) -> Line | None:
    try:
        return Line.parse(raw)
    except ValueError:
        return None


def _append(file: int, content: bytes) -> None:
    """Add to a file, for good. Raises OSError, and then nothing of it is left there."""
    size = os.fstat(file).st_size
    try:
        # As a whole, or not at all: a disk takes what it has room for.
        if os.write(file, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    except OSError:
        os.ftruncate(file, size)
        os.fsync(file)
        raise
