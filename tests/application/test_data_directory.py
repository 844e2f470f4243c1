"""Work on the data continues in the directory that was opened, even if another one is mounted at its path.

No file system is mounted here: directories are exchanged by renaming them, which looks the same to who uses their path.
"""

import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from support.archives import fitting
from support.web import BOUNDARY, Answer, Index, multipart, upload_form
from wheelhouse.config import Settings
from wheelhouse.storage.data_directory import DataDirectory, DataDirectoryError

WHEEL = "foo-1.0-py3-none-any.whl"
# The content of the data directory of an empty index.
SKELETON = {"packages", "state", ".wheelhouse"}


@pytest.fixture
def settings(index: Index) -> Settings:
    """Return the settings of an index whose data directory exists."""
    return Settings.load(index.settings)


@pytest.fixture
def directory(settings: Settings) -> DataDirectory:
    """Return its data directory, not opened."""
    return DataDirectory(settings)


def elsewhere(data: Path) -> Path:
    """Return the path of the data while another directory is at its place."""
    return data.with_name("elsewhere")


def unmount(data: Path) -> None:
    """Replace the data by an empty directory."""
    data.rename(elsewhere(data))
    data.mkdir()


def mount_again(data: Path) -> None:
    """Move the data back to its place, instead of the empty directory."""
    data.rmdir()
    elsewhere(data).rename(data)


def exchange(data: Path) -> None:
    """Replace the data by that of another index."""
    unmount(data)
    for directory in ("packages", "state"):
        (data / directory).mkdir()
    (data / ".wheelhouse").write_text("mark\n")


def open_files() -> list[str]:
    """Return the files that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(descriptor.readlink()))
        except FileNotFoundError:  # the descriptor of this listing itself
            continue
    return found


# The opened directory.


def test_paths_lead_to_the_data_while_opened(directory: DataDirectory, settings: Settings) -> None:
    """While the directory is in use, the settings' paths refer to the opened data."""
    with directory.opened() as found:
        (found.packages / "new").write_text("content")
        assert found.mark.read_text() == "mark\n"
    assert (settings.packages / "new").read_text() == "content"
    assert replace(found, data=settings.data) == settings


def test_closed_while_unused(directory: DataDirectory, settings: Settings) -> None:
    """While it is not in use, its paths are invalid, and the file system can be unmounted."""
    assert not directory.settings.packages.exists()
    with directory.opened():
        assert str(settings.data) in open_files()
    assert not directory.settings.packages.exists()
    assert str(settings.data) not in open_files()
    with pytest.raises(NotADirectoryError):
        directory.settings.mark.read_bytes()


def test_closed_after_an_exception(directory: DataDirectory, settings: Settings) -> None:
    """An exception does not keep the directory open."""
    with pytest.raises(ZeroDivisionError), directory.opened():
        raise ZeroDivisionError
    assert str(settings.data) not in open_files()
    with directory.opened() as found:
        assert found.mark.exists()


def test_closed_after_the_last_user(directory: DataDirectory, settings: Settings) -> None:
    """The directory stays open until the last user has finished."""
    with directory.opened() as found:
        with directory.opened():
            assert open_files().count(str(settings.data)) == 1
        assert found.mark.exists()
    assert str(settings.data) not in open_files()


def test_leaks_no_descriptors(directory: DataDirectory, settings: Settings) -> None:
    """Neither successful nor failed attempts leak descriptors."""
    before = len(open_files())
    for _ in range(20):
        with directory.opened():
            pass
    settings.mark.unlink()
    for _ in range(20):
        with pytest.raises(DataDirectoryError), directory.opened():
            pass
    assert len(open_files()) == before


# Directories that are not the data.


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda settings: settings.data.rename(elsewhere(settings.data)), "cannot be opened: No such file"),
        (lambda settings: (unmount(settings.data), settings.data.rmdir(), settings.data.touch()), "Not a directory"),
        (lambda settings: unmount(settings.data), "its marker, .wheelhouse, cannot be read"),
        (lambda settings: (settings.mark.unlink(), settings.mark.mkdir()), "its marker, .wheelhouse, cannot be read"),
    ],
    ids=["no directory", "a file", "no mark", "a directory as the mark"],
)
def test_rejects_other_directories(
    directory: DataDirectory, settings: Settings, harm: Callable[[Settings], None], why: str
) -> None:
    """A directory without the marker is never used, and the error says why."""
    harm(settings)
    with pytest.raises(DataDirectoryError, match=why), directory.opened():
        pytest.fail("it has begun")


def test_rejects_a_directory_that_is_not_mounted(settings: Settings) -> None:
    """If the data has a file system of its own, nothing is written below the mount point."""
    with (
        pytest.raises(DataDirectoryError, match="is not mounted"),
        DataDirectory(replace(settings, data_is_mount=True)).opened(),
    ):
        pytest.fail("it has begun")


def test_accepts_a_mount_point(settings: Settings) -> None:
    """A mounted file system passes this check; after it, the marker is read."""
    with (
        pytest.raises(DataDirectoryError, match="mark"),
        DataDirectory(replace(settings, data_is_mount=True, data=Path("/"))).opened(),
    ):
        pytest.fail("it has begun")


# Changes while the directory is in use.


@pytest.mark.parametrize("change", [unmount, exchange])
def test_continues_in_the_opened_directory(
    directory: DataDirectory, settings: Settings, change: Callable[[Path], None]
) -> None:
    """Running work ends in the directory in which it began, and other requests fail until then."""
    with directory.opened() as found:
        (found.packages / "before").touch()
        change(settings.data)
        (found.packages / "after").touch()
        with pytest.raises(DataDirectoryError), directory.opened():
            pytest.fail("it has begun")
        (found.packages / "later").touch()
    assert {path.name for path in (elsewhere(settings.data) / "packages").iterdir()} == {"before", "after", "later"}
    assert {path.name for path in settings.data.rglob("*")} <= SKELETON


def test_opens_the_current_directory(directory: DataDirectory, settings: Settings) -> None:
    """The next work uses the directory that is then at the path, without a restart."""
    with directory.opened():
        pass
    exchange(settings.data)
    with directory.opened() as found:
        (found.packages / "new").touch()
    assert (settings.packages / "new").exists()


def test_many_threads(directory: DataDirectory, settings: Settings) -> None:
    """Each thread gets the data directory or an error, and never /dev/null."""

    def work(number: int) -> bool:
        try:
            with directory.opened() as found:
                (found.packages / str(number)).write_text(found.mark.read_text())
        except DataDirectoryError:
            return False
        return True

    data, away = settings.data, elsewhere(settings.data)
    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(work, number) for number in range(800)]
        for _ in range(100):
            data.rename(away)
            os.sched_yield()
            away.rename(data)
    worked = {str(number) for number, one in enumerate(done) if one.result()}
    assert {path.name for path in settings.packages.iterdir()} == worked
    assert worked


# The whole application.


class Interrupted(io.BytesIO):
    """A body during which the data directory is replaced."""

    def __init__(self, body: bytes, change_data: Callable[[], None]):
        super().__init__(body)
        self._half, self._change_data = len(body) // 2, change_data

    def read(self, size: int | None = -1) -> bytes:
        """Read at most half of the body at once."""
        if self.tell() >= self._half and self._change_data:
            # In a thread of its own, like another client's request.
            with ThreadPoolExecutor(1) as other:
                other.submit(self._change_data).result()
            self._change_data = None
        return super().read(min(self._half if size is None or size < 0 else size, self._half))


def upload_while(index: Index, change_data: Callable[[], None]) -> Answer:
    """Upload a wheel, and call a function in the middle of it."""
    body = multipart(upload_form(WHEEL, fitting(WHEEL)))
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    stream = {"wsgi.input": Interrupted(body, change_data), "CONTENT_LENGTH": str(len(body))}
    return index.request("POST", "/", "alice", CONTENT_TYPE=kind, **stream)


@pytest.mark.parametrize("change", [unmount, exchange])
def test_upload_continues_in_the_opened_directory(index: Index, change: Callable[[Path], None]) -> None:
    """File, used name, owner and audit log are in the opened directory; nothing is written to the new one."""
    index.start(new_projects="first_uploader")
    assert upload_while(index, lambda: change(index.data)).code == 200
    there = elsewhere(index.data)
    assert [path.name for path in (there / "packages").iterdir()] == [WHEEL]
    assert {path.name for path in (there / "state").iterdir()} >= {"names.txt", "claims.json", "audit-head.json"}
    assert index.page("foo").keys() == {WHEEL}
    assert {path.name for path in index.data.rglob("*")} <= SKELETON


def test_rejects_other_requests_after_a_replacement(index: Index) -> None:
    """They get 503 until the data directory is available again."""
    answers = []

    def change_data() -> None:
        unmount(index.data)
        answers.extend([index.upload("bar-1.0.tar.gz"), index.request("GET", "/-/health")])
        mount_again(index.data)
        answers.append(index.upload("bar-1.0.tar.gz"))

    assert upload_while(index, change_data).code == 200
    assert [answer.code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["Retry-After"] == "30"
    assert index.stored().keys() == {WHEEL, "bar-1.0.tar.gz"}


def test_application_starts_without_data(index: Index) -> None:
    """The application starts, responds with 503, and works when the data is available."""
    unmount(index.data)
    index.start()
    assert index.upload().code == 503
    mount_again(index.data)
    assert index.upload().code == 200
