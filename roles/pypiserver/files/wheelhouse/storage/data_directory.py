"""The data directory, kept open while it is used.

A file system may be unmounted in the middle of an upload (umount --lazy). A path would then lead into the directory
below the mount point, and the rest of the upload would be written there, hidden by the next mount (race). So the
directory is opened once, and everything in it is accessed through the descriptor (/proc/self/fd, proc(5)): all of it is
in one file system. The directory is open only while it is used, because a file system with an open directory cannot be
unmounted.
"""

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from wheelhouse.config import Settings


class DataDirectoryError(OSError):
    """The data directory is unavailable: it is missing, not mounted, or not that of an index."""


class DataDirectory:
    """The data directory of one process, for any number of threads.

    settings: the given settings with another path to the data, which is valid only inside opened().
    """

    def __init__(self, settings: Settings) -> None:
        """Name the directory. Nothing is opened yet."""
        self._path, self._is_mount = settings.data, settings.data_is_mount
        self._lock = threading.Lock()
        self._users = 0
        # Paths contain this number, so it is never closed. It refers to /dev/null while the directory is not in use.
        self._descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self.settings = replace(settings, data=Path(f"/proc/self/fd/{self._descriptor}"))

    @contextmanager
    def opened(self) -> Iterator[Settings]:
        """Keep the directory open during the block. Yields the settings. Raises DataDirectoryError."""
        with self._lock:
            if not self._users:
                self._open()
            try:
                self._check()
            except DataDirectoryError:
                self._close_if_unused()
                raise
            self._users += 1
        try:
            yield self.settings
        finally:
            with self._lock:
                self._users -= 1
                self._close_if_unused()

    def _open(self) -> None:
        """Redirect our descriptor to the directory that is at the path now."""
        try:
            directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise DataDirectoryError(f"The data directory cannot be opened: {error.strerror}.") from None
        self._redirect(directory)

    def _check(self) -> None:
        """Raise DataDirectoryError unless the open directory has our marker and is still the one at the path."""
        if self._is_mount and not os.path.ismount(self._path):
            raise DataDirectoryError("The data directory is not mounted.")
        try:
            self.settings.mark.read_bytes()
        except OSError:
            raise DataDirectoryError(
                f"The data directory is not that of an index: its marker, {self.settings.mark.name}, cannot be read."
            ) from None
        try:
            is_current = os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            is_current = False
        if not is_current:
            raise DataDirectoryError(
                "The data directory was replaced while requests on the previous one are still running."
            )

    def _close_if_unused(self) -> None:
        if not self._users:
            self._redirect(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def _redirect(self, descriptor: int) -> None:
        """Redirect our descriptor to another one (dup2), which is closed."""
        os.dup2(descriptor, self._descriptor, inheritable=False)
        os.close(descriptor)
