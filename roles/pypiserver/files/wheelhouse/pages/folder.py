"""The packages directory against the pages: what was put there or taken away by hand, what is torn, what is missing."""

import json
import os
from collections import defaultdict
from collections.abc import Set
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from packaging.version import Version

from wheelhouse import permissions
from wheelhouse.distributions import Refused, project_of
from wheelhouse.pages import record, render
from wheelhouse.pages.disk import only_writer, write_atomically
from wheelhouse.pages.record import Entry
from wheelhouse.pages.site import SUFFIXES, Pages, Places
from wheelhouse.pages.upload_times import Recorded, complain, nanoseconds_of, time_of

# Size in bytes and time of change in nanoseconds, by file name.
Listing = dict[str, list[int]]


def listing(directory: Path) -> Listing:
    """The files that could be distributions, or are records: no directories, nothing hidden."""
    found = {}
    with os.scandir(directory) as files:
        for file in files:
            if not file.name.startswith(".") and file.is_file():
                with suppress(FileNotFoundError):  # gone since
                    found[file.name] = seen_of(file.stat())
    return found


def seen_of(status: os.stat_result) -> list[int]:
    """What a listing has of a file."""
    return [status.st_size, status.st_mtime_ns]


def differing(one: Listing, other: Listing) -> set[str]:
    """The names of files that came, went or changed from one listing to the other."""
    return {name for name in {*one, *other} if one.get(name) != other.get(name)}


def by_project(filenames) -> tuple[dict[str, list[str]], list[str]]:
    """File names by project, and those that belong to none."""
    projects, strays = defaultdict(list), []
    for filename in filenames:
        try:
            projects[project_of(filename)].append(filename)
        except Refused:
            strays.append(filename)
    return dict(projects), strays


@dataclass
class State:
    """What was seen last time.

    newest: version by project; broken: reason by file name; unfinished: projects to look at again in any case;
    upload_times: the table of these, when it had all files.
    """

    files: Listing = field(default_factory=dict)
    records: Listing = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    unfinished: list[str] = field(default_factory=list)
    upload_times: list[int] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> "State":
        """Read it; nothing was seen if there is none, or another text. Raises OSError."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        """Write it."""
        write_atomically(path, json.dumps(asdict(self), separators=(",", ":")).encode())


class Folder:
    """Keeps the pages in step with the packages directory."""

    def __init__(self, places: Places):
        self._places = places
        self._pages = Pages(places, durable=False)
        self._state = places.records / ".state"

    def catch_up(self) -> list[str]:
        """Refresh each project whose files have changed since the last time, or that was left half done.

        Returns a line for each file left out. Raises OSError, once it is done with all projects that raise none.
        """
        return self._refresh(set(), again=False)

    def rebuild(self, project: str | None = None) -> list[str]:
        """Refresh one project, or all. Unchanged files are not read again. Returns and raises as catch_up."""
        if project is not None:
            return self._refresh({project}, again=False)
        return self._refresh(set(), again=True)

    def _refresh(self, projects: set[str], again: bool) -> list[str]:
        """Refresh projects and those that have changed, or, once again, all."""
        failures = []
        with only_writer(self._places.locks / "folder"):
            again = again or not self._places.complete.exists()
            seen = State() if again else State.load(self._state)
            # Metadata comes after its file, so what is here without one was left behind.
            metadata = {name.removesuffix(".metadata") for name in listing(self._places.metadata)}
            files, seen_records = listing(self._places.packages), seen.records
            files_of, strays = by_project(files)
            changed, _ = by_project(differing(seen.files, files) | (metadata - files.keys()))
            seen.files, seen.records = files, listing(self._places.records)
            rewritten = {name.removesuffix(".json") for name in differing(seen_records, seen.records)}
            projects = {*projects, *changed, *rewritten, *seen.unfinished, *self._out_of_step(seen)}
            seen.unfinished = []
            for project in sorted(projects):
                try:
                    self._refresh_one(project, {*changed.get(project, []), *files_of.get(project, [])}, seen)
                except OSError as error:
                    failures.append(error)
                    seen.unfinished.append(project)
            self._pages.list_projects(projects, anew=True)
            write_atomically(self._places.root / "landing.html", render.landing(seen.newest, self._places.url))
            self._record_upload_times(seen, files.keys() - seen.broken.keys() - set(strays), again)
            # The pages before the note that they are written.
            os.sync()
            seen.save(self._state)
            if not failures:
                write_atomically(self._places.complete, b"")
        if failures:
            raise failures[0]
        faults = dict.fromkeys(strays, "not the file name of a wheel or sdist") | seen.broken
        return [f"{name}: left out: {faults[name]}" for name in sorted(faults)]

    def _refresh_one(self, project: str, filenames: set[str], seen: State) -> None:
        """Refresh a project, and note what was seen of it. filenames: those it has, and those that went."""
        entries = self._pages.refresh(project, filenames, listing=False)
        sound = [Version(entry.version) for entry in entries if entry.broken is None]
        seen.newest.pop(project, None)
        if sound:
            seen.newest[project] = str(max(sound))
        for name in filenames:
            seen.broken.pop(name, None)
        seen.broken.update({entry.filename: entry.broken for entry in entries if entry.broken is not None})
        # What may not be read today may be tomorrow, and neither its size nor its time tells. The same goes for the
        # table of upload times.
        if any(entry.size == record.UNREADABLE or (entry.broken or entry.uploaded) is None for entry in entries):
            seen.unfinished.append(project)
        seen.records.pop(f"{project}.json", None)
        with suppress(FileNotFoundError):
            seen.records[f"{project}.json"] = seen_of((self._places.records / f"{project}.json").stat())

    def _record_upload_times(self, seen: State, filenames: set[str], compact: bool) -> None:
        """Have the table of upload times complete: what was found out just now, and what it lacks, it gets."""
        table = self._pages.upload_times
        try:
            self._pages.recorder.finish()
            if compact or not seen.upload_times or seen.upload_times != table.seen():
                recorded, unreadable = table.read()
                table.add(self._known_times(filenames - recorded.keys()))
                if unreadable:
                    complain(f"lines that could not be read were dropped: {unreadable}")
                if compact or unreadable:
                    table.compact()
            seen.upload_times = table.seen()
        except OSError as error:
            complain(error.strerror or str(error))
            seen.upload_times = []

    def _known_times(self, filenames: set[str]) -> dict[str, Recorded]:
        """What the records of the pages know of files' upload times."""
        files_of, _strays = by_project(filenames)
        found = {}
        for project, names in files_of.items():
            known = record.load(self._places.records / f"{project}.json")
            for name in known.keys() & set(names):
                if time := known[name].uploaded:
                    found[name] = Recorded(time, known[name].sha256)
        return found

    def _out_of_step(self, seen: State) -> set[str]:
        """The projects that lack one of their pages, or have one too many; and the same for the root list."""
        names = [path.name for path in self._places.projects.iterdir() if not path.name.startswith(".")]
        expected = {f"{project}.{suffix}" for project in seen.newest for suffix in SUFFIXES}
        expected |= {f"{project}.gone" for project in self._pages.names() - seen.newest.keys()}
        misplaced = {name.partition(".")[0] for name in expected ^ set(names)}
        return misplaced | ((self._pages.listed() or set()) ^ seen.newest.keys())

    def check(self, skipped: Set[str] = frozenset()) -> list[str]:
        """Read every file again and compare. Returns a line for each that differs, is missing, torn, or unlisted.

        skipped: file names that nothing is said of. Raises OSError where a directory or record cannot be read.
        """
        files_of, strays = by_project(listing(self._places.packages))
        faults = dict.fromkeys(strays, "unlisted: not the file name of a wheel or sdist")
        paged = {path.stem for path in self._places.projects.glob("*.json")}
        recorded = {path.stem for path in self._places.records.glob("*.json")}
        times, about_times = self._upload_times()
        unrecorded = set()
        for project in {*files_of, *paged, *recorded}:
            known = record.load(self._places.records / f"{project}.json")
            on_page = self._pages.files_of(project)
            for name in {*known, *on_page, *files_of.get(project, [])}:
                fault = self._fault(name, known.get(name), on_page.get(name))
                if fault is None and times is not None and name in on_page:
                    fault = self._fault_of_time(name, times[name]) if name in times else None
                    unrecorded |= {name} - times.keys()
                if fault:
                    faults[name] = fault
        # What was uploaded meanwhile is recorded by now.
        for name in unrecorded - (self._upload_times()[0] or {}).keys() if unrecorded else ():
            faults[name] = "time: it is not recorded. Run: wheelhouse rebuild"
        faults |= about_times
        return [f"{name}: {faults[name]}" for name in sorted(faults.keys() - skipped)]

    def _upload_times(self) -> tuple[dict[str, Recorded] | None, dict[str, str]]:
        """What is recorded by file name, None if it cannot be read; and what is wrong with the table."""
        name = "/".join(self._places.uploaded.parts[-2:])
        try:
            times, unreadable = self._pages.upload_times.read()
        except OSError as error:
            return None, {name: f"it cannot be read: {error.strerror}"}
        lines = f"{unreadable} line{'s' if unreadable > 1 else ''} cannot be read. Run: wheelhouse rebuild"
        return times, {name: lines} if unreadable else {}

    def _fault(self, name: str, entry: Entry | None, listed: str | None) -> str | None:
        """What is wrong with a file, if anything. listed: its SHA-256 on the page, or None."""
        path = self._places.packages / name
        try:
            status = path.stat()
            if listed is None and entry is not None and entry.is_of(status) and entry.broken is not None:
                return f"torn: {entry.broken}"
            if listed is None:
                return "unlisted: it is there, and on no page. Run: wheelhouse rebuild"
            if record.sha256_of(path) != listed:
                return "differs: it is not the file that was uploaded"
        except FileNotFoundError:
            return "missing: it is listed, and not there" if entry or listed else None
        except PermissionError:
            return f"unlisted: {permissions.unreadable(path)}"
        return None

    def _fault_of_time(self, name: str, recorded: Recorded) -> str | None:
        """What is wrong with the own time of a file that is there, if anything."""
        try:
            own = time_of((self._places.packages / name).stat().st_mtime_ns)
        except FileNotFoundError:
            return None
        if own == recorded.time:
            return None
        return (
            f"time: it was uploaded at {recorded.time}, as the pages say, and the file's own time is {own}. "
            "Run: wheelhouse restore-times"
        )

    def restore_times(self) -> list[str]:
        """Set each file's own time to the recorded one. Returns a line for each that was left. Raises OSError."""
        left = {}
        for name, recorded in self._pages.upload_times.read()[0].items():
            path = self._places.packages / name
            try:
                status = path.stat()
                if time_of(status.st_mtime_ns) == recorded.time:
                    continue
                if record.sha256_of(path) == recorded.sha256:
                    os.utime(path, ns=(status.st_atime_ns, nanoseconds_of(recorded.time)))
                else:
                    left[name] = "it is not the file that was uploaded"
            except FileNotFoundError:
                continue
            except PermissionError:
                left[name] = permissions.not_permitted(path)
        return [f"{name}: its time was left: {left[name]}" for name in sorted(left)]
