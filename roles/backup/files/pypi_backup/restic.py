"""Calls of restic. Repository, password file and credentials are in its environment, never on its command line.

Exit codes differ between restic 0.14 (Debian 12) and 0.18 (Debian 13), so messages are compared, too.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pypi_backup.paths import RESTIC, BackupError, Settings

# Snapshots of other programs in the same repository are ignored.
TAG = "wheelhouse"
# Exit codes since restic 0.17, and messages of all versions.
NO_REPOSITORY = (10, "Is there a repository at the following location?")
WRONG_PASSWORD = (12, "wrong password or no key found")
# Exit code of a backup that could not read some files.
INCOMPLETE = 3
# Seconds. Since version 0.17, restic tries to reach a repository for 15 minutes.
OPEN_TIMEOUT = 60
# Characters of restic's message in ours.
MAX_MESSAGE = 500


@dataclass(frozen=True)
class Snapshot:
    """A snapshot. id: complete; time: ISO 8601."""

    id: str
    time: str


class Restic:
    """The repository of the settings."""

    def __init__(self, settings: Settings, program: str = RESTIC) -> None:
        self._command = [program, *settings.options]
        self._own = [f"--host={settings.host}", f"--tag={TAG}"]
        self._host = settings.host

    def call(
        self, *words: str, directory: Path | None = None, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run restic. Returns its exit code and its output. timeout: seconds. Raises subprocess.TimeoutExpired."""
        return subprocess.run(
            [*self._command, *words], cwd=directory, timeout=timeout, capture_output=True, text=True, check=False
        )

    def run(self, *words: str, directory: Path | None = None) -> str:
        """Run restic and return its output. Raises BackupError."""
        done = self.call(*words, directory=directory)
        if done.returncode:
            raise BackupError(f"restic {words[0]} failed: {message(done)}")
        return done.stdout

    def repository_id(self) -> str | None:
        """Return the ID of the repository; None if it does not exist. Raises BackupError."""
        try:
            done = self.call("cat", "config", timeout=OPEN_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            text = " ".join((error.stderr or b"").decode(errors="replace").split())[-MAX_MESSAGE:]
            raise BackupError(
                f"The backup repository cannot be opened within {OPEN_TIMEOUT} seconds: {text or 'no response'}"
            ) from None
        if done.returncode == 0:
            return str(json.loads(done.stdout)["id"])
        if matches(done, NO_REPOSITORY):
            return None
        if matches(done, WRONG_PASSWORD):
            raise BackupError("The password of the backup repository is wrong.")
        raise BackupError(f"The backup repository cannot be opened: {message(done)}")

    def unlock(self) -> None:
        """Remove locks of processes that have ended, such as a backup that was interrupted. Raises BackupError."""
        self.run("unlock")

    def backup(self, directory: Path, *names: str) -> dict[str, Any]:
        """Create a snapshot of some subdirectories, without hidden files. Returns restic's summary.

        Raises BackupError. Files that could not be read are not in the snapshot, and do not raise it.
        """
        options = [*self._own, "--json", "--quiet", "--exclude=.*"]
        done = self.call("backup", *options, *names, directory=directory)
        if done.returncode not in (0, INCOMPLETE):
            raise BackupError(f"restic backup failed: {message(done)}")
        print(done.stderr, end="", file=sys.stderr)
        for line in reversed(done.stdout.splitlines()):
            found: dict[str, Any] = json.loads(line)
            if found.get("message_type") == "summary":
                return found
        raise BackupError("restic backup has not reported a snapshot")

    def names_in(self, snapshot: str, directory: str) -> Iterator[str]:
        """Yield the names of the files in a directory of a snapshot. Raises BackupError."""
        for line in self.run("ls", "--json", snapshot, directory).splitlines():
            found = json.loads(line)
            if found.get("type") == "file":
                yield str(found["name"])

    def forget(self, snapshot: str) -> None:
        """Remove one snapshot. Raises BackupError."""
        self.run("forget", snapshot)

    def apply_retention(self, retention: dict[str, int]) -> None:
        """Remove the snapshots of this index that need not be kept, and unused data. Raises BackupError."""
        keep = [f"--keep-{period}={count}" for period, count in retention.items() if count]
        if keep:
            self.run("forget", *self._own, "--group-by=host", *keep, "--prune", "--quiet")

    def check(self, subset: str) -> None:
        """Check the structure of the repository, and read a part of its data. Raises BackupError."""
        self.run("check", f"--read-data-subset={subset}", "--quiet")

    def find(self, snapshot: str) -> Snapshot:
        """Return a snapshot by its ID, or the latest one of this index. Raises BackupError."""
        selection = self._own if snapshot == "latest" else [snapshot]
        found = json.loads(self.run("snapshots", "--json", *selection) or "null") or []
        if not found:
            which = f"of {self._host}" if snapshot == "latest" else snapshot
            raise BackupError(f"The backup repository has no snapshot {which}. It has: {self._all()}.")
        newest = max(found, key=lambda one: str(one["time"]))
        return Snapshot(newest["id"], newest["time"])

    def _all(self) -> str:
        """Return the snapshots of all indexes, for a message."""
        found = json.loads(self.run("snapshots", "--json", f"--tag={TAG}") or "null") or []
        texts = [f"{one['short_id']} ({one['hostname']}, {one['time'][:16]})" for one in found]
        return ", ".join(texts) or "none"


def matches(done: subprocess.CompletedProcess[str], error: tuple[int, str]) -> bool:
    """Return whether restic failed with an error."""
    code, text = error
    return done.returncode == code or text in done.stderr


def message(done: subprocess.CompletedProcess[str]) -> str:
    """Return what restic has written about a failure, on one line."""
    text = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
    return text if len(text) <= MAX_MESSAGE else f"… {text[-MAX_MESSAGE:]}"
