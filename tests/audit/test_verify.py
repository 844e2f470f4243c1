"""Every modification of the log is detected and reported."""

import gzip
import json
import re
from collections.abc import Callable

import pytest
from support.audit import Log
from wheelhouse.audit.entry import MAX_LINE_SIZE, AuditEntry
from wheelhouse.audit.verify import Verification

Lines = list[bytes]


def edited(line: bytes, old: bytes = b"alice", new: bytes = b"mallo") -> bytes:
    """Return a line with another user in place of the real one."""
    assert old in line
    return line.replace(old, new)


def forged(before: bytes, **facts: object) -> bytes:
    """Return a forged line with a correct hash of its predecessor."""
    facts = {"event": "upload", "user": "mallory", "address": "192.0.2.2", "filename": "foo-9.tar.gz"} | facts
    return AuditEntry.following(AuditEntry.parse(before.rstrip(b"\n")), facts).raw + b"\n"


def changed(lines: Lines, place: int, line: bytes) -> Lines:
    """Return the lines with one of them replaced."""
    return [*lines[:place], line, *lines[place + 1 :]]


def inserted(lines: Lines, place: int, *more: bytes) -> Lines:
    """Return the lines with others inserted before one of them."""
    return [*lines[:place], *more, *lines[place:]]


# Modifications of ten lines, and the faults that are reported for each, in order.
TAMPERING: dict[str, tuple[Callable[[Lines], Lines], list[str]]] = {
    "the first is edited": (
        lambda lines: changed(lines, 0, edited(lines[0])),
        ["audit.log line 2 does not match audit.log line 1: one of them was modified"],
    ),
    "one is edited": (
        lambda lines: changed(lines, 4, edited(lines[4])),
        ["audit.log line 6 does not match audit.log line 5: one of them was modified"],
    ),
    "the last is edited": (
        lambda lines: changed(lines, 9, edited(lines[9])),
        ["audit.log line 10 was modified or inserted: the newest entry is another number 10"],
    ),
    "two neighbours are edited": (
        lambda lines: changed(changed(lines, 4, edited(lines[4])), 5, edited(lines[5])),
        ["audit.log line 6 does not match audit.log line 5", "audit.log line 7 does not match audit.log line 6"],
    ),
    "the link of one is edited": (
        lambda lines: changed(lines, 4, edited(lines[4], b'"previous":"', b'"previous":"0')),
        ["audit.log line 5 does not match audit.log line 4", "audit.log line 6 does not match audit.log line 5"],
    ),
    "the number of one is edited": (
        lambda lines: changed(lines, 4, edited(lines[4], b'"number":5,', b'"number":7,')),
        ["audit.log line 5 has line(s) missing before it: number 5 to 6", "audit.log line 6 is"],
    ),
    "one becomes nonsense": (
        lambda lines: changed(lines, 4, b"nonsense\n"),
        ["audit.log line 5 is an invalid entry"],
    ),
    "one is emptied": (lambda lines: changed(lines, 4, b"\n"), ["audit.log line 5 is an invalid entry"]),
    "one is cut": (
        lambda lines: changed(lines, 4, lines[4][:40] + b"\n"),
        ["audit.log line 5 is an invalid entry"],
    ),
    "two become one": (
        lambda lines: changed(lines, 4, lines[4].rstrip(b"\n")),
        ["audit.log line 5 is an invalid entry", "audit.log line 6 has line(s) missing before it"],
    ),
    "another line end": (
        lambda lines: changed(lines, 4, lines[4].replace(b"\n", b"\r\n")),
        ["audit.log line 6 does not match audit.log line 5"],
    ),
    "a space": (
        lambda lines: changed(lines, 4, lines[4].replace(b",", b", ", 1)),
        ["audit.log line 6 does not match audit.log line 5"],
    ),
    "the first is dropped": (
        lambda lines: lines[1:],
        ["audit.log line 1 has line(s) missing before it: number 1"],
    ),
    "the first three are dropped": (
        lambda lines: lines[3:],
        ["audit.log line 1 has line(s) missing before it: number 1 to 3"],
    ),
    "one is dropped": (
        lambda lines: [*lines[:4], *lines[5:]],
        ["audit.log line 5 has line(s) missing before it: number 5"],
    ),
    "the last two are dropped": (
        lambda lines: lines[:8],
        ["Entries missing after audit.log line 8: number 9 to 10"],
    ),
    "all are dropped": (lambda _lines: [], ["Entries missing after the beginning: number 1 to 10"]),
    "one is added that fits": (
        lambda lines: inserted(lines, 5, forged(lines[4])),
        ["audit.log line 7 is number 6, and number 7 is expected: it was inserted or moved"],
    ),
    "one is added with another number": (
        lambda lines: inserted(lines, 5, forged(lines[1])),
        ["audit.log line 6 is number 3, and number 6 is expected: it was inserted or moved"],
    ),
    "one is added at the end": (
        lambda lines: [*lines, forged(lines[-1])],
        ["audit.log line 11 was inserted: the newest entry is number 10"],
    ),
    "two are added at the end": (
        lambda lines: [*lines, forged(lines[-1]), forged(forged(lines[-1]))],
        ["audit.log line 11 was inserted", "audit.log line 12 was inserted"],
    ),
    "nonsense is added": (
        lambda lines: inserted(lines, 5, b"a\n", b"b\n", b"c\n", b"d\n"),
        [f"audit.log line {number} is an invalid entry" for number in (6, 7, 8, 9)],
    ),
    "nonsense is added at the end": (
        lambda lines: [*lines, b"nonsense\n"],
        ["audit.log line 11 is an invalid entry"],
    ),
    "half a line is added at the end": (
        lambda lines: [*lines, b"nonsense"],
        ["audit.log line 11 is an invalid entry"],
    ),
    "nonsense comes first": (
        lambda lines: inserted(lines, 0, b"nonsense\n"),
        ["audit.log line 1 is an invalid entry"],
    ),
    "a long line is added": (
        lambda lines: inserted(lines, 5, b"x" * 1_000_000 + b"\n"),
        ["audit.log line 6 is an invalid entry"],
    ),
    "a deep one is added": (
        lambda lines: inserted(lines, 5, b"[" * 30_000 + b"\n"),
        ["audit.log line 6 is an invalid entry"],
    ),
    "two are swapped": (
        lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]],
        ["audit.log line 5 has line(s) missing before it", "audit.log line 7 has line(s) missing before it"],
    ),
    "one is doubled": (
        lambda lines: inserted(lines, 4, lines[4]),
        ["audit.log line 6 is number 5, and number 6 is expected: it was inserted or moved"],
    ),
    "some are doubled": (
        lambda lines: inserted(lines, 6, *lines[3:6]),
        ["audit.log line 7 is number 4, and number 7 is expected: it was inserted or moved"],
    ),
    "the last is doubled": (
        lambda lines: [*lines, lines[-1]],
        ["audit.log line 11 was inserted: the newest entry is number 10"],
    ),
    "the last is put in the middle as well": (
        lambda lines: inserted(lines, 4, lines[-1]),
        ["audit.log line 5 has line(s) missing before it"],
    ),
    "two things at once": (
        lambda lines: [*changed(lines, 1, edited(lines[1]))[:6], *lines[7:]],
        ["audit.log line 3 does not match audit.log line 2", "audit.log line 7 has line(s) missing before it"],
    ),
}


@pytest.mark.parametrize(("harm", "found"), TAMPERING.values(), ids=TAMPERING.keys())
def test_detects_modifications(log: Log, harm: Callable[[Lines], Lines], found: list[str]) -> None:
    """Each modified place is reported, and no other line is."""
    log.write(10)
    log.change(harm(log.lines()))
    faults = log.faults()
    assert [fault[: len(start)] for fault, start in zip(faults, found, strict=True)] == found


@pytest.mark.parametrize("harm", [harm for harm, _found in TAMPERING.values()], ids=TAMPERING.keys())
def test_modifications_stay_detected(log: Log, harm: Callable[[Lines], Lines]) -> None:
    """Later entries do not hide a modification."""
    log.write(10)
    log.change(harm(log.lines()))
    log.write(3)
    assert log.filenames()[-3:] == log.wanted()[-3:]
    before = log.faults()
    assert before
    log.write(3)
    log.rotate()
    log.write(3)
    assert log.filenames()[-6:] == log.wanted()[-6:]
    assert [fault.replace("audit.log.1", "audit.log") for fault in log.faults()] == before


def test_partial_line_stays_detected(log: Log) -> None:
    """A partial line at the end is kept, and the next entry begins on a new line."""
    log.write(3)
    log.change([*log.lines(), b"nonsense"])
    log.write()
    assert log.lines()[3] == b"nonsense\n"
    assert [line["event"] for line in log.all()] == ["upload"] * 3 + ["broken", "upload"]


def test_a_line_without_an_end(log: Log) -> None:
    """The last byte of a rotated file is protected like all others."""
    log.write(3)
    log.rotate()
    log.write()
    path = log.path.with_name("audit.log.1")
    whole = path.read_bytes()
    for end in (b"", b"x", b"\0"):
        path.write_bytes(whole[:-1] + end)
        assert log.faults() == ["audit.log.1 line 3 is an invalid entry: modified or inserted"]


def test_reads_limited_lines(log: Log) -> None:
    """A file without line ends, of any size, does not exhaust the memory."""
    log.write(2)
    log.change([log.lines()[0], b"x" * 10 * MAX_LINE_SIZE + b"\n", log.lines()[1]])
    with log.audit.reading() as (_head, (part,)):
        assert [len(raw) for raw in part.lines()][1] == MAX_LINE_SIZE


def test_detects_a_deleted_last_line(log: Log) -> None:
    """A deletion cannot be distinguished from a crash, so it is repaired: the same line is written again."""
    log.write(10)
    lines = log.lines()
    log.change(lines[:-1])
    assert log.faults() == []
    assert log.lines() == lines
    log.change([*lines[:-1], lines[-1][:20]])
    log.write()
    assert log.lines()[:10] == lines
    assert log.faults() == []


def test_valid_log_has_no_faults(log: Log) -> None:
    """A valid log has no warnings."""
    assert log.faults() == []
    for _ in range(3):
        log.write()
        assert log.faults() == []


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"{}\n", b"\xff"])
def test_detects_a_corrupt_head(log: Log, content: bytes) -> None:
    """Without the head, deleted lines at the end cannot be detected, and verify continues to report that."""
    log.write(3)
    log.head.write_bytes(content)
    (fault,) = log.faults()
    assert fault == "The head, a copy of the newest entry, is missing or corrupt: the last entries may be missing"
    log.write(2)
    (fault,) = log.faults()
    assert fault.startswith("audit.log line 4 says that log and head did not match")
    assert "audit-head.json was missing or corrupt" in fault
    assert log.filenames() == log.wanted()


def test_detects_a_lost_head(log: Log) -> None:
    """A missing head has the same effect."""
    log.write(3)
    log.head.unlink()
    assert len(log.faults()) == 1
    log.write(2)
    assert len(log.faults()) == 1


def test_detects_a_modified_head(log: Log) -> None:
    """Head and log are compared in both directions."""
    log.write(3)
    log.head.write_bytes(edited(log.head.read_bytes()))
    assert log.faults() == ["audit.log line 3 was modified or inserted: the newest entry is another number 3"]
    log.write()
    assert log.faults()[0].startswith("audit.log line 4 does not match audit.log line 3")


def test_detects_an_old_head(log: Log) -> None:
    """If only the data was restored from a backup, entries that the backup does not know are reported."""
    log.write(3)
    old = log.head.read_bytes()
    log.write(2)
    log.head.write_bytes(old)
    assert [fault.split(" was")[0] for fault in log.faults()] == ["audit.log line 4", "audit.log line 5"]
    log.write(2)
    assert log.filenames() == log.wanted()
    assert len(log.faults()) == 2
    assert log.faults()[0].startswith("audit.log line 6 is number 4, and number 6 is expected")


def test_detects_a_lost_log(log: Log) -> None:
    """If the data was restored without the log, the log continues, and the missing entries are reported."""
    log.write(5)
    log.path.unlink()
    log.write(2)
    assert [line["number"] for line in log.all()] == [6, 7, 8]
    (fault,) = log.faults()
    assert "audit.log line 1 says that log and head did not match" in fault
    assert "number 5" in fault


def test_both_are_lost(log: Log) -> None:
    """Without log and head, the log starts again at number 1."""
    log.write(5)
    log.path.unlink()
    log.head.unlink()
    log.write()
    assert [line["number"] for line in log.all()] == [1]


def test_counts_entries(log: Log) -> None:
    """The message says which entries were verified."""
    log.write(3)
    verification = Verification()
    assert list(verification.faults(log.audit)) == []
    assert (verification.count, verification.first.number, verification.last.number) == (3, 1, 3)
    assert verification.last.raw + b"\n" == log.lines()[-1]


def test_entries_written_meanwhile(log: Log) -> None:
    """Entries that are written during the verification are not reported (race)."""
    log.write(3)
    with log.audit.reading() as (head, (part,)):
        log.write(2)
        assert head.number == 3
        assert len(list(part.lines())) == 3


def test_rotation_meanwhile(log: Log) -> None:
    """Files that logrotate renames during the verification are not reported (race)."""
    log.write(3)
    log.rotate()
    log.write(3)
    with log.audit.reading() as (_head, parts):
        log.rotate()
        log.write()
        assert [json.loads(line)["number"] for part in parts for line in part.lines()] == list(range(1, 8))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_detects_modified_rotated_files(log: Log, number: int) -> None:
    """Old entries are protected like new ones, compressed or not, and reported with their file."""
    for _ in range(4):
        log.write(5)
        log.rotate()
    suffix = ".gz" if number > 1 else ""
    path = log.path.with_name(f"audit.log.{number}{suffix}")
    content = gzip.decompress(path.read_bytes()) if suffix else path.read_bytes()
    lines = content.splitlines(keepends=True)
    content = b"".join(changed(lines, 2, edited(lines[2])))
    path.write_bytes(gzip.compress(content) if suffix else content)
    (fault,) = log.faults()
    assert fault.startswith(f"{path.name} line 4 does not match {path.name} line 3")


def test_detects_a_lost_file(log: Log) -> None:
    """A missing file between two others is reported."""
    for _ in range(4):
        log.write(5)
        log.rotate()
    log.path.with_name("audit.log.2.gz").unlink()
    (fault,) = log.faults()
    assert re.fullmatch(r"audit\.log\.1 line 1 has line\(s\) missing before it: number 12 to 17", fault)


def test_detects_a_truncated_file(log: Log) -> None:
    """If a compressed file is truncated, all other files are verified."""
    for _ in range(3):
        log.write(50)
        log.rotate()
    path = log.path.with_name("audit.log.3.gz")
    path.write_bytes(path.read_bytes()[:-100])
    faults = log.faults()
    assert faults[0].startswith("audit.log.3.gz cannot be read after line ")
    assert faults[1].startswith("audit.log.2.gz line 1 has line(s) missing before it")
    assert len(faults) == 2
