"""Full disks and quota: uploads that do not fit are rejected before they are received, and leave nothing."""

import errno
import shutil
from collections import namedtuple

import pytest
from support.archives import METADATA, fitting, wheel
from support.web import Index, multipart, upload_form
from wheelhouse.storage import quota
from wheelhouse.storage.upload_file import TemporaryUpload

SDIST = "foo-1.0.tar.gz"
SIZE = len(fitting(SDIST))
Usage = namedtuple("Usage", "total used free")


def free(monkeypatch: pytest.MonkeyPatch, *amounts: int) -> None:
    """Replace the free space of the disk: one value for each query."""
    left = list(amounts)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(0, 0, left.pop(0) if len(left) > 1 else left[0]))


def test_rejects_before_receiving(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, log and pages need free space as well. The client gets the response before the body is read."""
    index.start(min_free_space=1000)
    form = upload_form(SDIST, fitting(SDIST))
    free(monkeypatch, 1000 + SIZE - 1)
    monkeypatch.setattr(TemporaryUpload, "write", None)
    answer = index.post(form)
    assert answer.code == 507
    assert "The disk of this index is full" in answer.body
    assert "pypi_min_free_space" in answer.body
    assert int(answer.headers["Retry-After"]) > 0
    assert index.stored() == {}
    assert index.events() == ["refused"]
    monkeypatch.undo()
    free(monkeypatch, 1000 + len(multipart(form)))
    assert index.post(form).code == 200


def test_rejects_while_receiving(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free space that is used up during an upload rejects the upload."""
    index.start(min_free_space=1000)
    content = wheel(files={"foo.py": "#" * (1 << 20)})
    free(monkeypatch, 1 << 30, 1 << 30, 1 << 30, 999)
    assert index.upload("foo-1.0-py3-none-any.whl", content).code == 507
    assert index.stored() == {}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("method", ["write", "sync"])
def test_full_disk_is_507(index: Index, monkeypatch: pytest.MonkeyPatch, number: int, method: str) -> None:
    """Whatever the checks found, a full disk rejects the upload, at the latest when the file is synced."""

    def full(*_arguments: object) -> None:
        raise OSError(number, "no space")

    monkeypatch.setattr(TemporaryUpload, method, full)
    answer = index.upload(SDIST)
    assert answer.code == 507
    assert "The disk of this index is full" in answer.body
    assert index.stored() == {}
    monkeypatch.undo()
    assert index.upload(SDIST).code == 200


def test_total_size_is_exact(index: Index) -> None:
    """The quota is exact to the byte; a removal releases the size of its file."""
    others = "bar-1.0.tar.gz"
    size = len(fitting(others))
    index.start(max_total_size=SIZE + size - 1)
    assert index.upload(SDIST).code == 200
    answer = index.upload(others)
    assert answer.code == 507
    assert "pypi_max_total_size" in answer.body
    assert list(index.stored()) == [SDIST]
    assert index.page("bar") is None
    index.start(max_total_size=SIZE + size)
    assert index.upload(others).code == 200
    assert index.upload(SDIST).code == 200  # identical content needs no space
    index.start(max_total_size=SIZE)
    assert index.upload("foo-1.1.tar.gz").code == 507
    assert index.remove("foo", "1.0").code == 200
    assert index.remove("bar", "1.0").code == 200
    assert index.upload("foo-1.1.tar.gz").code == 200


def test_metadata_counts_towards_the_total(index: Index) -> None:
    """The metadata that is served beside a wheel counts towards the quota, to the byte."""
    names = [f"foo-1.{number}-py3-none-any.whl" for number in (0, 1)]
    description = "\n" + "x" * 5000
    wheels = {name: fitting(name, description) for name in names}
    served = len(METADATA.format(name="foo", version="1.0")) + len(description)
    room_for_both = sum(map(len, wheels.values())) + 2 * served
    first, second = wheels
    index.start(max_total_size=room_for_both - 1)
    assert index.upload(first, wheels[first]).code == 200
    assert (index.pages / f"metadata/{first}.metadata").stat().st_size == served
    answer = index.upload(second, wheels[second])
    assert answer.code == 507
    assert "pypi_max_total_size" in answer.body
    assert list(index.stored()) == [first]
    index.start(max_total_size=room_for_both)
    assert index.upload(second, wheels[second]).code == 200


@pytest.mark.parametrize("left", [999, 1000 + 44])
def test_checks_the_disk_of_the_pages(index: Index, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    """If the pages are on another file system, that one needs free space for pages and metadata."""
    index.start(min_free_space=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, left if path.name == "metadata" else 1 << 30))
    answer = index.upload("foo-1.0-py3-none-any.whl")
    assert answer.code == 507
    assert "The disk that holds the pages of this index is full" in answer.body
    assert "pypi_min_free_space" in answer.body
    assert index.stored() == {}
    assert index.page("foo") is None


def test_rejects_announced_sizes(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload whose Content-Length exceeds the quota is not received."""
    index.start(max_total_size=SIZE)
    monkeypatch.setattr(quota, "FORM_OVERHEAD", 10)
    monkeypatch.setattr(TemporaryUpload, "write", None)
    assert index.upload("foo-1.0-py3-none-any.whl").code == 507


def test_temporary_files_do_not_count(index: Index) -> None:
    """Their uploads may be rejected later."""
    (index.packages / ".upload-x").write_bytes(bytes(SIZE))
    index.start(max_total_size=SIZE)
    assert index.upload(SDIST).code == 200


def test_measures_nothing_without_a_limit(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a quota, the cost of an upload does not depend on the number of files."""

    def look(*_arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr(quota.Quota, "_measure", look)
    assert index.upload(SDIST).code == 200
