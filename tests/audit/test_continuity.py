"""Detection of a stale copy of the data, or of data that belong to another index."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.audit import Log
from support.command import run
from support.web import Index
from wheelhouse.audit.log import AuditLog
from wheelhouse.config import Settings

ACCEPT = "See: wheelhouse audit verify. If it is intended, as after a restore from a backup: wheelhouse audit accept"


def name(number: int) -> str:
    """Return the name of a file of foo."""
    return f"foo-1.{number}.tar.gz"


def publish(index: Index, *numbers: int) -> None:
    """Upload files of foo."""
    for number in numbers:
        assert index.upload(name(number)).code == 200


def copy(index: Index, to: str) -> Path:
    """Copy the data directory."""
    return Path(shutil.copytree(index.data, index.home / to))


def exchange(index: Index, other: Path) -> None:
    """Replace the data by another directory."""
    index.data.rename(index.home / f"before-{other.name}")
    other.rename(index.data)
    index.start()


@pytest.fixture
def stale(index: Index) -> Index:
    """Return an index with three files whose data were replaced by a stale copy with the first file."""
    publish(index, 0)
    older = copy(index, "older")
    publish(index, 1, 2)
    exchange(index, older)
    return index


@pytest.fixture
def said(capsys: pytest.CaptureFixture) -> Callable:
    """Return a helper that runs a command and returns its exit status and output lines."""

    def said(index: Index, *words: str) -> tuple[int, list[str]]:
        capsys.readouterr()
        return run(index.settings, *words), capsys.readouterr().out.splitlines()

    return said


def audit_of(index: Index) -> AuditLog:
    """Return the audit log of an index."""
    settings = Settings.load(index.settings)
    return AuditLog(settings.audit, settings.audit_head)


def times(index: Index) -> list[str]:
    """Return the times of the lines of the audit log."""
    return [line["time"] for line in index.audit()]


def test_same_data_match(index: Index, said: Callable) -> None:
    """A moved index is not reported, and neither is one without a log or without data."""
    assert audit_of(index).mismatch() is None
    publish(index, 0, 1)
    exchange(index, copy(index, "moved"))
    assert audit_of(index).mismatch() is None
    assert said(index, "rebuild") == (0, [])
    assert said(index, "check") == (0, [])
    index.audit_log.unlink()
    assert audit_of(index).mismatch() is None
    assert said(index, "check") == (0, [])


def test_older_data_are_reported_before_an_entry(stale: Index, said: Callable) -> None:
    """Check, rebuild and the pages job report stale data and the missing files, until they are accepted or restored."""
    first, _second, third = times(stale)
    reason = (
        "audit log: the data directory is older than the log: the newest entry in its head is number 1 of "
        f"{first}, and the log's is number 3 of {third}. It is a stale copy, or entries were added to the log. {ACCEPT}"
    )
    for words in (["rebuild", "--changed"], ["rebuild"]):
        assert said(stale, *words) == (1, [reason])
    missing = [
        f"{name(number)}: missing: according to the audit log, alice uploaded it at {time}"
        for number, time in zip((1, 2), times(stale)[1:], strict=True)
    ]
    assert said(stale, "check") == (1, [reason, *missing])


def test_older_data_are_reported_after_an_upload(stale: Index, said: Callable) -> None:
    """The log records the mismatch itself, and check continues to report the lost files."""
    publish(stale, 3)
    assert stale.events() == ["upload", "upload", "upload", "broken", "upload"]
    assert "the data directory is older than the log" in stale.audit()[3]["reason"]
    assert said(stale, "rebuild") == (0, [])
    status, lines = said(stale, "check")
    assert status == 1
    assert lines[0].startswith("audit log: the data directory is older than the log: ")
    assert lines[0].endswith(ACCEPT)
    assert [line.partition(":")[0] for line in lines[1:]] == [name(1), name(2)]


def test_restored_files_are_not_missing(stale: Index, said: Callable) -> None:
    """Files that clients uploaded again, or that were copied, are not missing."""
    publish(stale, 3, 1)
    stale.remove("foo", "1.3")
    assert [line.partition(":")[0] for line in said(stale, "check")[1]] == ["audit log", name(2)]
    shutil.copy(stale.home / "before-older/packages" / name(2), stale.packages)
    run(stale.settings, "rebuild", "--changed")
    assert [line.partition(":")[0] for line in said(stale, "check")[1]] == ["audit log"]


def test_removed_files_are_not_missing(index: Index, said: Callable) -> None:
    """A stale copy contains the removed file again, which is visible without a report."""
    publish(index, 0)
    older = copy(index, "older")
    publish(index, 1)
    index.remove("foo", "1.1")
    exchange(index, older)
    assert [line.partition(":")[0] for line in said(index, "check")[1]] == ["audit log"]


def test_original_data_match_again(stale: Index, said: Callable) -> None:
    """If nothing was written in between, the report ends when the right directory is back."""
    run(stale.settings, "rebuild")
    exchange(stale, stale.home / "before-older")
    assert said(stale, "rebuild") == (0, [])
    assert said(stale, "check") == (0, [])
    assert stale.events() == ["upload"] * 3


@pytest.mark.parametrize("uploads", [0, 1], ids=["at once", "after an upload"])
def test_accept_ends_the_report(stale: Index, said: Callable, uploads: int) -> None:
    """An administrator accepts the data; the log has who and why, and check reports nothing any more."""
    publish(stale, *range(3, 3 + uploads))
    assert said(stale, "audit", "accept", "--reason", "the disk had died") == (0, [])
    *_, broken, accepted = [line for line in stale.audit() if line["event"] != "upload"]
    assert (broken["event"], accepted["event"]) == ("broken", "accepted")
    assert accepted["reason"] == "the disk had died"
    assert accepted["user"]
    run(stale.settings, "rebuild")
    assert said(stale, "check") == (0, [])
    publish(stale, 7)
    assert said(stale, "check") == (0, [])
    assert said(stale, "audit", "verify")[0] == 1


def test_accepted_once(stale: Index, said: Callable) -> None:
    """The next stale copy is reported again."""
    assert run(stale.settings, "audit", "accept") == 0
    older = copy(stale, "older-again")
    publish(stale, 8)
    exchange(stale, older)
    assert [line.partition(":")[0] for line in said(stale, "check")[1]] == ["audit log", name(8)]


def test_nothing_to_accept(index: Index, said: Callable) -> None:
    """An accept without a mismatch is not logged."""
    publish(index, 0)
    message = "There is nothing to accept: the data directory matches the audit log."
    assert said(index, "audit", "accept") == (1, [message])
    assert index.events() == ["upload"]


def test_another_index(index: Index, tmp_path: Path, said: Callable) -> None:
    """The data of another index are reported as well."""
    other = Index(tmp_path / "other")
    publish(index, 0)
    for number in range(3):
        publish(other, number)
    exchange(index, other.data)
    status, lines = said(index, "check")
    assert status == 1
    assert lines[0].startswith("audit log: its last entry is not number 3, which was written last. ")


def test_a_lost_head(index: Index, said: Callable) -> None:
    """Without the log's head, the data are reported: they are others, or have lost it."""
    publish(index, 0)
    (index.data / "state/audit-head.json").unlink()
    assert said(index, "check") == (1, [f"audit log: audit-head.json was missing or corrupt. {ACCEPT}"])


def test_after_a_rotation(tmp_path: Path) -> None:
    """The newest entry may be in a rotated file."""
    log = Log(tmp_path)
    log.write(2)
    older = log.head.read_bytes()
    log.write(2)
    for _ in range(2):
        log.rotate()
        assert log.audit.mismatch() is None
        newer = log.head.read_bytes()
        log.head.write_bytes(older)
        assert "and the log's is number 4 of " in log.audit.mismatch()
        log.head.write_bytes(newer)


def test_crash_is_not_a_mismatch(tmp_path: Path) -> None:
    """The head is written first; if the entry is missing after a crash, it is added without a report."""
    log = Log(tmp_path)
    log.write(3)
    log.change(log.lines()[:-1])
    assert log.audit.mismatch() is None
    assert log.filenames() == log.wanted()


def test_unreadable_log(index: Index, said: Callable) -> None:
    """An unreadable log is reported, and all other checks are made."""
    publish(index, 0)
    index.audit_log.unlink()
    index.audit_log.mkdir()
    status, lines = said(index, "check")
    assert status == 1
    assert lines == ["audit log: it cannot be read: Is a directory"]
    assert said(index, "rebuild")[0] == 0


def test_what_is_missing_is_found_in_rotated_files(stale: Index, said: Callable) -> None:
    """The entries of missing files may be in rotated files."""
    publish(stale, 3)
    stale.audit_log.rename(stale.audit_log.with_name("audit.log.1"))
    publish(stale, 4)
    lines = said(stale, "check")[1]
    assert [line.partition(":")[0] for line in lines] == ["audit log", name(1), name(2)]


def test_invalid_lines_are_skipped(stale: Index, said: Callable) -> None:
    """Invalid lines do not hide the valid ones."""
    publish(stale, 3)
    lines = stale.audit_log.read_text().splitlines()
    lines[1] = '{"event":"upload","filename":[]}'
    stale.audit_log.write_text("\n".join(lines) + "\n")
    found = said(stale, "check")[1]
    assert [line.partition(":")[0] for line in found] == ["audit log", name(2)]
    assert json.loads(lines[3])["event"] == "broken"
