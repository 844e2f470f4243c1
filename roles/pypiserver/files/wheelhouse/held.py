"""The data directory, held while there is work on it.

A file system may go away in the midst of an upload (umount --lazy). By its path, half of the upload's traces would then
end up in the directory beneath the mount, where nobody finds them. So whoever works on the data opens its directory
once, and reaches all that is in it through that (proc(5): /proc/self/fd): it is all in one place, whatever is mounted
there by now. It is held for no longer than the work takes: a directory that is open cannot be unmounted.
"""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from wheelhouse.settings import Settings


class Absent(OSError):
    """What is at the data directory's path is not the index's data. The text says why, in a sentence."""


class Held:
    """The data directory of one process, whose threads may work on it at the same time.

    settings: those that were given, but for the path to the data, which leads there only while somebody is at work.
    """

    def __init__(self, settings: Settings):
        self._path, self._is_mount = settings.data, settings.data_is_mount
        self._lock = threading.Lock()
        self._at_work = 0
        # Keeps its number for good, so that paths may be made of it. Nothing is beneath it until somebody works.
        self._descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self.settings = replace(settings, data=Path(f"/proc/self/fd/{self._descriptor}"))

    @contextmanager
    def at_work(self) -> Iterator[Settings]:
        """Hold the data for as long as this lasts. Gives the settings. Raises Absent."""
        with self._lock:
            if not self._at_work:
                self._open()
            try:
                self._check()
            except Absent:
                self._close_unless_at_work()
                raise
            self._at_work += 1
        try:
            yield self.settings
        finally:
            with self._lock:
                self._at_work -= 1
                self._close_unless_at_work()

    def _open(self) -> None:
        """Have the number stand for what is at the path now."""
        try:
            directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Absent(f"The data directory cannot be opened: {error.strerror}.") from None
        self._take(directory)

    def _check(self) -> None:
        """Raise Absent unless what is held is the index's data, and still what everybody else has at the path."""
        if self._is_mount and not os.path.ismount(self._path):
            raise Absent("The data directory is not mounted.")
        try:
            self.settings.mark.read_bytes()
        except OSError:
            raise Absent("The data directory is not the index's: its mark cannot be read.") from None
        try:
            is_there = os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            is_there = False
        if not is_there:
            raise Absent("The data directory has been exchanged, and there is work to end on the one before.")

    def _close_unless_at_work(self) -> None:
        if not self._at_work:
            self._take(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def _take(self, descriptor: int) -> None:
        """Have the number stand for what another one does, which is closed."""
        os.dup2(descriptor, self._descriptor, inheritable=False)
        os.close(descriptor)
