"""Uploads and removals through the whole application: the pages are written before the response."""

import json
import os
from pathlib import Path

import pytest
from pypiserver.backend import SimpleFileBackend
from pypiserver.config import Config
from support import short
from support.archives import fitting, sdist, wheel
from support.pages import sha256
from support.processes import CRASHED, exit_code
from support.web import Index
from wheelhouse.cli.pages import reconciler_of
from wheelhouse.config import Settings
from wheelhouse.pages import writer
from wheelhouse.pages.sync import Reconciler

WHEEL = "foo-1.0-py3-none-any.whl"


def listed(index: Index) -> list[str]:
    """Return the projects of the root page."""
    return [project["name"] for project in json.loads((index.pages / "root/index.json").read_text())["projects"]]


def folder(index: Index) -> Reconciler:
    """Return the reconciler of the index's pages."""
    return reconciler_of(Settings.load(index.settings))


def test_upload_writes_the_page(index: Index) -> None:
    """After a 200 response, the file can be installed."""
    for filename in (WHEEL, "foo-1.0.tar.gz", "Other.Name-2.0.tar.gz"):
        assert index.upload(filename).code == 200
        project = "foo" if filename.startswith("foo") else "other-name"
        assert index.page(project)[filename] == sha256(fitting(filename))
    assert listed(index) == ["foo", "other-name"]
    assert (index.pages / f"metadata/{WHEEL}.metadata").exists()


def test_the_page_comes_before_the_answer(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is complete before the response: the next line of a client's script may install the file."""
    pages = []
    refresh = writer.PageWriter.refresh

    def watch(self: writer.PageWriter, *arguments: object, **more: object) -> list:
        entries = refresh(self, *arguments, **more)
        pages.append(index.page("foo"))
        return entries

    monkeypatch.setattr(writer.PageWriter, "refresh", watch)
    assert index.upload(WHEEL).code == 200
    assert pages == [{WHEEL: sha256(wheel())}]


def test_removal_writes_the_page(index: Index) -> None:
    """A removed release is on no page, in any spelling of its name."""
    for filename in (WHEEL, "foo-1.0.tar.gz", "foo-1.1.tar.gz"):
        index.upload(filename)
    assert index.remove("FOO", "1.0.0").code == 200
    assert list(index.page("foo")) == ["foo-1.1.tar.gz"]
    assert index.remove("foo", "1.1").code == 200
    assert index.page("foo") is None
    assert listed(index) == []
    assert (index.pages / "projects/foo.gone").exists()


@pytest.mark.parametrize(
    "content", [sdist()[:-6], sdist()[: len(sdist()) // 2]], ids=["its last bytes are missing", "half"]
)
def test_rejects_corrupt_files(index: Index, content: bytes) -> None:
    """An archive with a corrupt member is rejected as well."""
    answer = index.upload("foo-1.0.tar.gz", content)
    assert answer.code == 400
    assert index.stored() == {}
    assert index.page("foo") is None
    assert index.upload("foo-1.0.tar.gz").code == 200


def break_pages(index: Index) -> None:
    """Move the directory of the pages away."""
    (index.pages / "projects").rename(index.pages / "away")


def restore_pages(index: Index) -> None:
    """Move it back."""
    (index.pages / "away").rename(index.pages / "projects")


def test_pages_cannot_be_written(index: Index, capsys: pytest.CaptureFixture) -> None:
    """The client gets a message and can retry; the journal has the reason. Nothing is published partially."""
    index.upload("foo-0.9.tar.gz")
    break_pages(index)
    answer = index.upload(WHEEL)
    assert answer.code == 503
    assert f"{WHEEL} was not published" in answer.status
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert str(index.home) not in answer.status + answer.body
    assert "No such file or directory" in capsys.readouterr().err
    assert index.events() == ["upload", "upload", "undone"]
    restore_pages(index)
    assert folder(index).sync_changed() == []
    assert index.page("foo").keys() == {"foo-0.9.tar.gz"} == index.stored().keys()
    assert index.upload(WHEEL).code == 200
    assert index.page("foo").keys() == {"foo-0.9.tar.gz", WHEEL} == index.stored().keys()


def test_pages_cannot_be_written_at_a_removal(index: Index) -> None:
    """A removal has the same behaviour."""
    index.upload(WHEEL)
    index.upload("foo-0.9.tar.gz")
    break_pages(index)
    answer = index.remove("foo", "1.0")
    assert answer.code == 503
    assert f"{WHEEL} was not removed, or is still on its page" in answer.status
    assert "Retry-After" in answer.headers
    restore_pages(index)
    folder(index).sync_changed()
    assert index.page("foo").keys() == {"foo-0.9.tar.gz"}


@pytest.mark.parametrize("text", ["{", "[]"], ids=short)
def test_yanks_that_cannot_be_read(index: Index, text: str) -> None:
    """A page without the yanks would offer yanked files, so the page is not written until the file is repaired."""
    (index.home / "yanked.json").write_text(text)
    answer = index.upload(WHEEL)
    assert answer.code == 503
    assert index.page("foo") is None
    assert index.stored() == {}
    (index.home / "yanked.json").unlink()
    assert index.upload(WHEEL).code == 200
    assert index.page("foo") == {WHEEL: sha256(wheel())}


def test_a_crash_between_store_and_pages(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file exists without a 200 response; the next rebuild lists it, and the client can retry."""

    def crash(*_arguments: object, **_more: object) -> None:
        os._exit(CRASHED)

    monkeypatch.setattr(writer.PageWriter, "refresh", crash)
    assert exit_code(lambda: index.upload(WHEEL)) == CRASHED
    monkeypatch.undo()
    assert index.page("foo") is None
    folder(index).sync_changed()
    assert index.page("foo") == {WHEEL: sha256(wheel())}
    assert index.upload(WHEEL).code == 200
    monkeypatch.setattr(writer.PageWriter, "refresh", crash)
    assert exit_code(lambda: index.remove("foo", "1.0")) == CRASHED
    monkeypatch.undo()
    folder(index).sync_changed()
    assert index.page("foo") is None


def test_data_that_is_not_mounted(index: Index) -> None:
    """An upload into the directory below the mount point would be hidden by the next mount."""
    (index.data / ".wheelhouse").unlink()
    for answer in (index.upload(WHEEL), index.remove("foo", "1.0")):
        assert answer.code == 503
        assert "mark" in answer.body
        assert answer.headers["Retry-After"] == "30"
    assert index.stored() == {}


ORDINARY = [
    "Acme_Core-1.0-py3-none-any.whl",
    "acme_core-1.0.tar.gz",
    "acme.core-1.1.zip",
    "foo-1.0-1-py3-none-any.whl",
    "foo-1.10-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "foo-1.9.tar.gz",
    "foo-2.0rc1.tar.gz",
    "foo-1!2.0.post1.dev3+local.7-py2.py3-none-any.whl",
    "foo_bar-1.0.tar.gz",
    "foo-bar-1.1.tar.gz",
    "x-0.tar.gz",
]


def test_what_pypiserver_would_list(index: Index) -> None:
    """Apache's pages and pypiserver's own list the same projects, files and hashes."""
    for filename in ORDINARY[:6]:
        assert index.upload(filename).code == 200
    for filename in ORDINARY[6:]:
        (index.packages / filename).write_bytes(fitting(filename))
    (index.packages / "notes.txt").write_text("x")
    folder(index).sync_changed()
    config = Config.default_with_overrides(roots=[str(index.packages)], backend_arg="simple-dir", hash_algo="sha256")
    theirs = SimpleFileBackend(config)
    assert listed(index) == sorted(theirs.get_projects())
    for project in listed(index):
        found = {Path(file.fn).name: theirs.digest(file) for file in theirs.find_project_packages(project)}
        assert found == {name: f"sha256={digest}" for name, digest in index.page(project).items()}
    assert {name for project in listed(index) for name in index.page(project)} == set(ORDINARY)


def test_no_refresh_without_a_right(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload without a right causes no work on the pages."""
    monkeypatch.setattr(writer.PageWriter, "refresh", None)
    assert index.upload("bar-1.0.tar.gz", user="bob").code == 403
