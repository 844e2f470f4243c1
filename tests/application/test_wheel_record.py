"""RECORD of an uploaded wheel must match its files (PEP 376, PEP 427)."""

import base64
import hashlib
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.archives import record_line, recorded, wheel, wheel_members, zipped
from wheelhouse.config import Limits
from wheelhouse.distributions.archives.check import check_archive
from wheelhouse.errors import RequestError

WHEEL = "foo-1.0-py3-none-any.whl"
LIMITS = Limits(None, 0, max_members=10_000, max_unpacked_size=1 << 30, max_unpacked_ratio=200)
INFO = "foo-1.0.dist-info"
RECORD = f"{INFO}/RECORD"
GOOD = str(wheel_members()[RECORD])


def look(record: str | bytes, **more: str) -> None:
    """Check a wheel with this RECORD. more: additional members of its .dist-info."""
    others = {f"{INFO}/{name}": content for name, content in more.items()}
    content = zipped(wheel_members() | others | {RECORD: record})
    assert check_archive(WHEEL, io.BytesIO(content), LIMITS)


def with_hash(algorithm: str, size: str = "12") -> str:
    """Return a RECORD with another algorithm for the module."""
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, b"answer = 42\n").digest()).rstrip(b"=").decode()
    return GOOD.replace(GOOD.splitlines()[0], f"foo.py,{algorithm}={digest},{size}")


TAKEN = {
    "as it is": GOOD,
    "quoted": GOOD.replace("foo.py", '"foo.py"'),
    "without itself": GOOD.replace(f"{RECORD},,\n", ""),
    "line ends": GOOD.replace("\n", "\r\n"),
    "an empty line": GOOD + "\n",
    "no line end": GOOD.rstrip(),
    "sha384": with_hash("sha384"),
    "sha512": with_hash("sha512"),
    "no size": with_hash("sha256", ""),
    "another spelling": GOOD.replace("foo.py", "./foo.py"),
}


@pytest.mark.parametrize("record", TAKEN.values(), ids=TAKEN.keys())
def test_accepts_valid_records(record: str) -> None:
    """RECORDs that the standards allow are accepted."""
    look(record)


def test_accepts_signatures() -> None:
    """Signatures are made from RECORD, so they are not in it (PEP 427). All other files must be."""
    look(GOOD, **{"RECORD.jws": "x", "RECORD.p7s": "y"})
    with pytest.raises(RequestError, match=r"RECORD does not list 'foo-1.0.dist-info/RECORD.txt'"):
        look(GOOD, **{"RECORD.txt": "x"})


def test_accepts_directories() -> None:
    """Directories have no line in RECORD."""
    members = recorded(wheel_members() | {"foo/": "", 'foo/bar, "baz".py': "x"})
    assert check_archive(WHEEL, io.BytesIO(zipped(members)), LIMITS)


FIRST = GOOD.splitlines(keepends=True)[0]
REFUSED = {
    "empty": ("", "does not list"),
    "a file that is not listed": (GOOD.replace(FIRST, ""), "does not list 'foo.py'"),
    "no METADATA": (GOOD.replace(f"{INFO}/METADATA", "x"), f"does not list '{INFO}/METADATA'"),
    "a file that is not there": (GOOD + record_line("bar.py", ""), "lists 'bar.py', which it does not have"),
    "a file twice": (GOOD + FIRST, "lists 'foo.py' twice"),
    "a file twice, in two spellings": (GOOD + "./" + FIRST, "lists 'foo.py' twice"),
    "another hash": (GOOD.replace(FIRST, record_line("foo.py", "answer = 43\n")), "another hash or size for 'foo.py'"),
    "another size": (with_hash("sha256", "13"), "another hash or size for 'foo.py'"),
    "no hash": (GOOD.replace(FIRST, "foo.py,,\n"), "the hash '' for 'foo.py'; sha256 or better is required"),
    "md5": (with_hash("md5"), "sha256 or better is required"),
    "sha1": (with_hash("sha1"), "sha256 or better is required"),
    "sha224": (with_hash("sha224"), "sha256 or better is required"),
    "an unknown hash": (GOOD.replace("sha256", "crc32"), "sha256 or better is required"),
    "a hash without its name": (GOOD.replace("sha256=", ""), "sha256 or better is required"),
    "hexadecimal": (GOOD.replace(FIRST, f"foo.py,sha256={'0' * 64},12\n"), "another hash or size"),
    "a negative size": (with_hash("sha256", "-12"), "the size '-12' for 'foo.py'"),
    "size in other digits": (with_hash("sha256", "\u0661\u0662"), "the size"),
    "a long size": (with_hash("sha256", "12" * 3000), "another hash or size"),
    "two fields": (GOOD + "bar.py,\n", "a line is path,hash,size"),
    "four fields": (GOOD + "bar.py,,,\n", "a line is path,hash,size"),
    "outside": (GOOD + record_line("../bar.py", ""), "is not inside it"),
    "absolute": (GOOD + record_line("/bar.py", ""), "is not inside it"),
    "a quote that is not closed": (GOOD + '"bar', "a line is path,hash,size"),
    "a long field": (GOOD + "x" * 9000 + ",,\n", "a line is path,hash,size"),
    "a very long field": (GOOD + "x" * 200_000 + ",,\n", "is not valid CSV"),
    "latin-1": (GOOD.encode() + b"f\xf6\xf6,,\n", "is not UTF-8"),
}


@pytest.mark.parametrize(("record", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_rejects_invalid_records(record: str | bytes, said: str) -> None:
    """The lines of RECORD are compared with the files."""
    with pytest.raises(RequestError) as raised:
        look(record)
    assert said in str(raised.value)


@given(st.data())
def test_rejects_any_modified_byte_of_a_module(data: st.DataObject) -> None:
    """A modified module is rejected, even if the wheel was packed again."""
    content = bytearray(b"answer = 42\n")
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    members = wheel_members() | {"foo.py": bytes(content)}
    with pytest.raises(RequestError, match="another hash or size"):
        check_archive(WHEEL, io.BytesIO(zipped(members)), LIMITS)


@given(st.text(max_size=60))
def test_any_record_is_accepted_or_rejected(record: str) -> None:
    """Any content is accepted or rejected with a reason."""
    with pytest.raises(RequestError) as raised:
        look(record)
    assert str(raised.value).startswith(WHEEL)


def test_memory_is_bounded_for_many_lines() -> None:
    """A line takes the memory of its path and some hundred bytes."""
    files = {f"foo/{number:05d}.py": "" for number in range(5000)}
    content = wheel(files=files)
    tracemalloc.start()
    try:
        assert check_archive(WHEEL, io.BytesIO(content), LIMITS)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5000 * 2000
