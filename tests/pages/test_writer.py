"""Pages of single projects: what an upload and a removal write, and what they do not touch."""

import json
import os
import re
from pathlib import Path

import pytest
from support.archives import sdist, tarred, wheel
from support.pages import Site, count_reads, sha256
from wheelhouse.files import atomic
from wheelhouse.pages import file_records, writer

WHEEL = "foo-1.0-py3-none-any.whl"
SDIST = "foo-1.0.tar.gz"


def failing(error: OSError):
    """Return a function that always fails."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    return fail


EIO = OSError(5, "Input/output error")


def test_first_upload(site: Site) -> None:
    """A new project gets its pages, its metadata, and an entry on the root page."""
    site.upload(WHEEL, wheel())
    assert site.on_pages() == {WHEEL: sha256(wheel())}
    assert site.projects() == ["foo"]
    assert b"Name: foo" in site.read(f"metadata/{WHEEL}.metadata")
    assert site.paths.used_names.read_text() == "foo\n"
    assert site.stale_files() == []


def test_metadata_is_what_the_page_says(site: Site) -> None:
    """Installers verify the hash of the metadata."""
    site.upload(WHEEL, wheel())
    (file,) = json.loads(site.read("projects/foo.json"))["files"]
    assert file["core-metadata"] == {"sha256": sha256(site.read(f"metadata/{WHEEL}.metadata"))}


def test_no_metadata(site: Site) -> None:
    """If an sdist's metadata is not reliable, it is not served, and the page does not announce it."""
    site.upload(SDIST, sdist())
    (file,) = json.loads(site.read("projects/foo.json"))["files"]
    assert "core-metadata" not in file
    assert list((site.paths.pages / "metadata").iterdir()) == []


def test_metadata_goes_with_its_file(site: Site) -> None:
    """Metadata of a deleted file must not be served."""
    site.upload(WHEEL, wheel())
    site.remove(WHEEL)
    assert list((site.paths.pages / "metadata").iterdir()) == []


def test_metadata_of_a_replaced_file(site: Site) -> None:
    """The metadata is replaced together with the file."""
    reliable = tarred({"foo-1.0/PKG-INFO": "Metadata-Version: 2.2\nName: foo\n"})
    site.upload(SDIST, reliable)
    assert [path.name for path in (site.paths.pages / "metadata").iterdir()] == [f"{SDIST}.metadata"]
    site.upload(SDIST, sdist())
    assert list((site.paths.pages / "metadata").iterdir()) == []


def test_removal(site: Site) -> None:
    """After the last file of a project, the page is deleted, and the name is still never redirected."""
    site.upload(WHEEL, wheel())
    site.upload(SDIST, sdist())
    site.remove(WHEEL)
    assert site.on_pages() == {SDIST: sha256(sdist())}
    assert site.gone() == set()
    site.remove(SDIST)
    assert site.on_pages() == {}
    assert site.gone() == {"foo"}
    assert list((site.paths.pages / "records").iterdir()) == []


def test_restored_file_is_listed_again(site: Site) -> None:
    """A restored project is listed again, and its .gone marker is deleted."""
    for _ in range(2):
        site.upload(WHEEL, wheel())
        assert site.gone() == set()
        site.remove(WHEEL)
        assert site.gone() == {"foo"}
    assert site.paths.used_names.read_text() == "foo\n"


def test_gone_marker_is_written_before_the_page_is_deleted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without page and marker, the name would be redirected for a moment (dependency confusion)."""
    site.upload(WHEEL, wheel())
    seen = []
    remove = atomic.delete_if_exists
    page = site.paths.projects / "foo.json"

    def watch(path: Path) -> None:
        remove(path)
        if not page.exists():
            seen.append(site.gone())

    monkeypatch.setattr(writer, "delete_if_exists", watch)
    site.remove(WHEEL)
    assert seen
    assert [marks for marks in seen if marks != {"foo"}] == []


def test_page_is_written_before_the_gone_marker_is_deleted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds for a restored project."""
    site.upload(WHEEL, wheel())
    site.remove(WHEEL)
    seen = []
    remove = atomic.delete_if_exists
    monkeypatch.setattr(writer, "delete_if_exists", lambda path: seen.append(site.files("foo")) or remove(path))
    site.upload(WHEEL, wheel())
    assert seen == [{WHEEL: sha256(wheel())}]


def test_corrupt_files_do_not_use_a_name(site: Site) -> None:
    """A corrupt file does not make its project name a used name."""
    site.upload(WHEEL, b"corrupt")
    assert site.on_pages() == {}
    assert site.gone() == set()
    assert not site.paths.used_names.exists()


def test_lost_names(site: Site) -> None:
    """After a restore, the list of names may be stale: projects with a page are added to it."""
    site.upload(WHEEL, wheel())
    site.paths.used_names.unlink()
    site.remove(WHEEL)
    assert site.gone() == {"foo"}


def test_other_projects_are_not_changed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of an upload does not depend on other projects: their files are neither read nor written."""
    for number in range(20):
        site.upload(f"other{number}-1.0.tar.gz", sdist())
    site.upload(SDIST, sdist())
    touched = []
    for name in ("read_bytes", "read_text", "stat", "open"):
        method = getattr(Path, name)
        monkeypatch.setattr(
            Path, name, lambda path, *rest, _method=method, **more: touched.append(path) or _method(path, *rest, **more)
        )
    monkeypatch.setattr(os, "scandir", None)
    monkeypatch.setattr(os, "listdir", None)
    site.upload(WHEEL, wheel())
    assert touched
    assert [path for path in touched if "other" in path.name] == []
    assert site.paths.used_names not in touched


def test_recorded_files_are_not_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload to a project of a thousand files hashes only the new one."""
    site.upload(SDIST, sdist())
    read = count_reads(monkeypatch)
    site.upload(WHEEL, wheel())
    assert read == [WHEEL]
    site.put(SDIST, sdist("foo", "2.0"))
    site.pages.refresh("foo")
    assert read == [WHEEL, SDIST]
    assert site.on_pages() == site.on_disk()


def test_an_unchanged_page_keeps_its_time(site: Site) -> None:
    """Apache's ETag depends on time and size: an unchanged page is not sent again."""
    site.upload(WHEEL, wheel())
    names = [path for path in site.paths.pages.rglob("*") if path.is_file() and "locks" not in path.parts]
    for path in names:
        os.utime(path, (1, 1))
    before = {path: (path.stat().st_mtime, path.stat().st_ino) for path in names}
    site.pages.refresh("foo", [WHEEL])
    assert {path: (path.stat().st_mtime, path.stat().st_ino) for path in names} == before
    assert len(names) >= 9


def test_compressed_pages_are_the_same_bytes_each_time(site: Site) -> None:
    """By default, the gzip header contains the time."""
    site.upload(WHEEL, wheel())
    before = site.read("projects/foo.json.gz")
    (site.paths.projects / "foo.json.gz").unlink()
    site.pages.refresh("foo")
    assert site.read("projects/foo.json.gz") == before
    assert before[4:8] == b"\0\0\0\0"  # the time (RFC 1952, section 2.3)


def test_readers(site: Site) -> None:
    """Apache's group can read pages, other users cannot."""
    site.upload(WHEEL, wheel())
    modes = {path.name: path.stat().st_mode & 0o777 for path in site.paths.projects.iterdir()}
    assert set(modes.values()) == {0o640}


@pytest.mark.parametrize("damage", ["", "{", "[1]", "[{}]", '[{"filename": "x"}]', "null", "\0\0\0"])
def test_invalid_record(site: Site, damage: str) -> None:
    """The record is rebuilt, and the page still lists all files."""
    site.upload(WHEEL, wheel())
    (site.paths.records / "foo.json").write_text(damage)
    site.upload(SDIST, sdist())
    assert site.on_pages() == site.on_disk()


def test_a_lost_record(site: Site) -> None:
    """An upload to a project without a record keeps its other files on the page."""
    site.upload(WHEEL, wheel())
    (site.paths.records / "foo.json").unlink()
    site.upload(SDIST, sdist())
    assert site.on_pages() == site.on_disk()


@pytest.mark.parametrize("damage", [None, "", "{", "[]", '{"projects": [{}]}', '{"meta": {}}'])
def test_a_lost_root_list(site: Site, damage: str | None) -> None:
    """An upload writes all projects to the lost root page, not only its own."""
    site.upload("bar-1.0.tar.gz", sdist())
    site.upload(WHEEL, wheel())
    path = site.paths.root / "index.json"
    path.unlink() if damage is None else path.write_text(damage)
    site.upload("new-1.0.tar.gz", sdist())
    assert site.projects() == ["bar", "foo", "new"]


@pytest.mark.parametrize(
    "path", ["records/foo.json", "root/index.json", "packages/foo-1.0-py3-none-any.whl", "state/names.txt"]
)
def test_a_disk_that_fails(site: Site, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A read error is not a missing file: it is raised, and the pages are kept."""
    site.upload(WHEEL, wheel())
    before = site.on_pages()
    for name in ("read_text", "read_bytes", "stat"):
        method = getattr(Path, name)

        def read(found: Path, *rest: object, _method=method, **more: object) -> object:
            if str(found).endswith(path):
                raise EIO
            return _method(found, *rest, **more)

        monkeypatch.setattr(Path, name, read)
    with pytest.raises(OSError, match="Input/output error"):
        site.upload("foo-2.0.tar.gz" if "names" not in path else "bar-1.0.tar.gz", sdist())
    monkeypatch.undo()
    assert site.on_pages().items() >= before.items()


def test_a_file_that_cannot_be_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk error must not be recorded as a corrupt file."""
    site.upload(WHEEL, wheel())
    monkeypatch.setattr(file_records, "sha256_of", failing(EIO))
    with pytest.raises(OSError, match="Input/output error"):
        site.upload(SDIST, sdist())
    monkeypatch.undo()
    assert site.on_pages() == {WHEEL: sha256(wheel())}
    site.pages.refresh("foo", [SDIST])
    assert site.on_pages() == site.on_disk()


def test_a_file_that_may_not_be_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not readable is left out with a reason, and listed once it is readable."""
    site.upload(WHEEL, wheel())
    monkeypatch.setattr(file_records, "sha256_of", failing(PermissionError(13, "Permission denied")))
    site.put(SDIST, sdist())
    entries = site.pages.refresh("foo", [SDIST])
    assert [entry.broken is None for entry in entries] == [True, False]
    assert "it may not be read: it belongs to " in entries[1].broken
    assert "Run as root: " in entries[1].broken
    monkeypatch.undo()
    assert site.on_pages() == {WHEEL: sha256(wheel())}
    site.pages.refresh("foo")
    assert site.on_pages() == site.on_disk()


def test_no_directories_are_made(site: Site) -> None:
    """Creating directories is slow on cluster file systems, and prone to races."""
    before = sorted(path for path in site.home.rglob("*") if path.is_dir())
    for number in range(5):
        site.upload(f"project{number}-1.0-py3-none-any.whl", wheel())
    site.remove("project0-1.0-py3-none-any.whl")
    site.folder.rebuild()
    site.folder.check()
    assert sorted(path for path in site.home.rglob("*") if path.is_dir()) == before


@pytest.mark.parametrize("name", ["projects", "root", "records", "metadata", "locks"])
def test_a_directory_that_is_missing(site: Site, name: str) -> None:
    """The role creates the directory; here, a missing one is an error that contains its path."""
    site.paths.complete.unlink()
    (site.paths.pages / name).rmdir()
    with pytest.raises(FileNotFoundError, match=name):
        site.upload(WHEEL, wheel())


def test_durable(site: Site, quick_disk: list[str]) -> None:
    """After a 200 response, the page is durable; a rebuild of thousands of pages syncs once, in the end."""
    site.upload(WHEEL, wheel())
    assert quick_disk.count("fsync") >= 7
    quick_disk.clear()
    site.put("bar-1.0-py3-none-any.whl", wheel())
    site.folder.sync_changed()
    assert "sync" in quick_disk
    assert quick_disk.count("fsync") <= 4


def test_a_write_that_fails_leaves_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed write leaves no temporary file."""
    site.upload(WHEEL, wheel())
    before = site.on_pages()
    monkeypatch.setattr(Path, "replace", failing(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        site.upload(SDIST, sdist())
    monkeypatch.undo()
    assert site.stale_files() == []
    assert site.on_pages() == before


@pytest.mark.parametrize("others", [[], ["foo-bar", "afoo", "foo2"]], ids=["alone", "beside others"])
def test_a_root_list_that_lacks_a_project(site: Site, others: list[str]) -> None:
    """After a crash, the next upload adds the project to the root page. A name that contains it is a different one."""
    for project in ["foo", *others]:
        site.upload(f"{project.replace('-', '_')}-1.0.tar.gz", sdist(project))
    for name in ("index.json", "index.html"):
        path = site.paths.root / name
        path.write_bytes(re.sub(rb'(?m),?\{"name":"foo"\}|^<li><a href="foo/">foo</a></li>\n', b"", path.read_bytes()))
    assert "foo" not in site.projects()
    site.upload("foo-1.1.tar.gz", sdist("foo", "1.1"))
    assert site.projects() == sorted(["foo", *others])


def test_an_upload_leaves_the_root_list_alone(site: Site) -> None:
    """The root page is not written if it has the project: otherwise the cost would depend on the size of the index."""
    site.upload(SDIST, sdist())
    (site.paths.root / "index.html").unlink()
    site.upload("foo-1.1.tar.gz", sdist("foo", "1.1"))
    assert not (site.paths.root / "index.html").exists()
