"""Which pages there are, and when they are written."""

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wheelhouse.pages import record, render, yanks
from wheelhouse.pages.disk import lock_of, only_writer, remove, write_atomically
from wheelhouse.pages.record import Entry, Known
from wheelhouse.pages.upload_times import Recorder, UploadTimes
from wheelhouse.reserved import is_reserved

# The forms of a page.
SUFFIXES = ("json", "html", "json.gz", "html.gz")
# Of gzip. More of it makes a list of names hardly smaller, and takes twice as long.
LEVEL = 4


@dataclass(frozen=True)
class Places:
    """Directories and files of an index, and its address. All directories exist already: none is ever made here."""

    packages: Path
    pages: Path
    names: Path
    uploaded: Path
    yanked: Path
    yanked_settings: Path
    url: str

    @property
    def projects(self) -> Path:
        """<project>.html and .json, each with a compressed twin; <project>.gone for those without a file."""
        return self.pages / "projects"

    @property
    def complete(self) -> Path:
        """The marker of pages that are complete. Without it Apache serves none, and redirects nobody elsewhere."""
        return self.projects / ".complete"

    @property
    def root(self) -> Path:
        return self.pages / "root"

    @property
    def metadata(self) -> Path:
        return self.pages / "metadata"

    @property
    def records(self) -> Path:
        return self.pages / "records"

    @property
    def locks(self) -> Path:
        return self.pages / "locks"

    @property
    def written(self) -> tuple[Path, ...]:
        """The directories whose files are replaced by others."""
        return (self.projects, self.root, self.metadata, self.records, self.names.parent)


class Pages:
    """The pages of one index."""

    def __init__(self, places: Places, durable: bool = True):
        """durable: pages are on the disk when a method returns. Who refreshes many calls os.sync() instead."""
        self._places = places
        self._durable = durable
        self.upload_times = UploadTimes(places.uploaded, places.locks / "uploaded")
        # Whoever refreshes many writes those that are new with finish().
        self.recorder = Recorder(self.upload_times, at_once=durable)

    def refresh(
        self,
        project: str,
        arrived: Iterable[str] = (),
        listing: bool = True,
        received: Mapping[str, Known] | None = None,
    ) -> list[Entry]:
        """Write the pages of one project anew, from its record and the names of files that have arrived.

        What this costs does not depend on the other projects. listing: put it on the root list or take it off, too;
        received: what is known of files by name, so that they need not be read.
        Returns the entries of all its files, the broken ones among them. Raises OSError.
        """
        places = self._places
        with only_writer(lock_of(places.locks, project)):
            known = record.load(self._record(project))
            # Where the record is lost, the page still tells.
            filenames = {*(known or self.files_of(project)), *arrived}
            entries = dict(self._examined(known, filenames, received or {}))
            entries = self.recorder.completed(entries, received or {})
            sound = [entry for entry in entries.values() if entry.broken is None]
            # Where a page comes or goes.
            if not is_reserved(project) and bool(sound) != self._page(project, "json").exists():
                self._remember_name(project)
            # The record before the page: what was not finished is seen by it (folder.py).
            if entries and entries != known:
                record.save(self._record(project), entries, self._durable)
            self._write_project(project, sound)
            if listing:
                self.list_projects({project})
            if not entries:
                remove(self._record(project))
        return list(entries.values())

    def _record(self, project: str) -> Path:
        return self._places.records / f"{project}.json"

    def _page(self, project: str, suffix: str) -> Path:
        return self._places.projects / f"{project}.{suffix}"

    def known(self, project: str) -> dict[str, Entry | None]:
        """A project's files by name, as far as they are known; None for one that the page alone tells of.

        Raises OSError.
        """
        return record.load(self._record(project)) or dict.fromkeys(self.files_of(project))

    def _examined(
        self, known: dict[str, Entry], filenames: Iterable[str], received: Mapping[str, Known]
    ) -> Iterator[tuple[str, Entry]]:
        for filename in sorted(filenames):
            path = self._places.packages / filename
            try:
                status = path.stat()
                entry = known.get(filename)
                if entry is None or not entry.is_of(status):
                    entry = record.examine(path, self._places.metadata, self._durable, received.get(filename))
                yield filename, entry
            except FileNotFoundError:
                # Something else might be missing: a directory of the pages.
                if path.exists():
                    raise
                remove(self._places.metadata / f"{filename}.metadata")

    def _write_project(self, project: str, entries: list[Entry]) -> None:
        page, gone = self._places.projects / project, self._page(project, "gone")
        if not entries:
            # The mark first: there is no moment in which the name could be anybody's.
            if project in self.names():
                write_atomically(gone, b"", self._durable)
            for suffix in SUFFIXES:
                remove(self._page(project, suffix))
            return
        yanked = yanks.load(self._places.yanked, self._places.yanked_settings).get(project, {})
        self._write_page(
            page, render.project_json(project, entries, yanked), render.project_html(project, entries, yanked)
        )
        remove(gone)

    def _write_page(self, page: Path, as_json: bytes, as_html: bytes) -> None:
        """Write a page in its forms. The compressed ones come first: what is served without them is never newer."""
        for suffix, content in (("html", as_html), ("json", as_json)):
            # Without a time in it, the same page gives the same bytes.
            write_atomically(
                page.with_name(f"{page.name}.{suffix}.gz"), gzip.compress(content, LEVEL, mtime=0), self._durable
            )
            write_atomically(page.with_name(f"{page.name}.{suffix}"), content, self._durable)

    def names(self) -> set[str]:
        """The names of all projects that ever had a file here."""
        try:
            return set(self._places.names.read_text(encoding="ascii").split())
        except FileNotFoundError:
            return set()

    def _remember_name(self, project: str) -> None:
        with only_writer(self._places.locks / "names"):
            if project not in self.names():
                with self._places.names.open("a", encoding="ascii") as file:
                    file.write(f"{project}\n")
                    file.flush()
                    os.fsync(file.fileno())

    def listed(self) -> set[str] | None:
        """The projects of the root list; None if it is lost. Raises OSError."""
        try:
            page = json.loads((self._places.root / "index.json").read_bytes())
            return {project["name"] for project in page["projects"]}
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def _all_listed(self, projects: set[str]) -> bool:
        """Whether the root list has these projects, as far as can be told without taking it apart.

        That would be most of what an upload costs, where there are thousands, and nearly all are of a project that is
        on it.
        """
        try:
            page = (self._places.root / "index.json").read_bytes()
        except FileNotFoundError:
            return False
        return all(render.root_entry(name) in page for name in projects)

    def files_of(self, project: str) -> dict[str, str]:
        """The SHA-256 by name of the files on a project's page; none if it is lost. Raises OSError."""
        try:
            page = json.loads(self._page(project, "json").read_bytes())
            return {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return {}

    def list_projects(self, projects: set[str], anew: bool = False) -> None:
        """Put those of some projects that have a page on the root list, and take the others off it.

        anew: write it even though they are on it, or off it, already.
        """
        index = self._places.root / "index"
        with only_writer(self._places.locks / "root"):
            there = {name for name in projects if self._page(name, "json").exists()}
            if not anew and there == projects and self._all_listed(projects):
                return
            listed = self.listed()
            if listed is None:
                wanted = {path.stem for path in self._places.projects.glob("*.json")}
            else:
                wanted = (listed - projects) | there
            if anew or wanted != listed:
                # In order once, and not for each of its forms.
                wanted = sorted(wanted)
                self._write_page(index, render.root_json(wanted), render.root_html(wanted))
