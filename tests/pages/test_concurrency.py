"""Concurrent writers: threads, processes, and both. Each test has a timeout."""

import json
import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.archives import sdist
from support.pages import Site
from support.processes import forked
from wheelhouse.files import atomic
from wheelhouse.files.locks import LOCK_COUNT, exclusive_lock, lock_path

# Seconds after which whoever still waits waits for ever.
PATIENCE = 20


def all_done(work: list[threading.Thread] | list) -> bool:
    """Start threads or processes, and wait for them. Returns whether all came to an end."""
    for one in work:
        one.start()
    for one in work:
        one.join(PATIENCE)
    return not [one for one in work if one.is_alive()]


def thread(target: Callable, *arguments: object) -> threading.Thread:
    """Return a thread that does not keep the tests from ending."""
    return threading.Thread(target=target, args=arguments, daemon=True)


def process(target: Callable, *arguments: object) -> multiprocessing.Process:
    """Return a process that does not keep the tests from ending."""
    return forked.Process(target=target, args=arguments, daemon=True)


def test_several_hundred_projects(site: Site) -> None:
    """Projects share lock files, and who holds two of them at a time may wait for oneself."""
    count = 4 * LOCK_COUNT
    content = sdist()
    for number in range(count):
        site.put(f"project{number}-1.0.tar.gz", content)
    assert len({lock_path(site.paths.locks, f"project{number}") for number in range(count)}) == LOCK_COUNT
    assert all_done([thread(site.folder.rebuild)])
    assert len(site.projects()) == count
    assert len(list(site.paths.locks.iterdir())) <= LOCK_COUNT + 4


@pytest.mark.parametrize("kind", [thread, process])
def test_one_project(site: Site, kind: Callable) -> None:
    """Eight uploads to one project at the same moment: each has read the record before, and none is lost."""
    names = [f"foo-1.{number}.tar.gz" for number in range(8)]
    for name in names:
        site.put(name, sdist())
    assert all_done([kind(site.pages.refresh, "foo", [name]) for name in names])
    assert site.on_pages() == site.on_disk()
    assert len(json.loads(site.read("projects/foo.json"))["files"]) == 8
    assert site.leftovers() == []


@pytest.mark.parametrize("kind", [thread, process])
def test_many_projects(site: Site, kind: Callable) -> None:
    """The root list and the list of names are one for all projects: no project drops out of either."""
    names = [f"project{number}-1.0.tar.gz" for number in range(12)]
    for name in names:
        site.put(name, sdist())
    assert all_done([kind(site.pages.refresh, name.partition("-")[0], [name]) for name in names])
    assert site.on_pages() == site.on_disk()
    assert sorted(site.paths.used_names.read_text().split()) == site.projects()


@pytest.mark.parametrize("kind", [thread, process])
def test_everything_at_once(site: Site, kind: Callable) -> None:
    """Uploads, removals, looks and rebuilds together: in the end, pages equal the folder."""
    for number in range(6):
        site.upload(f"old{number}-1.0.tar.gz", sdist())
        site.put(f"new{number}-1.0.tar.gz", sdist())
    work = [kind(site.pages.refresh, f"new{number}", [f"new{number}-1.0.tar.gz"]) for number in range(6)]
    work += [kind(site.remove, f"old{number}-1.0.tar.gz") for number in range(6)]
    work += [kind(site.folder.sync_changed), kind(site.folder.rebuild), kind(site.folder.sync_changed)]
    assert all_done(work)
    assert set(site.on_disk()) == {f"new{number}-1.0.tar.gz" for number in range(6)}
    site.folder.sync_changed()
    assert site.on_pages() == site.on_disk()
    assert site.gone() == {f"old{number}" for number in range(6)}


def test_an_upload_while_others_are_looked_at(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look had seen the project without files; the upload came after that, and stays on the root list."""
    site.upload("foo-1.0.tar.gz", sdist())
    site.remove("foo-1.0.tar.gz")
    site.folder.sync_changed()
    (site.paths.projects / "foo.gone").unlink()  # gives the look something to do
    pages = type(site.pages)
    refresh = pages.refresh

    def overtaken(self: object, project: str, *rest: object, **more: object) -> list:
        found = refresh(self, project, *rest, **more)
        monkeypatch.undo()
        site.upload("foo-2.0.tar.gz", sdist())
        return found

    monkeypatch.setattr(pages, "refresh", overtaken)
    site.folder.sync_changed()
    assert site.projects() == ["foo"]


def count_up(path: Path, lock: Path) -> None:
    """Add to a number in a file, twenty times."""
    for _ in range(20):
        with exclusive_lock(lock):
            path.write_text(str(int(path.read_text()) + 1))


@pytest.mark.parametrize("kind", [thread, process])
def test_only_one_writer(tmp_path: Path, kind: Callable) -> None:
    """A lock keeps others out, whether they are in this process or in another."""
    number = tmp_path / "number"
    number.write_text("0")
    assert all_done([kind(count_up, number, tmp_path / "lock") for _ in range(4)])
    assert number.read_text() == "80"


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    """Whoever fails, or is killed, keeps nobody out."""

    def fail() -> None:
        with exclusive_lock(tmp_path / "lock"):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    number = tmp_path / "number"
    number.write_text("0")
    assert all_done([thread(count_up, number, tmp_path / "lock")])
    assert number.read_text() == "20"


def watch(path: Path, seen: set[bytes], stop: threading.Event) -> None:
    """Read a file again and again."""
    while not stop.is_set():
        seen.add(path.read_bytes())


def test_readers_see_whole_files(tmp_path: Path) -> None:
    """Whoever reads in the moment of a change gets the old or the new page, never half of one, and never none."""
    path = tmp_path / "page"
    versions = [letter * 100_000 for letter in (b"a", b"b", b"c")]
    atomic.write_atomically(path, versions[0])
    seen: set[bytes] = set()
    stop = threading.Event()
    reader = thread(watch, path, seen, stop)
    reader.start()
    for number in range(60):
        atomic.write_atomically(path, versions[number % 3])
    stop.set()
    reader.join(PATIENCE)
    assert seen
    assert seen <= set(versions)
