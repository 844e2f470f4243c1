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

# Timeout in seconds.
PATIENCE = 20


def all_done(work: list[threading.Thread] | list) -> bool:
    """Start threads or processes, and wait for them. Returns whether all have ended before the timeout."""
    for one in work:
        one.start()
    for one in work:
        one.join(PATIENCE)
    return not [one for one in work if one.is_alive()]


def thread(target: Callable, *arguments: object) -> threading.Thread:
    """Return a thread that does not prevent the tests from ending."""
    return threading.Thread(target=target, args=arguments, daemon=True)


def process(target: Callable, *arguments: object) -> multiprocessing.Process:
    """Return a process that does not prevent the tests from ending."""
    return forked.Process(target=target, args=arguments, daemon=True)


def test_several_hundred_projects(site: Site) -> None:
    """Projects share lock files, so a writer that held two of them could wait for itself (deadlock)."""
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
    """Eight concurrent uploads to one project, each based on the same record, are all kept (race)."""
    names = [f"foo-1.{number}.tar.gz" for number in range(8)]
    for name in names:
        site.put(name, sdist())
    assert all_done([kind(site.pages.refresh, "foo", [name]) for name in names])
    assert site.on_pages() == site.on_disk()
    assert len(json.loads(site.read("projects/foo.json"))["files"]) == 8
    assert site.stale_files() == []


@pytest.mark.parametrize("kind", [thread, process])
def test_many_projects(site: Site, kind: Callable) -> None:
    """All projects share the root page and the list of names: neither loses a project."""
    names = [f"project{number}-1.0.tar.gz" for number in range(12)]
    for name in names:
        site.put(name, sdist())
    assert all_done([kind(site.pages.refresh, name.partition("-")[0], [name]) for name in names])
    assert site.on_pages() == site.on_disk()
    assert sorted(site.paths.used_names.read_text().split()) == site.projects()


@pytest.mark.parametrize("kind", [thread, process])
def test_everything_at_once(site: Site, kind: Callable) -> None:
    """After concurrent uploads, removals, syncs and rebuilds, the pages match the directory."""
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
    """A sync has read the project without files before an upload: the project stays on the root page (race)."""
    site.upload("foo-1.0.tar.gz", sdist())
    site.remove("foo-1.0.tar.gz")
    site.folder.sync_changed()
    (site.paths.projects / "foo.gone").unlink()  # a change for the sync
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
    """Increment a number in a file twenty times."""
    for _ in range(20):
        with exclusive_lock(lock):
            path.write_text(str(int(path.read_text()) + 1))


@pytest.mark.parametrize("kind", [thread, process])
def test_only_one_writer(tmp_path: Path, kind: Callable) -> None:
    """A lock excludes threads of this process, and other processes."""
    number = tmp_path / "number"
    number.write_text("0")
    assert all_done([kind(count_up, number, tmp_path / "lock") for _ in range(4)])
    assert number.read_text() == "80"


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    """A lock is released when its holder fails or is killed."""

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
    """Read a file repeatedly."""
    while not stop.is_set():
        seen.add(path.read_bytes())


def test_readers_see_whole_files(tmp_path: Path) -> None:
    """Pages are replaced atomically: readers get the old or the new page, never a partial or missing one."""
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
