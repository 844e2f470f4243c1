"""Upload times are stored with the data and survive copies."""

import json
import os
import shutil
from pathlib import Path

import pytest
from support.archives import sdist, wheel
from support.pages import Site, sha256
from support.web import Index
from wheelhouse.cli.pages import reconciler_of
from wheelhouse.config import Settings
from wheelhouse.pages import file_records, upload_times
from wheelhouse.pages.upload_times import UploadTime, UploadTimes, format_time

WHEEL = "foo-1.0-py3-none-any.whl"
SDIST = "foo-1.0.tar.gz"
TIME = "2024-05-06T07:08:09.012345Z"
OTHER = "2020-01-02T03:04:05.000000Z"


@pytest.fixture
def times(tmp_path: Path) -> UploadTimes:
    """Return an empty table."""
    return UploadTimes(tmp_path / "uploaded.txt", tmp_path / "lock")


def recorded(content: bytes = b"", time: str = TIME) -> UploadTime:
    """Return a file record."""
    return UploadTime(time, sha256(content))


def lines(site: Site) -> list[list[str]]:
    """Return the table of a site: time, SHA-256 and file name of each line."""
    return [line.split(" ") for line in site.paths.upload_times.read_text().splitlines()]


def shown(site: Site, project: str = "foo") -> dict[str, str]:
    """Return the upload times on a project's page by file name; both formats must agree."""
    page = json.loads(site.read(f"projects/{project}.json"))
    text = site.read(f"projects/{project}.html").decode()
    for file in page["files"]:
        assert f'<time datetime="{file["upload-time"]}">' in text
    return {file["filename"]: file["upload-time"] for file in page["files"]}


def own_time(path: Path) -> str:
    """Return the modification time of a file."""
    return format_time(path.stat().st_mtime_ns)


def forget_pages(site: Site) -> None:
    """Remove everything that is derived from the data, as on a new server."""
    for directory in ("projects", "root", "metadata", "records"):
        for path in (site.paths.pages / directory).iterdir():
            path.unlink()


def copy_data(site: Site) -> None:
    """Copy the data like `cp -r`: all files have the time of the copy."""
    for path in site.paths.packages.iterdir():
        os.utime(path, (1_800_000_000, 1_800_000_000))


class TestTable:
    """The table of upload times."""

    def test_empty(self, times: UploadTimes) -> None:
        """A missing table has no lines."""
        assert times.read() == ({}, 0)

    def test_add(self, times: UploadTimes, tmp_path: Path) -> None:
        """Each file has one line of text; the last line of a name is valid."""
        times.add({WHEEL: recorded(b"a")})
        times.add({SDIST: recorded(b"b"), WHEEL: recorded(b"c", OTHER)})
        assert times.read() == ({WHEEL: recorded(b"c", OTHER), SDIST: recorded(b"b")}, 0)
        assert (tmp_path / "uploaded.txt").read_text().splitlines()[0] == f"{TIME} {sha256(b'a')} {WHEEL}"

    def test_is_durable(self, times: UploadTimes, tmp_path: Path, quick_disk: list[str]) -> None:
        """Each line is durable when add() returns; with the first line, so is the directory entry."""
        times.add({WHEEL: recorded()})
        assert quick_disk == ["fsync", "fsync"]
        times.add({SDIST: recorded()})
        assert quick_disk == ["fsync"] * 3
        times.add({})
        assert quick_disk == ["fsync"] * 3
        assert oct((tmp_path / "uploaded.txt").stat().st_mode & 0o777) == "0o640"

    @pytest.mark.parametrize(
        "damage",
        [
            b"2024-05-06T07:08:09.012345Z 0123 foo-1.0.tar.gz\n",
            b"2024-13-06T07:08:09.012345Z " + b"0" * 64 + b" foo-1.0.tar.gz\n",
            b"2024-05-06 07:08:09 " + b"0" * 64 + b" foo-1.0.tar.gz\n",
            b"nonsense\n",
            b"\n",
            b"\0" * 100 + b"\n",
            b"\xff\xfe\n",
            TIME.encode() + b" " + b"0" * 64 + b" foo 1.0.tar.gz\n",
        ],
        ids=ascii,
    )
    def test_damaged_lines(self, times: UploadTimes, tmp_path: Path, damage: bytes) -> None:
        """Invalid lines are counted, and the others are used."""
        times.add({WHEEL: recorded(b"a")})
        with (tmp_path / "uploaded.txt").open("ab") as file:
            file.write(damage)
        times.add({SDIST: recorded(b"b")})
        assert times.read() == ({WHEEL: recorded(b"a"), SDIST: recorded(b"b")}, 1)

    @pytest.mark.parametrize("partial", [TIME.encode(), b"\0" * 17, b"x"], ids=ascii)
    def test_partial_last_line(self, times: UploadTimes, tmp_path: Path, partial: bytes) -> None:
        """A crash may leave a partial line: the next entry begins on a new line."""
        times.add({WHEEL: recorded(b"a")})
        with (tmp_path / "uploaded.txt").open("ab") as file:
            file.write(partial)
        assert times.read() == ({WHEEL: recorded(b"a")}, 1)
        times.add({SDIST: recorded(b"b")})
        assert times.read() == ({WHEEL: recorded(b"a"), SDIST: recorded(b"b")}, 1)

    def test_full_disk(self, times: UploadTimes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A line is written completely or not at all."""
        times.add({WHEEL: recorded(b"a")})
        write = os.write
        monkeypatch.setattr(upload_times.os, "write", lambda file, content: write(file, content[:10]))
        with pytest.raises(OSError, match="No space left"):
            times.add({SDIST: recorded(b"b")})
        monkeypatch.undo()
        assert times.read() == ({WHEEL: recorded(b"a")}, 0)
        assert (tmp_path / "uploaded.txt").read_text().count("\n") == 1

    def test_compact(self, times: UploadTimes, tmp_path: Path) -> None:
        """Superseded lines are deleted; those of deleted files are kept, since the file may be restored."""
        for number in range(3):
            times.add({WHEEL: recorded(str(number).encode()), SDIST: recorded()})
        with (tmp_path / "uploaded.txt").open("ab") as file:
            file.write(b"half a li")
        before = times.read()[0]
        times.compact()
        assert times.read() == (before, 0)
        assert (tmp_path / "uploaded.txt").read_text().count("\n") == 2
        written = (tmp_path / "uploaded.txt").stat()
        times.compact()
        assert (tmp_path / "uploaded.txt").stat() == written


def test_uploads_are_recorded(index: Index) -> None:
    """The line is written before the page and the response, and has the same time as the page."""
    assert index.upload(WHEEL, wheel()).code == 200
    (file,) = json.loads((index.pages / "projects/foo.json").read_text())["files"]
    text = (index.data / "state/uploaded.txt").read_text()
    assert text == f"{file['upload-time']} {sha256(wheel())} {WHEEL}\n"
    assert file["upload-time"] == own_time(index.packages / WHEEL)
    assert index.upload(WHEEL, wheel()).code == 200  # identical content
    assert (index.data / "state/uploaded.txt").read_text() == text


def test_recorded_before_the_page(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash between the page and the line, the time of the file itself would be used."""
    seen = []
    save = file_records.save

    def watch(*arguments: object) -> None:
        seen.append((index.data / "state/uploaded.txt").read_text().count("\n"))
        save(*arguments)

    monkeypatch.setattr("wheelhouse.pages.file_records.save", watch)
    assert index.upload(WHEEL, wheel()).code == 200
    assert seen == [1]


def test_an_upload_reads_no_table(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of an upload does not depend on the number of files."""
    monkeypatch.setattr(UploadTimes, "read", None)
    for filename in (WHEEL, SDIST, "foo-1.1.tar.gz"):
        assert index.upload(filename).code == 200
    assert index.remove("foo", "1.0").code == 200
    assert (index.data / "state/uploaded.txt").read_text().count("\n") == 3


def test_copied_by_hand(site: Site) -> None:
    """The pages job records the file's own time when it first reads the file."""
    path = site.put(SDIST, sdist())
    site.folder.sync_changed()
    assert lines(site) == [[own_time(path), sha256(sdist()), SDIST]]
    before = shown(site)
    assert before == {SDIST: own_time(path)}
    os.utime(path, (1_800_000_000, 1_800_000_000))
    for work in (site.folder.sync_changed, site.folder.rebuild, site.folder.sync_changed):
        assert work() == []
        assert shown(site) == before
        assert len(lines(site)) == 1


def test_other_bytes_are_another_file(site: Site) -> None:
    """Different content gets the time at which the file was replaced."""
    site.put(SDIST, sdist())
    site.folder.sync_changed()
    path = site.put(SDIST, sdist("foo", "2.0"))
    site.folder.sync_changed()
    assert shown(site) == {SDIST: own_time(path)}
    assert [line[1] for line in lines(site)] == [sha256(sdist()), sha256(sdist("foo", "2.0"))]


def test_corrupt_files_are_not_recorded(site: Site) -> None:
    """A corrupt file is on no page. Its time is recorded once it is valid."""
    site.put(WHEEL, b"corrupt")
    site.folder.sync_changed()
    assert not site.paths.upload_times.exists()
    path = site.put(WHEEL, wheel())
    site.folder.sync_changed()
    assert lines(site) == [[own_time(path), sha256(wheel()), WHEEL]]


@pytest.mark.parametrize("work", ["rebuild", "sync_changed"])
def test_existing_data(site: Site, work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a table, the first rebuild records the files' own times, and reads no file for that."""
    for number in range(5):
        site.upload(f"foo-1.{number}.tar.gz", sdist())
        site.upload(f"bar{number}-1.0.tar.gz", sdist())
    site.folder.sync_changed()
    site.paths.upload_times.unlink()
    for path in site.paths.records.glob("*.json"):
        found = json.loads(path.read_text())
        path.write_text(json.dumps([{key: one[key] for key in one if key != "uploaded"} for one in found]))
    monkeypatch.setattr(file_records, "sha256_of", None)
    getattr(site.folder, work)()
    times = {name: own_time(site.paths.packages / name) for name in site.on_disk()}
    assert {line[2]: line[0] for line in lines(site)} == times
    assert shown(site) == {name: time for name, time in times.items() if name.startswith("foo")}


@pytest.mark.parametrize("work", ["rebuild", "sync_changed"])
def test_a_copy_of_the_data(site: Site, work: str) -> None:
    """After cp -r to a new server, the rebuilt pages have the original upload times."""
    for number in range(5):
        site.upload(f"foo-1.{number}.tar.gz", sdist("foo", str(number)))
    before = shown(site)
    assert len(set(before.values())) == 5
    copy_data(site)
    forget_pages(site)
    getattr(site.folder, work)()
    assert shown(site) == before


def test_one_table_is_read_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebuild of thousands of projects reads the table once."""
    for number in range(20):
        site.upload(f"foo{number}-1.0.tar.gz", sdist())
    forget_pages(site)
    looks = []
    read = UploadTimes.read
    monkeypatch.setattr(UploadTimes, "read", lambda self: looks.append(1) or read(self))
    site.folder.rebuild()
    assert len(looks) <= 3


@pytest.mark.parametrize("work", ["rebuild", "sync_changed"])
def test_a_lost_table(site: Site, work: str) -> None:
    """It is rebuilt from the file records; uploads and pages continue."""
    for number in range(3):
        site.upload(f"foo-1.{number}.tar.gz", sdist())
    copy_data(site)
    site.folder.sync_changed()
    before, table = shown(site), sorted(lines(site))
    site.paths.upload_times.unlink()
    site.upload("foo-1.3.tar.gz", sdist())
    assert len(lines(site)) == 1
    getattr(site.folder, work)()
    after = shown(site)
    assert {name: after[name] for name in before} == before
    assert sorted(lines(site))[:3] == table
    assert len(lines(site)) == 4


def test_invalid_line_is_dropped(site: Site, capsys: pytest.CaptureFixture) -> None:
    """After a crash, no manual repair is needed."""
    site.upload(SDIST, sdist())
    site.folder.sync_changed()
    with site.paths.upload_times.open("a") as file:
        file.write("2024-05-06T")
    assert len(site.folder.check()) == 1
    site.folder.sync_changed()
    assert site.folder.check() == []
    assert len(lines(site)) == 1
    assert "invalid lines were dropped: 1" in capsys.readouterr().err


HARM = {
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "garbage": lambda path: path.write_bytes(os.urandom(1000)),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-40]),
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
def test_corrupt_table_stops_nothing(index: Index, harm: object, capsys: pytest.CaptureFixture) -> None:
    """Uploads and pages continue with the known times; the table is completed when it can be written again."""
    assert index.upload(WHEEL).code == 200
    table = index.data / "state/uploaded.txt"
    harm(table)
    assert index.upload(SDIST).code == 200
    assert sorted(index.page("foo")) == [WHEEL, SDIST]
    if table.is_dir():
        assert "table of upload times" in capsys.readouterr().err
        table.rmdir()
    assert reconciler_of(Settings.load(index.settings)).rebuild() == []
    found, unreadable = UploadTimes(table, index.pages / "locks/x").read()
    assert unreadable == 0
    assert {name: one.time for name, one in found.items()} == {
        name: own_time(index.packages / name) for name in (WHEEL, SDIST)
    }


def test_a_table_that_cannot_be_read(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """While the table is unreadable, pages show the files' own times, and no time is recorded."""
    site.upload(SDIST, sdist())
    before = shown(site)
    copy_data(site)
    forget_pages(site)

    def fail(_self: UploadTimes) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(UploadTimes, "read", fail)
        assert site.folder.rebuild() == []
        assert shown(site) == {SDIST: own_time(site.paths.packages / SDIST)}
        assert "state/uploaded.txt: Permission denied" in capsys.readouterr().err
    site.folder.sync_changed()
    assert shown(site) == before


class TestCheck:
    """Tests of wheelhouse check."""

    def test_reports_nothing(self, site: Site) -> None:
        """A correct index has no findings, for copied and uploaded files."""
        site.upload(WHEEL, wheel())
        site.put(SDIST, sdist())
        site.folder.sync_changed()
        assert site.folder.check() == []

    @pytest.mark.parametrize(
        "time", [1_800_000_000_000_000_000, 1_700_000_001_000_001_000], ids=["copied", "a microsecond"]
    )
    def test_another_time(self, site: Site, time: int) -> None:
        """Each file whose own time differs from the recorded one is reported with both, and with the command."""
        site.upload(SDIST, sdist())
        path = site.paths.packages / SDIST
        was = own_time(path)
        os.utime(path, ns=(time, time))
        said = (
            f"{SDIST}: time: it was uploaded at {was}, as the pages say, and the file's own time is {own_time(path)}."
        )
        for _ in range(2):
            assert site.folder.check() == [f"{said} Run: wheelhouse restore-times"]
            site.folder.sync_changed()

    def test_truncated_by_tar(self, site: Site) -> None:
        """Archives store whole seconds."""
        path = site.put(SDIST, sdist())
        os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_000_123_456_789))
        site.folder.sync_changed()
        assert site.folder.check() == []
        os.utime(path, (1_700_000_000, 1_700_000_000))
        assert "time: it was uploaded at 2023-11-14T22:13:20.123456Z" in site.folder.check()[0]

    def test_nothing_recorded(self, site: Site) -> None:
        """A file without a recorded time is reported: its time is in no backup."""
        site.upload(SDIST, sdist())
        site.upload(WHEEL, wheel())
        site.paths.upload_times.write_text("".join(f"{' '.join(line)}\n" for line in lines(site) if line[2] == WHEEL))
        assert site.folder.check() == [f"{SDIST}: time: it is not recorded. Run: wheelhouse rebuild"]
        site.folder.rebuild()
        assert site.folder.check() == []

    def test_uploads_meanwhile(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that is uploaded after the table was read is not reported (race)."""
        site.upload(SDIST, sdist())
        read, looks = UploadTimes.read, []
        monkeypatch.setattr(UploadTimes, "read", lambda self: looks.append(1) or (read(self) if looks[1:] else ({}, 0)))
        assert site.folder.check() == []

    def test_unreadable(self, site: Site) -> None:
        """A damaged table is reported with the command that repairs it."""
        site.upload(SDIST, sdist())
        with site.paths.upload_times.open("a") as file:
            file.write("nonsense\nmore\n")
        assert site.folder.check() == ["state/uploaded.txt: 2 lines cannot be read. Run: wheelhouse rebuild"]
        site.folder.rebuild()
        assert site.folder.check() == []
        site.paths.upload_times.unlink()
        site.paths.upload_times.mkdir()
        assert site.folder.check() == ["state/uploaded.txt: it cannot be read: Is a directory"]

    def test_other_bytes_come_first(self, site: Site) -> None:
        """Changed content is reported instead of the time."""
        site.upload(SDIST, sdist())
        site.put(SDIST, sdist("foo", "2.0"))
        (line,) = site.folder.check()
        assert "differs" in line


class TestRestoreTimes:
    """Tests of wheelhouse restore-times."""

    def test_restore(self, site: Site) -> None:
        """All files get their recorded times, and nothing else changes."""
        for number in range(3):
            site.upload(f"foo-1.{number}.tar.gz", sdist("foo", str(number)))
        before = {path.name: own_time(path) for path in site.paths.packages.iterdir()}
        pages = shown(site)
        copy_data(site)
        assert len(site.folder.check()) == 3
        assert site.folder.restore_times() == []
        assert {path.name: own_time(path) for path in site.paths.packages.iterdir()} == before
        assert site.folder.check() == []
        site.folder.sync_changed()
        assert shown(site) == pages

    def test_other_bytes(self, site: Site) -> None:
        """A file with other content than the recorded one keeps its time."""
        site.upload(SDIST, sdist())
        path = site.put(SDIST, sdist("foo", "2.0"))
        was = own_time(path)
        (line,) = site.folder.restore_times()
        assert line == f"{SDIST}: its time was not changed: it is not the file that was uploaded"
        assert own_time(path) == was

    def test_not_permitted(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only the owner of a file can set its time."""
        site.upload(SDIST, sdist())
        copy_data(site)

        def fail(*_arguments: object, **_options: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr("wheelhouse.pages.sync.os.utime", fail)
        (line,) = site.folder.restore_times()
        assert line.startswith(f"{SDIST}: its time was not changed: it belongs to another user. Run as root: chown -h ")
        assert line.endswith(f" {site.paths.packages / SDIST}")


def test_the_data_alone_is_enough(site: Site, tmp_path: Path) -> None:
    """A backup of the data directory has the times."""
    site.upload(SDIST, sdist())
    before = shown(site)
    assert site.paths.upload_times.is_relative_to(site.home / "data/state")
    copy = Site(tmp_path / "copy")
    shutil.rmtree(copy.home / "data")
    shutil.copytree(site.home / "data", copy.home / "data", copy_function=shutil.copyfile)
    copy.folder.rebuild()
    assert shown(copy) == before
