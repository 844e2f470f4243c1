"""Reconciles the pages with the packages directory: files that were copied, changed or deleted by hand, lost pages."""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Set
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from packaging.version import Version

from wheelhouse.config import Paths
from wheelhouse.distributions.filenames import parse_project
from wheelhouse.errors import RequestError
from wheelhouse.files.atomic import write_atomically
from wheelhouse.files.locks import exclusive_lock
from wheelhouse.files.permissions import explain_not_owned, explain_unreadable
from wheelhouse.pages import file_records, render
from wheelhouse.pages.file_records import UNREADABLE_SIZE, FileRecord
from wheelhouse.pages.upload_times import UploadTime, format_time, log_problem, parse_time
from wheelhouse.pages.writer import SUFFIXES, PageWriter

INVALID_FILENAME = "not the file name of a wheel or sdist"

# Filename -> size in bytes and modification time in nanoseconds.
Fingerprints = dict[str, list[int]]


def fingerprints_in(directory: Path) -> Fingerprints:
    """Return the fingerprints of all regular files in a directory, without temporary ones. Raises OSError."""
    found = {}
    with os.scandir(directory) as files:
        for file in files:
            if not file.name.startswith(".") and file.is_file():
                with suppress(FileNotFoundError):  # deleted since it was listed (race)
                    found[file.name] = fingerprint_of(file.stat())
    return found


def fingerprint_of(status: os.stat_result) -> list[int]:
    """Return the fingerprint of a file."""
    return [status.st_size, status.st_mtime_ns]


def changed_names(one: Fingerprints, other: Fingerprints) -> set[str]:
    """Return the names of files that were added, deleted or changed."""
    return {name for name in {*one, *other} if one.get(name) != other.get(name)}


def group_by_project(filenames: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return the filenames of each project, and those that are not the filename of a distribution."""
    projects, invalid = defaultdict(list), []
    for filename in filenames:
        try:
            projects[parse_project(filename)].append(filename)
        except RequestError:
            invalid.append(filename)
    return dict(projects), invalid


@dataclass
class SyncState:
    """The state of the directories after the last run, stored as JSON.

    newest: newest version by project; broken: reason by filename; unfinished: projects to refresh in any case;
    upload_times: fingerprint of the table of upload times when it was complete.
    """

    files: Fingerprints = field(default_factory=dict)
    records: Fingerprints = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    upload_times: list[int] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> "SyncState":
        """Read the state; an empty state if it is missing or invalid. Raises OSError."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        """Write the state. Raises OSError."""
        write_atomically(path, json.dumps(asdict(self), separators=(",", ":")).encode())


class Reconciler:
    """Reconciles the pages with the packages directory. url: of the index, for the landing page."""

    def __init__(self, paths: Paths, url: str) -> None:
        self._paths, self._url = paths, url
        self._pages = PageWriter(paths, durable=False)
        self._state = paths.records / ".state"

    def sync_changed(self) -> list[str]:
        """Refresh the projects whose files have changed since the last run, and those that were left unfinished.

        Returns a line for each file that is left out. Raises the first OSError after all other projects are refreshed.
        """
        return self._refresh(set(), everything=False)

    def rebuild(self, project: str | None = None) -> list[str]:
        """Refresh one project, or all. Unchanged files are not read. Returns and raises as sync_changed."""
        if project is not None:
            return self._refresh({project}, everything=False)
        return self._refresh(set(), everything=True)

    def _refresh(self, projects: set[str], everything: bool) -> list[str]:
        """Refresh some projects and all that have changed, or everything."""
        failures = []
        with exclusive_lock(self._paths.locks / "folder"):
            everything = everything or not self._paths.complete.exists()
            state = SyncState() if everything else SyncState.load(self._state)
            # Metadata is written after its file exists, so metadata without a file is stale.
            metadata = {name.removesuffix(".metadata") for name in fingerprints_in(self._paths.metadata)}
            files, old_records = fingerprints_in(self._paths.packages), state.records
            files_of, invalid = group_by_project(files)
            changed, _ = group_by_project(changed_names(state.files, files) | (metadata - files.keys()))
            state.files, state.records = files, fingerprints_in(self._paths.records)
            rewritten = {name.removesuffix(".json") for name in changed_names(old_records, state.records)}
            projects = {*projects, *changed, *rewritten, *state.unfinished, *self._inconsistent_projects(state)}
            state.unfinished = []
            for project in sorted(projects):
                try:
                    self._refresh_one(project, {*changed.get(project, []), *files_of.get(project, [])}, state)
                except OSError as error:
                    failures.append(error)
                    state.unfinished.append(project)
            self._pages.update_root(projects, force=True)
            write_atomically(self._paths.root / "landing.html", render.landing(state.newest, self._url))
            self._record_upload_times(state, files.keys() - state.broken.keys() - set(invalid), everything)
            # The pages must be durable before the state says that they are written.
            os.sync()
            state.save(self._state)
            if not failures:
                write_atomically(self._paths.complete, b"")
                # For monitoring: an unchanged file keeps its time.
                os.utime(self._paths.complete)
        if failures:
            raise failures[0]
        faults = dict.fromkeys(invalid, INVALID_FILENAME) | state.broken
        return [f"{name}: left out: {faults[name]}" for name in sorted(faults)]

    def _refresh_one(self, project: str, filenames: set[str], state: SyncState) -> None:
        """Refresh a project and update the state. filenames: existing and deleted files of the project."""
        records = self._pages.refresh(project, filenames, update_root=False)
        versions = [Version(record.version) for record in records if record.broken is None]
        state.newest.pop(project, None)
        if versions:
            state.newest[project] = str(max(versions))
        for name in filenames:
            state.broken.pop(name, None)
        state.broken.update({record.filename: record.broken for record in records if record.broken is not None})
        # Retry unreadable files: a chmod changes neither size nor mtime. Also retry if no upload time was recorded.
        if any(record.size == UNREADABLE_SIZE or (record.broken or record.uploaded) is None for record in records):
            state.unfinished.append(project)
        state.records.pop(f"{project}.json", None)
        with suppress(FileNotFoundError):
            state.records[f"{project}.json"] = fingerprint_of((self._paths.records / f"{project}.json").stat())

    def _record_upload_times(self, state: SyncState, filenames: set[str], compact: bool) -> None:
        """Complete the table of upload times with new times, and with missing ones from the file records."""
        table = self._pages.upload_times
        try:
            self._pages.recorder.finish()
            if compact or not state.upload_times or state.upload_times != table.fingerprint():
                recorded, invalid = table.read()
                table.add(self._times_in_records(filenames - recorded.keys()))
                if invalid:
                    log_problem(f"invalid lines were dropped: {invalid}")
                if compact or invalid:
                    table.compact()
            state.upload_times = table.fingerprint()
        except OSError as error:
            log_problem(error.strerror or str(error))
            state.upload_times = []

    def _times_in_records(self, filenames: Set[str]) -> dict[str, UploadTime]:
        """Return the upload times of some files that the file records have."""
        files_of, _invalid = group_by_project(filenames)
        found = {}
        for project, names in files_of.items():
            records = file_records.load(self._paths.records / f"{project}.json")
            for name in records.keys() & set(names):
                if time := records[name].uploaded:
                    found[name] = UploadTime(time, records[name].sha256)
        return found

    def _inconsistent_projects(self, state: SyncState) -> set[str]:
        """Return the projects with a missing or superfluous page, or entry in the list of projects."""
        names = [path.name for path in self._paths.projects.iterdir() if not path.name.startswith(".")]
        expected = {f"{project}.{suffix}" for project in state.newest for suffix in SUFFIXES}
        expected |= {f"{project}.gone" for project in self._pages.used_names() - state.newest.keys()}
        misplaced = {name.partition(".")[0] for name in expected ^ set(names)}
        return misplaced | ((self._pages.listed_projects() or set()) ^ state.newest.keys())

    def check(self, skipped: Set[str] = frozenset()) -> list[str]:
        """Read every file and compare it with its record, its page and its upload time. Returns a line for each fault.

        skipped: filenames that are not reported. Raises OSError if a directory or record cannot be read.
        """
        files_of, invalid = group_by_project(fingerprints_in(self._paths.packages))
        faults = dict.fromkeys(invalid, f"unlisted: {INVALID_FILENAME}")
        with_page = {path.stem for path in self._paths.projects.glob("*.json")}
        with_records = {path.stem for path in self._paths.records.glob("*.json")}
        times, table_faults = self._read_upload_times()
        without_time: set[str] = set()
        for project in {*files_of, *with_page, *with_records}:
            records = file_records.load(self._paths.records / f"{project}.json")
            on_page = self._pages.files_on_page(project)
            for name in {*records, *on_page, *files_of.get(project, [])}:
                fault = self._fault(name, records.get(name), on_page.get(name))
                if fault is None and times is not None and name in on_page:
                    fault = self._time_fault(name, times[name]) if name in times else None
                    without_time |= {name} - times.keys()
                if fault:
                    faults[name] = fault
        # Read the table again: it may be stale, since files may have been uploaded in between (race).
        for name in without_time - (self._read_upload_times()[0] or {}).keys() if without_time else ():
            faults[name] = "time: it is not recorded. Run: wheelhouse rebuild"
        faults |= table_faults
        return [f"{name}: {faults[name]}" for name in sorted(faults.keys() - skipped)]

    def _read_upload_times(self) -> tuple[dict[str, UploadTime] | None, dict[str, str]]:
        """Return the upload times by filename, None if they cannot be read; and the fault of the table by its name."""
        name = "/".join(self._paths.upload_times.parts[-2:])
        try:
            times, invalid = self._pages.upload_times.read()
        except OSError as error:
            return None, {name: f"it cannot be read: {error.strerror}"}
        lines = f"{invalid} line{'s' if invalid > 1 else ''} cannot be read. Run: wheelhouse rebuild"
        return times, {name: lines} if invalid else {}

    def _fault(self, name: str, record: FileRecord | None, listed: str | None) -> str | None:
        """Return what is wrong with a file, or None. listed: its SHA-256 on the page, or None."""
        path = self._paths.packages / name
        try:
            status = path.stat()
            if listed is None and record is not None and record.matches(status) and record.broken is not None:
                return f"corrupt: {record.broken}"
            if listed is None:
                return "unlisted: it exists, and is on no page. Run: wheelhouse rebuild"
            if file_records.sha256_of(path) != listed:
                return "differs: it is not the file that was uploaded"
        except FileNotFoundError:
            return "missing: it is listed, and does not exist" if record or listed else None
        except PermissionError:
            return f"unlisted: {explain_unreadable(path)}"
        return None

    def _time_fault(self, name: str, recorded: UploadTime) -> str | None:
        """Return what is wrong with the modification time of a file, or None."""
        try:
            own = format_time((self._paths.packages / name).stat().st_mtime_ns)
        except FileNotFoundError:
            return None
        if own == recorded.time:
            return None
        return (
            f"time: it was uploaded at {recorded.time}, as the pages say, and the file's own time is {own}. "
            "Run: wheelhouse restore-times"
        )

    def restore_times(self) -> list[str]:
        """Set the modification time of each file to its upload time. Returns a line for each file that was skipped.

        Raises OSError.
        """
        skipped = {}
        for name, recorded in self._pages.upload_times.read()[0].items():
            path = self._paths.packages / name
            try:
                status = path.stat()
                if format_time(status.st_mtime_ns) == recorded.time:
                    continue
                if file_records.sha256_of(path) == recorded.sha256:
                    os.utime(path, ns=(status.st_atime_ns, parse_time(recorded.time)))
                else:
                    skipped[name] = "it is not the file that was uploaded"
            except FileNotFoundError:
                continue
            except PermissionError:
                skipped[name] = explain_not_owned(path)
        return [f"{name}: its time was not changed: {skipped[name]}" for name in sorted(skipped)]
