"""Pages of single projects: what an upload and a removal write, and what they do not touch."""

import json
import os
import re
from pathlib import Path

import pytest
from support.archives import sdist, tarred, wheel
from support.pages import Site, sha256
from wheelhouse.files import atomic
from wheelhouse.pages import file_records, writer

WHEEL = "foo-1.0-py3-none-any.whl"
SDIST = "foo-1.0.tar.gz"


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each file that is read as a whole adds its name."""
    read: list[str] = []
    sha256_of = file_records.sha256_of
    monkeypatch.setattr(file_records, "sha256_of", lambda path: read.append(path.name) or sha256_of(path))
    return read


def failing(error: OSError):
    """Return what fails, whatever it is asked."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    return fail


EIO = OSError(5, "Input/output error")


def test_first_upload(site: Site) -> None:
    """A new project has its pages, its metadata and its place on the root list."""
    site.upload(WHEEL, wheel())
    assert site.on_pages() == {WHEEL: sha256(wheel())}
    assert site.projects() == ["foo"]
    assert b"Name: foo" in site.read(f"metadata/{WHEEL}.metadata")
    assert site.paths.used_names.read_text() == "foo\n"
    assert site.leftovers() == []


def test_metadata_is_what_the_page_says(site: Site) -> None:
    """Installers compare the metadata with its hash before they believe it."""
    site.upload(WHEEL, wheel())
    (file,) = json.loads(site.read("projects/foo.json"))["files"]
    assert file["core-metadata"] == {"sha256": sha256(site.read(f"metadata/{WHEEL}.metadata"))}


def test_no_metadata(site: Site) -> None:
    """Where an sdist's metadata may not be relied on, there is none to be had, and none is promised."""
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
    """A file that takes another's place takes its metadata with it."""
    reliable = tarred({"foo-1.0/PKG-INFO": "Metadata-Version: 2.2\nName: foo\n"})
    site.upload(SDIST, reliable)
    assert [path.name for path in (site.paths.pages / "metadata").iterdir()] == [f"{SDIST}.metadata"]
    site.upload(SDIST, sdist())
    assert list((site.paths.pages / "metadata").iterdir()) == []


def test_removal(site: Site) -> None:
    """Of two files one stays; after the last the page goes, and the name stays known as the index's own."""
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
    """A name that comes back is there, and not gone."""
    for _ in range(2):
        site.upload(WHEEL, wheel())
        assert site.gone() == set()
        site.remove(WHEEL)
        assert site.gone() == {"foo"}
    assert site.paths.used_names.read_text() == "foo\n"


def test_gone_marker_is_written_before_the_page_is_deleted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a moment without page and mark, the name would be looked for elsewhere, and might be found."""
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
    """The same on the way back."""
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
    """The list of names may be older than the pages, after a restore: what has a page was here."""
    site.upload(WHEEL, wheel())
    site.paths.used_names.unlink()
    site.remove(WHEEL)
    assert site.gone() == {"foo"}


def test_other_projects_are_not_changed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an upload costs does not depend on other projects: nothing of theirs is read or written."""
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
    """A project of a thousand files must not be hashed as a whole for each one that is added."""
    site.upload(SDIST, sdist())
    read = count_reads(monkeypatch)
    site.upload(WHEEL, wheel())
    assert read == [WHEEL]
    site.put(SDIST, sdist("foo", "2.0"))
    site.pages.refresh("foo")
    assert read == [WHEEL, SDIST]
    assert site.on_pages() == site.on_disk()


def test_an_unchanged_page_keeps_its_time(site: Site) -> None:
    """Apache's ETag is made of time and size: a page that is the same is not sent again."""
    site.upload(WHEEL, wheel())
    names = [path for path in site.paths.pages.rglob("*") if path.is_file() and "locks" not in path.parts]
    for path in names:
        os.utime(path, (1, 1))
    before = {path: (path.stat().st_mtime, path.stat().st_ino) for path in names}
    site.pages.refresh("foo", [WHEEL])
    assert {path: (path.stat().st_mtime, path.stat().st_ino) for path in names} == before
    assert len(names) >= 9


def test_compressed_pages_are_the_same_bytes_each_time(site: Site) -> None:
    """By default, the gzip header has the time."""
    site.upload(WHEEL, wheel())
    before = site.read("projects/foo.json.gz")
    (site.paths.projects / "foo.json.gz").unlink()
    site.pages.refresh("foo")
    assert site.read("projects/foo.json.gz") == before
    assert before[4:8] == b"\0\0\0\0"  # the time (RFC 1952, section 2.3)


def test_readers(site: Site) -> None:
    """Apache's group reads pages, and the world does not."""
    site.upload(WHEEL, wheel())
    modes = {path.name: path.stat().st_mode & 0o777 for path in site.paths.projects.iterdir()}
    assert set(modes.values()) == {0o640}


@pytest.mark.parametrize("damage", ["", "{", "[1]", "[{}]", '[{"filename": "x"}]', "null", "\0\0\0"])
def test_invalid_record(site: Site, damage: str) -> None:
    """It can all be found out again; and the page still tells which files there were."""
    site.upload(WHEEL, wheel())
    (site.paths.records / "foo.json").write_text(damage)
    site.upload(SDIST, sdist())
    assert site.on_pages() == site.on_disk()


def test_a_lost_record(site: Site) -> None:
    """An upload to a project whose record is gone must not empty the rest of its page."""
    site.upload(WHEEL, wheel())
    (site.paths.records / "foo.json").unlink()
    site.upload(SDIST, sdist())
    assert site.on_pages() == site.on_disk()


@pytest.mark.parametrize("damage", [None, "", "{", "[]", '{"projects": [{}]}', '{"meta": {}}'])
def test_a_lost_root_list(site: Site, damage: str | None) -> None:
    """The next upload must not make a list of one project of it."""
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
    """What cannot be read is not what is not there: the error is raised, and the pages stay as they are."""
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
    """Copied by root and closed to others: it is left out with a reason, and taken up once it may be read."""
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
    """On a cluster's file system a directory is what is slow, and what two makers quarrel about."""
    before = sorted(path for path in site.home.rglob("*") if path.is_dir())
    for number in range(5):
        site.upload(f"project{number}-1.0-py3-none-any.whl", wheel())
    site.remove("project0-1.0-py3-none-any.whl")
    site.folder.rebuild()
    site.folder.check()
    assert sorted(path for path in site.home.rglob("*") if path.is_dir()) == before


@pytest.mark.parametrize("name", ["projects", "root", "records", "metadata", "locks"])
def test_a_directory_that_is_missing(site: Site, name: str) -> None:
    """It is for the role to make; here it is an error that names it."""
    site.paths.complete.unlink()
    (site.paths.pages / name).rmdir()
    with pytest.raises(FileNotFoundError, match=name):
        site.upload(WHEEL, wheel())


def test_durable(site: Site, quick_disk: list[str]) -> None:
    """What was answered with 200 is on the disk; who writes thousands of pages asks for that once, in the end."""
    site.upload(WHEEL, wheel())
    assert quick_disk.count("fsync") >= 7
    quick_disk.clear()
    site.put("bar-1.0-py3-none-any.whl", wheel())
    site.folder.sync_changed()
    assert "sync" in quick_disk
    assert quick_disk.count("fsync") <= 4


def test_a_write_that_fails_leaves_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-written files would be left behind for ever."""
    site.upload(WHEEL, wheel())
    before = site.on_pages()
    monkeypatch.setattr(Path, "replace", failing(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        site.upload(SDIST, sdist())
    monkeypatch.undo()
    assert site.leftovers() == []
    assert site.on_pages() == before


@pytest.mark.parametrize("others", [[], ["foo-bar", "afoo", "foo2"]], ids=["alone", "beside others"])
def test_a_root_list_that_lacks_a_project(site: Site, others: list[str]) -> None:
    """A crash may have kept it from the list: the next upload puts it there. Part of another name is another name."""
    for project in ["foo", *others]:
        site.upload(f"{project.replace('-', '_')}-1.0.tar.gz", sdist(project))
    for name in ("index.json", "index.html"):
        path = site.paths.root / name
        path.write_bytes(re.sub(rb'(?m),?\{"name":"foo"\}|^<li><a href="foo/">foo</a></li>\n', b"", path.read_bytes()))
    assert "foo" not in site.projects()
    site.upload("foo-1.1.tar.gz", sdist("foo", "1.1"))
    assert site.projects() == sorted(["foo", *others])


def test_an_upload_leaves_the_root_list_alone(site: Site) -> None:
    """Where the project is on it: else each upload would cost what the index is large."""
    site.upload(SDIST, sdist())
    (site.paths.root / "index.html").unlink()
    site.upload("foo-1.1.tar.gz", sdist("foo", "1.1"))
    assert not (site.paths.root / "index.html").exists()
