"""The command line: actions, output, exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import WHEELHOUSE
from support.archives import sdist
from support.command import run
from support.pages import Site, write_settings
from wheelhouse.config import Settings
from wheelhouse.pages import sync
from wheelhouse.storage.tombstones import Tombstones

SDIST = "foo-1.0.tar.gz"


@pytest.fixture
def settings(site: Site) -> Path:
    """Return the settings of a site with one release of foo, and current pages."""
    site.put(SDIST, sdist())
    site.folder.sync_changed()
    return write_settings(site.home, site.home / "data", site.paths.pages)


def yanked(site: Site) -> list:
    """Return the yanks on the page of foo, by file."""
    return [file.get("yanked") for file in json.loads(site.read("projects/foo.json"))["files"]]


@pytest.mark.parametrize("words", [["rebuild"], ["rebuild", "--changed"], ["rebuild", "Foo"]], ids=str)
def test_rebuild(site: Site, settings: Path, capsys: pytest.CaptureFixture, words: list[str]) -> None:
    """In any spelling, for all, one or the changed projects: pages match the files afterwards, without output."""
    site.put("foo-2.0.tar.gz", sdist())
    assert run(settings, *words) == 0
    assert capsys.readouterr() == ("", "")
    assert site.on_pages() == site.on_disk()


def test_rebuild_all_and_changed(site: Site, settings: Path) -> None:
    """A full rebuild restores a corrupt page, --changed does not read it."""
    page = site.paths.projects / "foo.html"
    good = page.read_bytes()
    page.write_bytes(b"spoilt")
    assert run(settings, "rebuild", "--changed") == 0
    assert page.read_bytes() == b"spoilt"
    assert run(settings, "rebuild") == 0
    assert page.read_bytes() == good


@pytest.mark.parametrize("words", [["rebuild"], ["rebuild", "--changed"]], ids=str)
def test_reports_files_that_are_left_out(
    site: Site, settings: Path, capsys: pytest.CaptureFixture, words: list[str]
) -> None:
    """The file is reported for the journal, and the exit status says that there are reports."""
    site.put("bar-1.0.tar.gz", b"corrupt")
    assert run(settings, *words) == 1
    said = capsys.readouterr()
    assert said.out.startswith("bar-1.0.tar.gz: left out: ")
    assert said.err == ""


def test_check(site: Site, settings: Path, capsys: pytest.CaptureFixture) -> None:
    """No output and status 0 mean that every file is unchanged."""
    assert run(settings, "check") == 0
    assert capsys.readouterr() == ("", "")
    site.put(SDIST, sdist("foo", "2.0"))
    assert run(settings, "check") == 1
    assert capsys.readouterr().out == f"{SDIST}: differs: it is not the file that was uploaded\n"


def test_check_reports_an_emptied_index(site: Site, settings: Path, capsys: pytest.CaptureFixture) -> None:
    """Files that disappear by hand disappear from the pages; an index without any file is reported nevertheless."""
    site.put("bar-1.0.tar.gz", sdist("bar", "1.0"))
    assert run(settings, "rebuild") == 0
    (site.paths.packages / SDIST).unlink()
    assert run(settings, "rebuild") == 0
    assert run(settings, "check") == 0
    (site.paths.packages / "bar-1.0.tar.gz").unlink()
    assert run(settings, "rebuild") == 0
    assert run(settings, "check") == 1
    said = capsys.readouterr().out
    assert "the index is empty, and files of these projects were not removed by a request: bar, foo." in said


def test_check_accepts_an_index_whose_files_were_removed(site: Site, settings: Path) -> None:
    """A removal by a request leaves a tombstone; a new index never had a file."""
    tombstones = Tombstones(Settings.load(settings).tombstones, site.paths.locks / "tombstones")
    tombstones.add(SDIST, "ab" * 32, "alice")
    (site.paths.packages / SDIST).unlink()
    assert run(settings, "rebuild") == 0
    assert run(settings, "check") == 0


def test_restore_times(site: Site, settings: Path, capsys: pytest.CaptureFixture) -> None:
    """The times that a copy has changed are restored without output; all others are reported."""
    path = site.paths.packages / SDIST
    before = path.stat().st_mtime
    os.utime(path, (1_800_000_000, 1_800_000_000))
    assert run(settings, "check") == 1
    assert "Run: wheelhouse restore-times" in capsys.readouterr().out
    assert run(settings, "restore-times") == 0
    assert capsys.readouterr() == ("", "")
    assert path.stat().st_mtime == before
    site.put(SDIST, sdist("foo", "2.0"))
    assert run(settings, "restore-times") == 1
    assert capsys.readouterr().out == f"{SDIST}: its time was not changed: it is not the file that was uploaded\n"


def test_yank_and_unyank(site: Site, settings: Path, capsys: pytest.CaptureFixture) -> None:
    """The page has the yank and its reason at once, and loses it after unyank."""
    assert yanked(site) == [None]
    assert run(settings, "yank", "Foo", "v1.0", "--reason", "it's <broken>") == 0
    assert yanked(site) == ["it's <broken>"]
    assert run(settings, "yank", "foo", "1", "--reason", "other") == 0
    assert yanked(site) == ["other"]
    assert run(settings, "yank", "foo", "1.0") == 0
    assert yanked(site) == [True]
    assert run(settings, "unyank", "FOO", "1.0.0") == 0
    assert yanked(site) == [None]
    assert capsys.readouterr() == ("", "")


def test_yanks_survive_rebuilds(site: Site, settings: Path) -> None:
    """Rebuilds and uploads do not unyank a release."""
    run(settings, "yank", "foo", "1.0", "--reason", "broken")
    site.upload("foo-2.0.tar.gz", sdist())
    assert yanked(site) == ["broken", None]
    run(settings, "rebuild")
    assert yanked(site) == ["broken", None]


@pytest.mark.parametrize(
    ("project", "version", "said"),
    [
        ("foo", "2.0", "There is no foo 2.0 here. There are: 1.0."),
        ("Foo", "1.0.1", "There is no foo 1.0.1 here. There are: 1.0."),
        ("foo", "nonsense", "There is no foo nonsense here. There are: 1.0."),
        ("Nobody.s", "1.0", "There is no nobody-s 1.0 here. There are: none."),
    ],
)
@pytest.mark.parametrize("command", ["yank", "unyank"])
def test_yank_of_a_missing_release(
    site: Site, settings: Path, capsys: pytest.CaptureFixture, command: str, project: str, version: str, said: str
) -> None:
    """A misspelled yank must not look like a success."""
    before = sorted(path for path in site.home.rglob("*") if "locks" not in path.parts)
    assert run(settings, command, project, version) == 1
    assert capsys.readouterr().out == f"{said}\n"
    assert sorted(path for path in site.home.rglob("*") if "locks" not in path.parts) == before
    assert site.projects() == ["foo"]


def test_unyank_against_the_settings(site: Site, settings: Path, capsys: pytest.CaptureFixture) -> None:
    """A release that the settings yank stays yanked, and the message says where to change it."""
    site.paths.configured_yanks.write_text('{"foo": {"1.0": "reviewed"}}')
    assert run(settings, "rebuild") == 0
    assert run(settings, "unyank", "foo", "1.0") == 1
    assert "pypi_yanked" in capsys.readouterr().out
    assert yanked(site) == ["reviewed"]


@pytest.mark.parametrize("words", [[], ["erase"], ["yank", "foo"], ["rebuild", "a", "b"], ["check", "--fix"]], ids=str)
def test_rejects_invalid_arguments(settings: Path, capsys: pytest.CaptureFixture, words: list[str]) -> None:
    """The exit status differs from that of a check with findings."""
    with pytest.raises(SystemExit) as left:
        run(settings, *words)
    assert left.value.code == 2
    assert "usage: wheelhouse" in capsys.readouterr().err


LONG = "x" * 241
NAMES = {
    "rebuild": (["rebuild", LONG], "is not a valid project name"),
    "rebuild, in bytes": (["rebuild", "é" * 130], "is not a valid project name"),
    "yank": (["yank", LONG, "1.0"], "is not a valid project name"),
    "yank elsewhere": (["yank", "../foo", "1.0"], "'../foo' is not a valid project name"),
    "unyank": (["unyank", LONG, "1.0"], "at most 240 of them"),
    "version": (["yank", "foo", "1" * 5000], "the version has 5000 characters; at most 240 are allowed"),
    "claim": (["claim", LONG, "alice"], "is not a valid project name"),
    "unclaim": (["unclaim", LONG], "is not a valid project name"),
    "removed": (["removed", LONG], "is not a valid project name"),
}


@pytest.mark.parametrize(("words", "said"), NAMES.values(), ids=NAMES.keys())
def test_rejects_invalid_names(settings: Path, capsys: pytest.CaptureFixture, words: list[str], said: str) -> None:
    """A project name is part of file names: a name that is too long is a usage error, not a disk error."""
    with pytest.raises(SystemExit) as left:
        run(settings, *words)
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_the_longest_name(settings: Path, capsys: pytest.CaptureFixture) -> None:
    """A name of the maximum length is looked up, and does not exist."""
    assert run(settings, "yank", "x" * 240, "1" * 240) == 1
    assert capsys.readouterr().out.startswith("There is no xxx")


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("no JSON"), TypeError("a mistake")])
def test_errors_exit_with_2(
    settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, error: Exception
) -> None:
    """Python exits with 1 after an exception, which the unit would treat as a file that was left out."""

    def fail(_folder: object) -> None:
        raise error

    monkeypatch.setattr(sync.Reconciler, "sync_changed", fail)
    assert run(settings, "rebuild", "--changed") == 2
    said = capsys.readouterr()
    assert str(error) in said.err.splitlines()[-1]
    assert "Traceback" in said.err
    assert said.out == ""


@pytest.mark.parametrize("text", [None, "", "{}", "[]"])
def test_invalid_settings(tmp_path: Path, text: str | None) -> None:
    """Missing or invalid settings have the same exit status."""
    path = tmp_path / "settings.json"
    if text is not None:
        path.write_text(text)
    assert run(path, "check") == 2


@pytest.mark.parametrize("words", [["rebuild"], ["rebuild", "--changed"], ["check"], ["yank", "foo", "1.0"]], ids=str)
def test_data_that_is_not_mounted(site: Site, settings: Path, capsys: pytest.CaptureFixture, words: list[str]) -> None:
    """An empty directory below a mount point is not an empty index: all pages are kept."""
    (site.home / "data").rename(site.home / "unmounted")
    (site.home / "data/packages").mkdir(parents=True)
    before = site.read("projects/foo.json")
    assert run(settings, *words) == 2
    assert "its marker, .wheelhouse, cannot be read" in capsys.readouterr().err
    assert site.read("projects/foo.json") == before
    assert site.projects() == ["foo"]
    (site.home / "data/.wheelhouse").write_text("mark\n")
    settings.write_text(settings.read_text().replace('"data_is_mount": false', '"data_is_mount": true'))
    assert run(settings, *words) == 2
    assert "not mounted" in capsys.readouterr().err


def test_as_a_program(site: Site, settings: Path) -> None:
    """The program starts as the wrapper starts it, and returns its exit status."""
    site.put("bar-1.0.tar.gz", b"corrupt")
    done = subprocess.run(
        [sys.executable, "-m", "wheelhouse", "--settings", settings, "rebuild", "--changed"],
        env=os.environ | {"PYTHONPATH": str(WHEELHOUSE.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("bar-1.0.tar.gz: left out: ")
