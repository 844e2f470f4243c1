"""wheelhouse audit verify | who, and the audit log entries of the command line."""

import getpass
import json
from pathlib import Path

import pytest
from support.archives import sdist
from support.command import run
from support.pages import Site, write_settings
from wheelhouse.audit.log import AuditLog
from wheelhouse.config import Settings
from wheelhouse.pages import yanks


@pytest.fixture
def settings(site: Site) -> Path:
    """Return the settings of a site with one release of foo."""
    site.upload("foo-1.0.tar.gz", sdist())
    return write_settings(site.home, site.home / "data", site.paths.pages)


@pytest.fixture
def audit(settings: Path) -> AuditLog:
    """Return the audit log of the site."""
    found = Settings.load(settings)
    return AuditLog(found.audit, found.audit_head)


def lines(settings: Path) -> list[dict]:
    """Return the lines of the audit log."""
    return [json.loads(line) for line in Settings.load(settings).audit.read_text().splitlines()]


def some(audit: AuditLog) -> None:
    """Write three entries about foo, and others."""
    alice, bob = {"user": "alice", "address": "192.0.2.1"}, {"user": "bob", "address": "2001:db8::1"}
    audit.write("claimed", **alice, project="foo")
    audit.write("upload", **alice, project="foo", version="1.0", filename="foo-1.0.tar.gz", size=7, sha256="ab" * 32)
    audit.write("upload", **bob, project="foobar", version="1.0", filename="foobar-1.0.tar.gz")
    audit.write("refused", **bob, reason="it is no upload")
    audit.write("denied", **bob, project="foo", filename="foo-2.0.tar.gz", reason="bob is not allowed to upload foo")


def test_empty_log(settings: Path, capsys: pytest.CaptureFixture) -> None:
    """The log of a new index is valid, and has no entries about any project."""
    assert run(settings, "audit", "verify") == 0
    assert capsys.readouterr() == ("The audit log is empty.\n", "")
    assert run(settings, "audit", "who", "foo") == 1
    assert capsys.readouterr() == ("", "The audit log has no entry about foo.\n")


def test_verify_of_a_valid_log(settings: Path, audit: AuditLog, capsys: pytest.CaptureFixture) -> None:
    """The output has the number of entries and the period: an empty log would be valid as well."""
    some(audit)
    first, *_, last = (line["time"] for line in lines(settings))
    assert run(settings, "audit", "verify") == 0
    assert capsys.readouterr().out == f"OK: 5 entries verified, number 1 of {first} to number 5 of {last}.\n"


def test_verify_after_rotation(settings: Path, audit: AuditLog, capsys: pytest.CaptureFixture) -> None:
    """Deleted old files are reported, but are not a fault."""
    some(audit)
    Settings.load(settings).audit.rename(settings.parent / "log/audit/audit.log.1")
    some(audit)
    (settings.parent / "log/audit/audit.log.1").unlink()
    assert run(settings, "audit", "verify") == 0
    said = capsys.readouterr().out.splitlines()
    assert "6 entries verified, number 6 of" in said[0]
    assert said[1] == "Entries before number 6 were deleted by log rotation and cannot be verified."


def test_verify_reports_faults(settings: Path, audit: AuditLog, capsys: pytest.CaptureFixture) -> None:
    """The exit status is for timers, and the output names the invalid lines."""
    some(audit)
    log = Settings.load(settings).audit
    log.write_text(log.read_text().replace("bob", "alice", 1))
    assert run(settings, "audit", "verify") == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "audit.log line 4 does not match audit.log line 3: one of them was modified",
        "Faults: 1, in 5 entries.",
    ]
    assert said.err == ""


def test_verify_fails_without_a_readable_log(settings: Path, capsys: pytest.CaptureFixture) -> None:
    """An unreadable log fails the verification."""
    Settings.load(settings).audit.mkdir()
    assert run(settings, "audit", "verify") == 2
    assert "the command failed" in capsys.readouterr().err


def test_who(settings: Path, audit: AuditLog, capsys: pytest.CaptureFixture) -> None:
    """The entries about a project are listed, in any spelling of its name, the newest last."""
    some(audit)
    assert run(settings, "audit", "who", "Foo") == 0
    said = capsys.readouterr()
    assert said.err == ""
    table = [line.split() for line in said.out.splitlines()]
    assert table[0] == ["TIME", "(UTC)", "EVENT", "USER", "FROM", "VERSION", "WHAT"]
    day, time = lines(settings)[0]["time"].split(".")[0].split("T")
    assert table[1] == [day, time, "claimed", "alice", "192.0.2.1"]
    assert table[2][2:] == ["upload", "alice", "192.0.2.1", "1.0", "foo-1.0.tar.gz"]
    assert table[3][2:6] == ["denied", "bob", "2001:db8::1", "foo-2.0.tar.gz:"]
    assert said.out.endswith("foo-2.0.tar.gz: bob is not allowed to upload foo\n")
    assert len(table) == 4
    starts = {
        line.index(text) for line, text in zip(said.out.splitlines(), ["FROM", "192.", "192.", "2001"], strict=True)
    }
    assert len(starts) == 1


def test_who_as_json(settings: Path, audit: AuditLog, capsys: pytest.CaptureFixture) -> None:
    """JSON output contains the entries with all fields."""
    some(audit)
    assert run(settings, "audit", "who", "foo", "--json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found == [line for line in lines(settings) if line.get("project") == "foo"]
    assert len(found) == 3
    assert run(settings, "audit", "who", "nobody", "--json") == 1
    assert capsys.readouterr().out == ""


def test_who_escapes_control_characters(settings: Path, audit: AuditLog, capsys: pytest.CaptureFixture) -> None:
    """Values from clients could contain escape sequences for the terminal, or line breaks."""
    audit.write("refused", user="a\nb", address="local", project="foo", reason="\x1b[2J\u202e\ud800\N{SNOWMAN}")
    assert run(settings, "audit", "who", "foo") == 0
    said = capsys.readouterr().out
    assert said.count("\n") == 2
    assert "a\\nb" in said
    assert said.endswith("\\x1b[2J\\u202e\\ud800\N{SNOWMAN}\n")


def test_who_in_a_corrupt_log(settings: Path, audit: AuditLog, capsys: pytest.CaptureFixture) -> None:
    """Readable entries are listed, and the output says that others are unreadable."""
    some(audit)
    log = Settings.load(settings).audit
    log.write_bytes(log.read_bytes() + b"nonsense\n")
    assert run(settings, "audit", "who", "foo") == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 4
    assert said.err == "Some of the audit log cannot be read: see wheelhouse audit verify\n"


@pytest.mark.parametrize("words", [[], ["who"], ["verify", "foo"], ["erase"]], ids=str)
def test_rejects_invalid_arguments(settings: Path, words: list[str]) -> None:
    """The exit status differs from that of an invalid log."""
    with pytest.raises(SystemExit) as left:
        run(settings, "audit", *words)
    assert left.value.code == 2


def test_yanks_are_logged(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log has who yanked a release, the reason, and who undid it."""
    monkeypatch.setenv("WHEELHOUSE_USER", "carol")
    assert run(settings, "yank", "Foo", "v1.0", "--reason", "it deletes data") == 0
    assert run(settings, "unyank", "foo", "1.0") == 0
    keys = ("event", "user", "address", "project", "version", "reason")
    assert [tuple(line.get(key) for key in keys) for line in lines(settings)] == [
        ("yanked", "carol", "local", "foo", "v1.0", "it deletes data"),
        ("unyanked", "carol", "local", "foo", "1.0", None),
    ]


def test_who_it_was_without_the_wrapper(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wrapper, the user is the one that the program runs as."""
    monkeypatch.delenv("WHEELHOUSE_USER", raising=False)
    run(settings, "yank", "foo", "1.0")
    assert [line["user"] for line in lines(settings)] == [getpass.getuser()]


def test_nothing_to_yank(settings: Path) -> None:
    """An action that was not performed is not logged."""
    assert run(settings, "yank", "foo", "7.0") == 1
    assert not Settings.load(settings).audit.exists()


def test_failed_yank_is_undone(settings: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry is written ahead; a second one says that the action failed."""

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(yanks, "change", full)
    assert run(settings, "yank", "foo", "1.0") == 2
    assert [line["event"] for line in lines(settings)] == ["yanked", "undone"]
    assert "No space left" in lines(settings)[1]["reason"]
    assert not site.paths.yanked.exists()


def test_no_yank_without_an_audit_entry(settings: Path, site: Site, capsys: pytest.CaptureFixture) -> None:
    """A yank that cannot be logged is not made (write-ahead)."""
    Settings.load(settings).audit.mkdir()
    assert run(settings, "yank", "foo", "1.0") == 2
    assert "the command failed" in capsys.readouterr().err
    assert not site.paths.yanked.exists()
