"""Writes the pages of projects and the list of projects."""

import gzip
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from wheelhouse.config import Paths
from wheelhouse.distributions.reserved import is_reserved
from wheelhouse.files.atomic import delete_if_exists, write_atomically
from wheelhouse.files.locks import exclusive_lock, lock_path
from wheelhouse.pages import file_records, render, yanks
from wheelhouse.pages.file_records import FileDetails, FileRecord
from wheelhouse.pages.upload_times import UploadTimeRecorder, UploadTimes

# The files of a page.
SUFFIXES = ("json", "html", "json.gz", "html.gz")
# Higher levels make a list of names hardly smaller, and take twice as long.
GZIP_LEVEL = 4


class PageWriter:
    """The pages of one index, for any number of threads and processes."""

    def __init__(self, paths: Paths, durable: bool = True) -> None:
        """Name the paths. durable: fsync each page. Without it, the caller refreshes many and calls os.sync() once."""
        self._paths = paths
        self._durable = durable
        self.upload_times = UploadTimes(paths.upload_times, paths.locks / "uploaded")
        # A caller without durable writes new times with finish().
        self.recorder = UploadTimeRecorder(self.upload_times, immediate=durable)

    def refresh(
        self,
        project: str,
        added: Iterable[str] = (),
        update_root: bool = True,
        details: Mapping[str, FileDetails] | None = None,
    ) -> list[FileRecord]:
        """Rewrite the pages of one project, from its records and the names of added files.

        The cost does not depend on other projects. update_root: add the project to the list of projects or remove it;
        details: of files by name, which are then not read. Returns the records of all files, including broken ones.
        Raises OSError.
        """
        paths, details = self._paths, details or {}
        with exclusive_lock(lock_path(paths.locks, project)):
            before = file_records.load(self._record_path(project))
            # If the records are lost, the page still has the names.
            filenames = {*(before or self.files_on_page(project)), *added}
            records = dict(self._examine(before, filenames, details))
            records = self.recorder.with_times(records, details.keys())
            valid = [record for record in records.values() if record.broken is None]
            # The page appears or disappears.
            if not is_reserved(project) and bool(valid) != self._page(project, "json").exists():
                self._add_used_name(project)
            # Records before the page: if this is interrupted, sync.py sees the new records and refreshes again.
            if records and records != before:
                file_records.save(self._record_path(project), records, self._durable)
            self._write_project(project, valid)
            if update_root:
                self.update_root({project})
            if not records:
                delete_if_exists(self._record_path(project))
        return list(records.values())

    def _record_path(self, project: str) -> Path:
        return self._paths.records / f"{project}.json"

    def _page(self, project: str, suffix: str) -> Path:
        return self._paths.projects / f"{project}.{suffix}"

    def known_files(self, project: str) -> dict[str, FileRecord | None]:
        """Return the records of a project by filename; None for a file that is only on the page. Raises OSError."""
        return {**file_records.load(self._record_path(project))} or dict.fromkeys(self.files_on_page(project))

    def _examine(
        self, before: Mapping[str, FileRecord], filenames: Iterable[str], details: Mapping[str, FileDetails]
    ) -> Iterator[tuple[str, FileRecord]]:
        """Yield the name and record of each file that exists. Unchanged files are not read."""
        for filename in sorted(filenames):
            path = self._paths.packages / filename
            try:
                status = path.stat()
                record = before.get(filename)
                if record is None or not record.matches(status):
                    record = file_records.examine(path, self._paths.metadata, self._durable, details.get(filename))
                yield filename, record
            except FileNotFoundError:
                # If the file exists, something else is missing, such as a directory of the pages.
                if path.exists():
                    raise
                delete_if_exists(self._paths.metadata / f"{filename}.metadata")

    def _write_project(self, project: str, records: list[FileRecord]) -> None:
        page, gone = self._paths.projects / project, self._page(project, "gone")
        if not records:
            # Write the .gone marker first, so that the name is never redirected to PyPI in between (dependency
            # confusion).
            if project in self.used_names():
                write_atomically(gone, b"", self._durable)
            for suffix in SUFFIXES:
                delete_if_exists(self._page(project, suffix))
            return
        yanked = yanks.load(self._paths.yanked, self._paths.configured_yanks).get(project, {})
        self._write_page(
            page, render.project_json(project, records, yanked), render.project_html(project, records, yanked)
        )
        delete_if_exists(gone)

    def _write_page(self, page: Path, as_json: bytes, as_html: bytes) -> None:
        """Write the files of a page. Compressed ones first, so that an uncompressed one is never newer."""
        for suffix, content in (("html", as_html), ("json", as_json)):
            # mtime=0: the same page compresses to the same bytes.
            write_atomically(
                page.with_name(f"{page.name}.{suffix}.gz"), gzip.compress(content, GZIP_LEVEL, mtime=0), self._durable
            )
            write_atomically(page.with_name(f"{page.name}.{suffix}"), content, self._durable)

    def used_names(self) -> set[str]:
        """Return the names of all projects that ever had a file. Raises OSError."""
        try:
            return set(self._paths.used_names.read_text(encoding="ascii").split())
        except FileNotFoundError:
            return set()

    def _add_used_name(self, project: str) -> None:
        with exclusive_lock(self._paths.locks / "names"):
            if project not in self.used_names():
                with self._paths.used_names.open("a", encoding="ascii") as file:
                    file.write(f"{project}\n")
                    file.flush()
                    os.fsync(file.fileno())

    def listed_projects(self) -> set[str] | None:
        """Return the projects on the list of projects; None if it is missing or invalid. Raises OSError."""
        try:
            page = json.loads((self._paths.root / "index.json").read_bytes())
            return {project["name"] for project in page["projects"]}
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def _all_listed(self, projects: set[str]) -> bool:
        """Return whether some projects are on the list of projects, without parsing it.

        With thousands of projects, parsing would be most of the cost of an upload, and nearly all uploads are to a
        project that is listed.
        """
        try:
            page = (self._paths.root / "index.json").read_bytes()
        except FileNotFoundError:
            return False
        return all(render.root_entry(name) in page for name in projects)

    def files_on_page(self, project: str) -> dict[str, str]:
        """Return the SHA-256 of each file on a project's page, by filename; an empty dict if it is missing or invalid.

        Raises OSError.
        """
        try:
            page = json.loads(self._page(project, "json").read_bytes())
            return {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return {}

    def update_root(self, projects: set[str], force: bool = False) -> None:
        """Add some projects to the list of projects if they have a page, and remove them if they have none.

        force: rewrite the list even if nothing changes. Raises OSError.
        """
        index = self._paths.root / "index"
        with exclusive_lock(self._paths.locks / "root"):
            existing = {name for name in projects if self._page(name, "json").exists()}
            if not force and existing == projects and self._all_listed(projects):
                return
            listed = self.listed_projects()
            if listed is None:
                wanted = {path.stem for path in self._paths.projects.glob("*.json")}
            else:
                wanted = (listed - projects) | existing
            if force or wanted != listed:
                # Sorted once for both formats.
                names = sorted(wanted)
                self._write_page(index, render.root_json(names), render.root_html(names))
