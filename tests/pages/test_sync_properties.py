"""Property test: the pages match the directory after any sequence of uploads, removals, copies, yanks and crashes."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from packaging.utils import canonicalize_version
from support.archives import tarred, wheel, zipped
from support.pages import Site
from wheelhouse.distributions.filenames import parse_filename, parse_project
from wheelhouse.pages import file_records, writer, yanks
from wheelhouse.pages.upload_times import format_time

FILES = [
    "aa-1.0-py3-none-any.whl",
    "aa-1.0.tar.gz",
    "AA-1.1.zip",
    "bb_c-1.0-py3-none-any.whl",
    "Bb.C-1.0.0.tar.gz",
    "dd-2.0.tar.gz",
]
STRAY = "notes.txt"
PKG_INFO = "Metadata-Version: 2.2\nName: x\nVersion: {}\n"


def sound(filename: str, variant: int) -> bytes:
    """Return a valid distribution of the type in its name."""
    if filename.endswith(".whl"):
        return wheel("x", str(variant))
    text = PKG_INFO.format(variant) if variant else ""
    return (tarred if filename.endswith(".gz") else zipped)({"x-1.0/PKG-INFO": text})


class Crash(BaseException):
    """The process ends here."""


class Crashing:
    """End the process at the n-th change of the disk, before or after the change."""

    def __init__(self, countdown: int, after: bool):
        self._countdown, self._after = countdown, after

    def wrap(self, change: Callable) -> Callable:
        """Return a function that counts a change."""

        def counting(*arguments: object) -> None:
            self._countdown -= 1
            if self._countdown == 0 and not self._after:
                raise Crash
            change(*arguments)
            if self._countdown == 0:
                raise Crash

        return counting


class AnySequence(RuleBasedStateMachine):
    """An index with any sequence of events, checked after each sync_changed and rebuild."""

    def __init__(self):
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.site = Site(Path(self._directory.name) / "site")
        self.directories = sorted(path for path in self.site.home.rglob("*") if path.is_dir())
        self.broken: set[str] = set()
        self.lived: set[str] = set()
        self.yanked: dict[tuple[str, str], str] = {}
        self.is_corrupt = False
        self.in_step = False
        # SHA-256 and upload time by file name, as far as they are determined.
        self.uploaded: dict[str, tuple[str, str]] = {}

    def teardown(self) -> None:
        """Clean up."""
        self._directory.cleanup()

    def files(self) -> list[str]:
        """Return the names of the existing files."""
        return [path.name for path in self.site.paths.packages.iterdir()]

    def wanted(self) -> dict[str, str]:
        """Return the expected content of the pages."""
        return self.site.on_disk(self.broken | {STRAY})

    @rule(filename=st.sampled_from(FILES), variant=st.integers(0, 2), truncated=st.booleans())
    def copy(self, filename: str, variant: int, truncated: bool) -> None:
        """Copy a file by hand, possibly over another one, possibly incomplete."""
        content = sound(filename, variant)
        self.site.put(filename, content[: len(content) // 2] if truncated else content)
        self.broken = self.broken | {filename} if truncated else self.broken - {filename}
        self.in_step = False

    @rule()
    def stray(self) -> None:
        """Copy a file that is not a distribution."""
        self.site.put(STRAY, b"x")
        self.in_step = False

    @rule(filename=st.sampled_from([*FILES, STRAY]))
    def take(self, filename: str) -> None:
        """Delete a file by hand."""
        (self.site.paths.packages / filename).unlink(missing_ok=True)
        self.broken -= {filename}
        self.in_step = False

    @rule(filename=st.sampled_from(FILES), variant=st.integers(0, 2))
    def upload(self, filename: str, variant: int) -> None:
        """Upload a file."""
        if filename in self.files():
            return
        self.site.upload(filename, sound(filename, variant))
        self.broken -= {filename}
        if not self.is_corrupt:
            assert filename in self.site.files(parse_project(filename))
        self.lived.add(parse_project(filename))

    @rule(filename=st.sampled_from(FILES))
    def remove(self, filename: str) -> None:
        """Remove a file."""
        if filename not in self.files():
            return
        self.site.remove(filename)
        self.broken -= {filename}

    @rule(
        filename=st.sampled_from(FILES),
        variant=st.integers(0, 2),
        countdown=st.integers(1, 12),
        after=st.booleans(),
    )
    def crash(self, filename: str, variant: int, countdown: int, after: bool) -> None:
        """Crash during an upload, or during a removal if the file exists."""
        crashing = Crashing(countdown, after)
        with pytest.MonkeyPatch.context() as patch:
            for module in (writer, file_records):
                for name in ("write_atomically", "delete_if_exists"):
                    patch.setattr(module, name, crashing.wrap(getattr(module, name)))
            try:
                (self.remove if filename in self.files() else self.upload)(
                    filename=filename, **({} if filename in self.files() else {"variant": variant})
                )
            except Crash:
                self.broken -= {filename}
                self.in_step = False
                self.uploaded.pop(filename, None)

    @rule(name=st.sampled_from(["projects/.x7f3a", "root/.x7f3a", "records/.x7f3a", "metadata/.x7f3a"]))
    def leave_behind(self, name: str) -> None:
        """Leave a temporary file of a killed process."""
        (self.site.paths.pages / name).write_bytes(b"half a pa")

    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        """Delete one of the files that are derived from the data."""
        pages = self.site.paths.pages
        kept = {"locks", "metadata"}
        found = sorted(path for path in pages.rglob("*") if path.is_file() and path.parent.name not in kept)
        if found:
            data.draw(st.sampled_from(found)).unlink()
            self.in_step, self.is_corrupt = False, True

    @rule(data=st.data(), content=st.sampled_from([b"", b"{", b"[]", b"{}"]))
    def corrupt_a_record(self, data: st.DataObject, content: bytes) -> None:
        """Overwrite a record with invalid content."""
        found = sorted(self.site.paths.records.iterdir())
        if found:
            data.draw(st.sampled_from(found)).write_bytes(content)
            self.in_step, self.is_corrupt = False, True

    @rule(content=st.sampled_from([None, b"", b"nonsense", b"half a line"]))
    def corrupt_the_upload_times(self, content: bytes | None) -> None:
        """Delete or corrupt the table of upload times. The records of some pages may still have the times."""
        table = self.site.paths.upload_times
        if content is None:
            table.unlink(missing_ok=True)
        elif table.exists():
            table.write_bytes(table.read_bytes() + content if content else b"")
        if self.is_corrupt or not self.in_step:
            self.uploaded.clear()
        self.in_step = False

    @precondition(lambda self: not self.is_corrupt)
    @rule(filename=st.sampled_from(FILES), version=st.sampled_from(["1.0", "1", "v1.1"]), reason=st.none() | st.text())
    def yank(self, filename: str, version: str, reason: str | None) -> None:
        """Yank or unyank a release."""
        project = parse_project(filename)
        places = self.site.paths
        yanks.change(places.yanked, places.locks, project, version, reason)
        self.site.pages.refresh(project)
        key = (project, canonicalize_version(version))
        self.yanked.pop(key, None)
        if reason is not None:
            self.yanked[key] = reason

    @rule()
    def sync_changed(self) -> None:
        """Sync changed projects, as the timer and the path unit do."""
        self.look(self.site.folder.sync_changed())

    @rule()
    def rebuild(self) -> None:
        """Rebuild all pages."""
        self.look(self.site.folder.rebuild())

    def look(self, lines: list[str]) -> None:
        """Compare all pages, records and reports."""
        self.is_corrupt, self.in_step = False, True
        left_out = {STRAY, *self.broken} & set(self.files())
        assert {line.partition(":")[0] for line in lines} == left_out
        faults = self.site.folder.check()
        about_times = {line.partition(":")[0] for line in faults if ": time: " in line}
        assert {line.partition(":")[0] for line in faults} - about_times == left_out
        assert about_times == self.compare_upload_times()
        self.lived |= set(self.site.projects())

    def compare_upload_times(self) -> set[str]:
        """Compare the table with the expected times. Returns the files whose own time differs."""
        table, unreadable = self.site.pages.upload_times.read()
        assert unreadable == 0
        others = set()
        for filename, digest in self.wanted().items():
            own = format_time((self.site.paths.packages / filename).stat().st_mtime_ns)
            before = self.uploaded.get(filename)
            if before is not None and before[0] == digest:
                assert table[filename] == (before[1], digest)
            self.uploaded[filename] = (digest, table[filename].time)
            if own != table[filename].time:
                others.add(filename)
        return others

    @invariant()
    def pages_equal_folder(self) -> None:
        """Compare the pages with the valid files: hashes, yanks and metadata."""
        if not self.in_step:
            return
        site, wanted = self.site, self.wanted()
        assert site.on_pages() == wanted
        projects = {parse_project(filename) for filename in wanted}
        assert site.projects() == sorted(projects)
        names = set(site.paths.used_names.read_text().split()) if site.paths.used_names.exists() else set()
        assert self.lived | projects <= names
        assert site.gone() == names - projects
        served = {}
        for project in projects:
            for file in json.loads(site.read(f"projects/{project}.json"))["files"]:
                version = canonicalize_version(str(parse_filename(file["filename"])[1]))
                reason = self.yanked.get((project, version))
                digest, time = self.uploaded.get(file["filename"], (None, None))
                assert file["upload-time"] == time or digest != wanted[file["filename"]]
                assert file.get("yanked") == (None if reason is None else reason or True)
                if "core-metadata" in file:
                    served[f"{file['filename']}.metadata"] = file["core-metadata"]["sha256"]
        there = [path for path in (site.paths.pages / "metadata").iterdir() if not path.name.startswith(".")]
        assert {path.name: file_records.sha256_of(path) for path in there} == served
        assert sorted(path for path in site.home.rglob("*") if path.is_dir()) == self.directories


AnySequence.TestCase.settings = settings(settings.get_profile("kit"), max_examples=40, stateful_step_count=15)
TestAnySequence = AnySequence.TestCase
