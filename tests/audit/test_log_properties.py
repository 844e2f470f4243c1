"""Property test: any sequence of writes, crashes, full disks and rotations leaves a valid log."""

import errno
import gzip
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.audit import Log
from wheelhouse.audit import log as log_module
from wheelhouse.audit import rotation

# Number of files that logrotate keeps, in addition to the current one.
KEEP = 3


class Crash(BaseException):
    """The process ends here."""


class AnyHistory(RuleBasedStateMachine):
    """An audit log with any sequence of events, except modification by hand."""

    def __init__(self):
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.log = Log(Path(self._directory.name))

    def teardown(self) -> None:
        """Check it again, and clean up."""
        self.look()
        self._directory.cleanup()

    @rule(count=st.integers(1, 3))
    def write(self, count: int) -> None:
        """Write an entry without a failure."""
        self.log.write(count)

    @rule(length=st.integers(0, 400), zeros=st.booleans(), appends=st.integers(0, 1))
    def crash(self, length: int, zeros: bool, appends: int) -> None:
        """Crash during the first or the second append to the log."""

        def partial_append(file: int, content: bytes) -> None:
            nonlocal appends
            if appends:
                appends -= 1
                os.write(file, content)
                return
            beginning = content[:length]
            os.write(file, beginning.ljust(len(content), b"\0") if zeros else beginning)
            self.log.written += self.log.wanted_next() in content
            raise Crash

        with pytest.MonkeyPatch.context() as patch, suppress(Crash):
            patch.setattr(log_module, "append_durably", partial_append)
            self.log.write()

    @rule(after=st.booleans(), times=st.integers(1, 2))
    def crash_at_the_head(self, after: bool, times: int) -> None:
        """Crash before or after the head is written."""
        write = log_module.write_atomically

        def stopping(path: Path, content: bytes) -> None:
            nonlocal times
            times -= 1
            if times or after:
                write(path, content)
            if not times:
                self.log.written += after and self.log.wanted_next() in content
                raise Crash

        with pytest.MonkeyPatch.context() as patch, suppress(Crash):
            patch.setattr(log_module, "write_atomically", stopping)
            self.log.write()

    @rule(space=st.integers(0, 600))
    def full(self, space: int) -> None:
        """Write while the log's disk is full."""
        write = os.write

        def limited(file: int, content: bytes) -> int:
            nonlocal space
            if not space:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done = write(file, content[:space])
            space -= done
            return done

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "write", limited)
            try:
                self.log.write()
            except OSError as error:
                assert error.errno == errno.ENOSPC

    @rule()
    def rotate(self) -> None:
        """Rotate the log."""
        self.log.rotate(KEEP)

    @rule()
    def look(self) -> None:
        """Verify the log, and list its entries."""
        assert self.log.faults() == []
        logged = self.log.filenames()
        assert logged == self.log.wanted()[-len(logged) :] or not logged
        if len(rotation.rotated_files(self.log.path)) < KEEP:
            assert logged == self.log.wanted()

    @invariant()
    def numbers_are_consecutive(self) -> None:
        """Check that the numbers of the existing entries are consecutive."""
        numbers = [line["number"] for line in self.log.all()]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True


AnyHistory.TestCase.settings = settings(settings.get_profile("kit"), max_examples=60, stateful_step_count=20)
TestAnyHistory = AnyHistory.TestCase


def contents(log: Log) -> dict[str, bytes]:
    """Return the decompressed content of all files."""
    return {
        path.name: gzip.decompress(path.read_bytes()) if rotation.is_compressed(path) else path.read_bytes()
        for path in log.path.parent.glob("audit.log*")
    }


@given(
    rotations=st.integers(0, 3),
    count=st.integers(0, 3),
    file=st.integers(0, 3),
    kind=st.sampled_from(["replace", "insert", "delete"]),
    place=st.integers(0, 1 << 20),
    byte=st.integers(0, 255),
    length=st.sampled_from([1, 1, 1, 2, 40, 300, 70_000]),
)
@settings(max_examples=200)
def test_any_modification_is_detected(
    rotations: int, count: int, file: int, kind: str, place: int, byte: int, length: int
) -> None:
    """Changed bytes in any place of any file are detected, or repaired if a crash could have caused them."""
    with tempfile.TemporaryDirectory() as directory:
        log = Log(Path(directory))
        log.write()
        for _ in range(rotations):
            log.rotate()
            log.write(2)
        log.write(count)
        before = contents(log)
        name = sorted(before)[file % len(before)]
        old = before[name]
        place %= len(old)
        new = {
            "replace": old[:place] + bytes([byte]) * min(length, len(old) - place) + old[place + length :],
            "insert": old[:place] + bytes([byte]) * length + old[place:],
            "delete": old[:place] + old[place + length :],
        }[kind]
        path = log.path.with_name(name)
        path.write_bytes(gzip.compress(new) if rotation.is_compressed(path) else new)
        assert log.faults() or contents(log) == before
        log.write()
        assert log.faults() or {name: content[: len(before[name])] for name, content in contents(log).items()} == before
