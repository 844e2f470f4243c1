"""Reconciliation of the pages with the packages directory: copied, deleted, corrupt and lost files."""

import json
import os
from pathlib import Path

import pytest
from support.archives import sdist, tarred, wheel, with_entry
from support.pages import Site, count_reads, sha256
from wheelhouse.distributions import metadata
from wheelhouse.distributions.core_metadata import MAX_METADATA_SIZE
from wheelhouse.pages import file_records
from wheelhouse.pages import writer as site_module

WHEEL = "foo-1.0-py3-none-any.whl"
SDIST = "foo-1.0.tar.gz"
OTHER = "bar-1.0.tar.gz"


@pytest.fixture
def full(site: Site) -> Site:
    """Return a site with three copied files, and current pages."""
    for filename, content in ((WHEEL, wheel()), (SDIST, sdist()), (OTHER, sdist("bar"))):
        site.put(filename, content)
    assert site.folder.sync_changed() == []
    assert site.on_pages() == site.on_disk()
    return site


def test_an_empty_index(site: Site) -> None:
    """A new index has a root page and a landing page before its first upload."""
    assert site.folder.rebuild() == []
    assert site.projects() == []
    assert b"0 projects" in site.read("root/landing.html")


def test_copied_by_hand(full: Site) -> None:
    """Copied files appear, deleted files disappear, and overwritten files are read again."""
    full.put("new-1.0.tar.gz", sdist("new"))
    (full.paths.packages / OTHER).unlink()
    full.put(SDIST, sdist("foo", "1.1"))
    assert full.folder.sync_changed() == []
    assert full.on_pages() == full.on_disk()
    assert full.projects() == ["foo", "new"]
    assert full.gone() == {"bar"}


def test_renamed(full: Site) -> None:
    """A renamed file belongs to its new name."""
    (full.paths.packages / OTHER).rename(full.paths.packages / "baz-2.0.tar.gz")
    full.folder.sync_changed()
    assert full.on_pages() == full.on_disk()
    assert full.gone() == {"bar"}


def test_the_landing_page(full: Site) -> None:
    """The landing page lists all projects, each with its newest version."""
    full.put("foo-1.10.tar.gz", sdist("foo", "1.10"))
    full.put("foo-1.9.tar.gz", sdist("foo", "1.9"))
    (full.paths.packages / OTHER).unlink()
    full.folder.sync_changed()
    text = full.read("root/landing.html").decode()
    assert '<a href="simple/foo/">foo</a> <span class="version">1.10</span>' in text
    assert "bar" not in text
    assert "1 project<" in text


@pytest.mark.parametrize("again", [False, True], ids=["sync_changed", "rebuild"])
def test_unchanged_files_are_not_read_again(full: Site, monkeypatch: pytest.MonkeyPatch, again: bool) -> None:
    """A lost page, or a new release of the application, does not require all files to be read."""
    read = count_reads(monkeypatch)
    monkeypatch.setattr(file_records, "read_metadata", None)
    for path in (full.paths.projects / "foo.html", full.paths.records / ".state", full.paths.root / "index.json"):
        path.unlink()
    full.folder.rebuild() if again else full.folder.sync_changed()
    assert read == []
    assert full.on_pages() == full.on_disk()


def test_unchanged_projects_are_not_refreshed(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync once a minute writes no page of an unchanged project; only the marker gets a new time."""
    full.folder.sync_changed()
    monkeypatch.setattr(site_module.PageWriter, "refresh", None)
    os.utime(full.paths.complete, (0, 0))
    before = {path: path.stat().st_mtime_ns for path in full.paths.pages.rglob("*") if "locks" not in path.parts}
    assert full.folder.sync_changed() == []
    assert {path for path in before if path.stat().st_mtime_ns != before[path]} == {full.paths.complete}


def test_refreshes_changed_projects_only(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file among thousands requires the work of one project."""
    seen = []
    refresh = site_module.PageWriter.refresh
    monkeypatch.setattr(
        site_module.PageWriter,
        "refresh",
        lambda pages, project, *rest, **more: seen.append(project) or refresh(pages, project, *rest, **more),
    )
    full.put("foo-2.0.tar.gz", sdist())
    full.folder.sync_changed()
    assert seen == ["foo"]


def test_rebuild_one(full: Site) -> None:
    """One project can be rebuilt without the others."""
    for project in ("foo", "bar"):
        (full.paths.projects / f"{project}.json").write_text("{}")
    full.folder.rebuild("foo")
    assert full.files("foo") == {WHEEL: sha256(wheel()), SDIST: sha256(sdist())}
    assert full.read("projects/bar.json") == b"{}"


@pytest.mark.parametrize("content", [b"half an archive", b"", wheel()[:-20], sdist()], ids=["text", "0", "cut", "tar"])
def test_one_broken_file(full: Site, content: bytes) -> None:
    """The file is left out and reported; other files and projects are listed."""
    broken = "foo-2.0-py3-none-any.whl"
    full.put(broken, content)
    full.put("new-1.0.tar.gz", sdist())
    (line,) = full.folder.sync_changed()
    assert line.startswith(f"{broken}: left out: ")
    assert full.on_pages() == full.on_disk({broken})
    assert full.folder.sync_changed() == [line]
    assert full.folder.rebuild() == [line]
    assert full.on_pages() == full.on_disk({broken})


def test_replaced_corrupt_file_is_listed(full: Site) -> None:
    """A complete copy of the file is listed; a deleted file is no longer reported."""
    for filename in ("foo-2.0.tar.gz", "foo-3.0.tar.gz"):
        full.put(filename, sdist()[:-9])
    assert len(full.folder.sync_changed()) == 2
    full.put("foo-2.0.tar.gz", sdist())
    (full.paths.packages / "foo-3.0.tar.gz").unlink()
    assert full.folder.sync_changed() == []
    assert full.on_pages() == full.on_disk()


def test_all_of_a_project_is_broken(full: Site) -> None:
    """The project has no page, and its name is still never redirected."""
    full.put(OTHER, b"")
    assert len(full.folder.sync_changed()) == 1
    assert full.projects() == ["foo"]
    assert full.gone() == {"bar"}


@pytest.mark.parametrize("name", ["notes.txt", "foo-1.0.tar.gz.asc", "foo-1.0.exe", "FÖÖ-1.0.tar.gz", "foo 1.0.zip"])
def test_invalid_filenames_are_reported(full: Site, name: str) -> None:
    """A file that is not a distribution is on no page, and is reported."""
    full.put(name, b"x")
    assert full.folder.sync_changed() == [f"{name}: left out: not the file name of a wheel or sdist"]
    assert full.on_pages() == full.on_disk({name})


def test_no_files(full: Site) -> None:
    """Directories, broken links and dot files are ignored."""
    packages = full.paths.packages
    (packages / "foo-3.0.tar.gz").mkdir()
    (packages / "foo-4.0.tar.gz").symlink_to("nowhere")
    (packages / ".foo-5.0.tar.gz").write_bytes(sdist())
    (packages / "foo-6.0.tar.gz").symlink_to(SDIST)
    assert full.folder.sync_changed() == []
    assert full.files("foo") == {WHEEL: sha256(wheel()), SDIST: sha256(sdist()), "foo-6.0.tar.gz": sha256(sdist())}


def test_file_deleted_while_it_is_read(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A concurrent removal is not an error (race)."""
    path = full.put("foo-2.0.tar.gz", sdist())
    read = metadata.read_metadata

    def vanish(found: Path) -> metadata.ServedMetadata:
        path.unlink(missing_ok=True)
        return read(found)

    monkeypatch.setattr(file_records, "read_metadata", vanish)
    assert full.folder.sync_changed() == []
    assert full.on_pages() == full.on_disk()


def test_file_that_is_still_copied(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was read before its copy was complete is read again."""
    filename = "foo-2.0.tar.gz"
    full.put(filename, sdist()[:-30])
    read = metadata.read_metadata

    def grow(path: Path) -> metadata.ServedMetadata:
        try:
            return read(path)
        finally:
            full.put(filename, sdist())

    monkeypatch.setattr(file_records, "read_metadata", grow)
    assert len(full.folder.sync_changed()) == 1
    monkeypatch.undo()
    assert full.folder.sync_changed() == []
    assert full.on_pages() == full.on_disk()


def test_a_file_that_may_not_be_read(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported with the command, and appears once that has run, although its size and mtime are the same."""
    closed = "baz-2.0.tar.gz"
    sha256_of = file_records.sha256_of

    def refuse(path: Path) -> str:
        if path.name == closed:
            raise PermissionError(13, "Permission denied")
        return sha256_of(path)

    monkeypatch.setattr(file_records, "sha256_of", refuse)
    full.put(closed, sdist())
    full.put("new-1.0.tar.gz", sdist())
    for _ in range(2):
        (line,) = full.folder.sync_changed()
        assert line.startswith(f"{closed}: left out: ")
        assert "it may not be read: it belongs to " in line
        assert full.on_pages() == full.on_disk({closed})
    assert f"{closed}: unlisted: " in "".join(full.folder.check())
    monkeypatch.undo()
    assert full.folder.sync_changed() == []
    assert full.on_pages() == full.on_disk()


def test_a_disk_that_fails_on_one_file(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is raised in the end; other projects are written before, and the file is read again the next time."""
    sha256_of = file_records.sha256_of

    def fail(path: Path) -> str:
        if path.name == "baz-2.0.tar.gz":
            raise OSError(5, "Input/output error")
        return sha256_of(path)

    monkeypatch.setattr(file_records, "sha256_of", fail)
    full.put("baz-2.0.tar.gz", sdist())
    full.put("new-1.0.tar.gz", sdist())
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            full.folder.sync_changed()
        assert full.projects() == ["bar", "foo", "new"]
    monkeypatch.undo()
    assert full.folder.sync_changed() == []
    assert full.on_pages() == full.on_disk()


@pytest.mark.parametrize("work", ["sync_changed", "rebuild", "rebuild foo"])
def test_rebuilds_everything_without_the_marker(full: Site, work: str) -> None:
    """If pages and marker are lost, all pages are written again, whatever the saved state contains."""
    before = full.on_pages()
    full.paths.complete.unlink()
    for path in full.paths.projects.iterdir():
        path.unlink()
    name, _, project = work.partition(" ")
    assert getattr(full.folder, name)(*[project] if project else []) == []
    assert full.on_pages() == before
    assert full.paths.complete.read_bytes() == b""
    assert full.paths.complete.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("marked", [True, False])
def test_marks_the_pages_only_when_all_are_written(full: Site, monkeypatch: pytest.MonkeyPatch, marked: bool) -> None:
    """Incomplete pages get no marker; pages that were complete keep it, since all others are still served."""
    full.put("new-1.0.tar.gz", sdist("new"))
    if not marked:
        full.paths.complete.unlink()
    sha256_of = file_records.sha256_of

    def fail(path: Path) -> str:
        if path.name == "new-1.0.tar.gz":
            raise OSError(5, "Input/output error")
        return sha256_of(path)

    monkeypatch.setattr(file_records, "sha256_of", fail)
    if marked:
        os.utime(full.paths.complete, (0, 0))
    with pytest.raises(OSError, match="Input/output error"):
        full.folder.sync_changed()
    assert full.paths.complete.exists() is marked
    # Monitoring reads the time of the last complete reconciliation.
    assert not marked or full.paths.complete.stat().st_mtime == 0
    monkeypatch.undo()
    assert full.folder.sync_changed() == []
    assert full.paths.complete.exists()


def test_writes_the_marker_last(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages are durable before the marker is written: after a crash in between, they are written again."""
    full.paths.complete.unlink()

    def crash() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "sync", crash)
    with pytest.raises(KeyboardInterrupt):
        full.folder.rebuild()
    assert not full.paths.complete.exists()
    assert full.on_pages() == full.on_disk()


def test_uploads_do_not_mark_the_pages(site: Site) -> None:
    """One project's pages are not all pages."""
    site.paths.complete.unlink()
    site.upload(WHEEL, wheel())
    assert not site.paths.complete.exists()


def test_a_packages_directory_that_cannot_be_read(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreadable directory is not treated as empty: no file is removed from a page."""
    before = full.on_pages()

    def fail(_directory: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "scandir", fail)
    for work in (full.folder.sync_changed, full.folder.rebuild, full.folder.check):
        with pytest.raises(OSError, match="Input/output error"):
            work()
    monkeypatch.undo()
    full.paths.packages.rename(full.paths.packages.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError):
        full.folder.sync_changed()
    assert full.on_pages() == before


LOSSES = [
    "projects/foo.json",
    "projects/foo.html",
    "projects/foo.json.gz",
    "projects/foo.html.gz",
    "projects/old.gone",
    "root/index.json",
    "root/index.html",
    "root/index.json.gz",
    "root/landing.html",
    "records/foo.json",
    "records/.state",
]


@pytest.mark.parametrize("again", [False, True], ids=["sync_changed", "rebuild"])
@pytest.mark.parametrize("loss", LOSSES)
def test_restores_lost_pages(full: Site, loss: str, again: bool) -> None:
    """Every file of the pages can be derived from the data, and is written again."""
    full.upload("old-1.0.tar.gz", sdist())
    full.remove("old-1.0.tar.gz")
    full.folder.sync_changed()
    path = full.paths.pages / loss
    before = path.read_bytes()
    path.unlink()
    full.folder.rebuild() if again else full.folder.sync_changed()
    assert json.loads(path.read_bytes())["files"] if loss.endswith(".state") else path.read_bytes() == before
    assert full.on_pages() == full.on_disk()


@pytest.mark.parametrize(
    "path", ["projects/foo.json", "projects/foo.html", "projects/foo.html.gz", "root/index.html", "root/index.json"]
)
def test_restores_corrupt_pages(full: Site, path: str) -> None:
    """A modified page is replaced by the next rebuild."""
    (full.paths.pages / path).write_bytes(b"{}")
    full.folder.rebuild()
    assert full.on_pages() == full.on_disk()


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"files": {}, "what": 1}'])
def test_invalid_state(full: Site, text: str) -> None:
    """Without a valid saved state, all files are compared, as for the first time."""
    (full.paths.records / ".state").write_text(text)
    full.put("new-1.0.tar.gz", sdist())
    assert full.folder.sync_changed() == []
    assert full.on_pages() == full.on_disk()


def test_all_pages_are_lost(full: Site) -> None:
    """A backup needs the data only: pages are derived from it, and so are the names that are never redirected."""
    full.upload("old-1.0.tar.gz", sdist())
    full.remove("old-1.0.tar.gz")
    for path in full.paths.pages.rglob("*"):
        if path.is_file():
            path.unlink()
    assert full.folder.rebuild() == []
    assert full.on_pages() == full.on_disk()
    assert full.gone() == {"old"}


def test_removes_a_wrong_entry_of_the_root_list(full: Site) -> None:
    """A project without a file is removed from the root page."""
    index = full.paths.root / "index.json"
    index.write_bytes(index.read_bytes().replace(b'"bar"', b'"bar"},{"name":"phantom"'))
    full.folder.sync_changed()
    assert full.projects() == ["bar", "foo"]


def test_uploaded_and_deleted_between_two_runs(full: Site) -> None:
    """A file that was uploaded and then deleted by hand, between two syncs, is removed from the page."""
    full.upload("foo-2.0.tar.gz", sdist())
    (full.paths.packages / "foo-2.0.tar.gz").unlink()
    full.folder.sync_changed()
    assert full.on_pages() == full.on_disk()
    full.upload("new-1.0.tar.gz", sdist())
    (full.paths.packages / "new-1.0.tar.gz").unlink()
    full.folder.sync_changed()
    assert full.on_pages() == full.on_disk()
    assert full.gone() == {"new"}


def test_deletes_stale_metadata(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash left metadata without a file record, and the file was deleted: the metadata is stale."""
    kept = sorted(path.name for path in full.paths.metadata.iterdir())
    full.put("foo-2.0-py3-none-any.whl", wheel())
    monkeypatch.setattr(file_records, "save", None)
    with pytest.raises(TypeError):
        full.pages.refresh("foo", ["foo-2.0-py3-none-any.whl"])
    monkeypatch.undo()
    (full.paths.packages / "foo-2.0-py3-none-any.whl").unlink()
    full.folder.sync_changed()
    assert sorted(path.name for path in full.paths.metadata.iterdir()) == kept


def test_check_reports_nothing(full: Site) -> None:
    """A correct index has no findings, also after an upload before the next sync."""
    full.upload("foo-2.0.tar.gz", sdist())
    assert full.folder.check() == []


def test_check_changes_nothing(full: Site) -> None:
    """The check changes nothing."""
    full.put("new-1.0.tar.gz", sdist())
    before = {path: path.stat().st_mtime_ns for path in full.home.rglob("*") if path.is_file()}
    assert full.folder.check()
    assert {path: path.stat().st_mtime_ns for path in full.home.rglob("*") if path.is_file()} == before


def keep_time(path: Path, content: bytes) -> None:
    """Change a file without a change of its size and modification time."""
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_check_reports_faults(full: Site) -> None:
    """All faulty files are reported in one run, each once, with the fault."""
    packages = full.paths.packages
    for filename in ("truncated-1.0.tar.gz", "gone-1.0.tar.gz", "rotten-1.0.tar.gz", "short-1.0.tar.gz"):
        full.put(filename, sdist())
    full.put("truncated-1.0.tar.gz", sdist()[:-5])
    full.folder.sync_changed()
    (packages / "gone-1.0.tar.gz").unlink()
    keep_time(packages / "rotten-1.0.tar.gz", sdist()[:-1] + b"!")
    full.put("short-1.0.tar.gz", b"")
    full.put("late-1.0.tar.gz", sdist())
    full.put("notes.txt", b"")
    lines = full.folder.check()
    assert [": ".join(line.split(": ")[:2]) for line in lines] == [
        "gone-1.0.tar.gz: missing",
        "late-1.0.tar.gz: unlisted",
        "notes.txt: unlisted",
        "rotten-1.0.tar.gz: differs",
        "short-1.0.tar.gz: differs",
        "truncated-1.0.tar.gz: corrupt",
    ]


def test_check_reads_everything(full: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is read again: its digest at the upload says nothing about the disk now."""
    read = count_reads(monkeypatch)
    full.folder.check()
    assert sorted(read) == sorted([WHEEL, SDIST, OTHER])


@pytest.mark.parametrize("loss", ["projects/foo.json", "records/foo.json"])
def test_check_looks_at_the_page(full: Site, loss: str) -> None:
    """A file that is recorded but not on its page is reported."""
    (full.paths.pages / loss).unlink()
    lines = full.folder.check()
    unlisted = loss.startswith("projects")
    assert [line.partition(":")[0] for line in lines] == ([WHEEL, SDIST] if unlisted else [])
    assert all("Run: wheelhouse rebuild" in line for line in lines)


def test_a_removed_file_on_a_page(full: Site) -> None:
    """A stale page offers a file that does not exist, and no record contains it."""
    (full.paths.packages / OTHER).unlink()
    (full.paths.records / "bar.json").unlink()
    assert full.folder.check() == [f"{OTHER}: missing: it is listed, and does not exist"]


def test_core_metadata_too_large(full: Site) -> None:
    """A wheel with too large metadata is left out, and its metadata is not read into memory."""
    size = (MAX_METADATA_SIZE + 1).to_bytes(4, "little")
    full.put("foo-2.0-py3-none-any.whl", with_entry(wheel(), "foo-1.0.dist-info/METADATA", 24, size))
    (line,) = full.folder.sync_changed()
    assert "its metadata is larger than 1048576 bytes" in line


def test_an_sdist_with_reliable_metadata(full: Site) -> None:
    """A copied sdist gets the same page as an uploaded one."""
    full.put("foo-2.0.tar.gz", tarred({"foo-2.0/PKG-INFO": "Metadata-Version: 2.2\nName: foo\n"}))
    full.folder.sync_changed()
    assert full.read("metadata/foo-2.0.tar.gz.metadata").startswith(b"Metadata-Version: 2.2")
