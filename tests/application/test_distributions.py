"""Distribution files: their names, their digests, and whether they are archives at all."""

import hashlib
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.utils import is_normalized_name
from support import short
from support.archives import fitting, sdist, tarred, wheel, zipped
from wheelhouse.distributions import Refused, check_archive, check_digests, normalise, project_of

KELVIN = "\N{KELVIN SIGN}"


@pytest.mark.parametrize(
    ("filename", "project"),
    [
        ("foo-1.0-py3-none-any.whl", "foo"),
        ("Foo_Bar-1.0-py3-none-any.whl", "foo-bar"),
        ("foo.bar-1.0-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "foo-bar"),
        ("foo-1!2.0.post1.dev3+local.7-py2.py3-none-any.whl", "foo"),
        ("foo-1.0.tar.gz", "foo"),
        ("foo_bar-1.0rc1.tar.gz", "foo-bar"),
        ("foo-bar-1.0.tar.gz", "foo-bar"),
        ("foo-3d-1.0.tar.gz", "foo-3d"),
        ("Foo.Bar-1.0.zip", "foo-bar"),
    ],
)
def test_names_that_are_taken(filename: str, project: str) -> None:
    """What build tools make, and made before the names were agreed upon, can be published."""
    assert project_of(filename) == project


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "foo",
        "foo.tar.gz",
        "foo-1.0",
        "foo-.tar.gz",
        "foo-one.tar.gz",
        "foo-1.0.tar.bz2",
        "foo-1.0.tgz",
        "foo-1.0.egg",
        "foo-1.0.exe",
        "foo-1.0.tar.gz.asc",
        "foo-1.0.whl",
        "foo-1.0-py3-none.whl",
        "foo--1.0-py3-none-any.whl",
        "foo-1.0-x-py3-none-any.whl",
        # What pypiserver would take, and a browser or web server might run.
        "foo-1.0-py3.9-x.html",
        "foo-1.0-py3.9-x.php",
        "foo-1.0.win32-py3.1.cgi",
        ".htaccess-py3.1-x",
        "foo-1.0.tar.gz.html",
        # Ways out of the directory, or into another line or request.
        "../foo-1.0.tar.gz",
        "a/foo-1.0.tar.gz",
        "a\\foo-1.0.tar.gz",
        "%2e%2e%2ffoo-1.0.tar.gz",
        "foo-1.0.tar.gz\n",
        "foo\r\nX: y-1.0.tar.gz",
        "foo\0-1.0.tar.gz",
        "foo bar-1.0.tar.gz",
        '"foo"-1.0.tar.gz',
        "<b>foo-1.0.tar.gz",
        "foo?x-1.0.tar.gz",
        "foo#x-1.0.tar.gz",
        # Letters that look like others, and become them in small.
        f"{KELVIN}oo-1.0.tar.gz",
        f"{KELVIN}oo-1.0-py3-none-any.whl",
        "föö-1.0.tar.gz",
        "-1.0.zip",
        ".foo-1.0.tar.gz",
        ".foo-1.0-py3-none-any.whl",
        "..-1.0.zip",
        "_-1.0.tar.gz",
        "foo--1.0.tar.gz",
        "!-1.0.tar.gz",
        "foo+bar-1.0.tar.gz",
        "foo;x-1.0.zip",
    ],
    ids=short,
)
def test_names_that_are_refused(filename: str) -> None:
    """A name is a file on disk, a part of a URL and a link on a page, and none of these may surprise."""
    with pytest.raises(Refused):
        project_of(filename)


@given(
    st.text() | st.from_regex(r"[A-Za-z0-9._]{1,9}-[0-9.]{1,5}(-[a-z0-9-]{1,12}\.whl|\.tar\.gz|\.zip)", fullmatch=True)
)
@example(f"{KELVIN}-1.0.tar.gz")
def test_any_name(filename: str) -> None:
    """Whatever is sent as a name: a refusal in words, or a project whose name has no trap in it."""
    try:
        project = project_of(filename)
    except Refused as reason:
        assert str(reason)
    else:
        assert filename.isascii()
        assert "/" not in filename
        assert filename.endswith((".whl", ".tar.gz", ".zip"))
        assert project == normalise(project)


@given(st.from_regex(r"[A-Za-z0-9._!+-]{1,6}-1\.0(-py3-none-any\.whl|\.tar\.gz|\.zip)", fullmatch=True))
def test_any_project_is_a_project(filename: str) -> None:
    """Nobody could install a project whose name is none, and a hidden file is on no page."""
    try:
        project = project_of(filename)
    except Refused:
        return
    assert is_normalized_name(project)


CONTENT = b"what was built"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
BLAKE2 = hashlib.blake2b(CONTENT, digest_size=32).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    "claimed",
    [
        {},
        {"sha256_digest": ""},
        {"sha256_digest": SHA256},
        {"sha256_digest": SHA256.upper()},
        {"sha256_digest": f" {SHA256}\n"},
        {"sha256_digest": SHA256, "blake2_256_digest": BLAKE2, "md5_digest": MD5, "name": "foo"},
    ],
    ids=short,
)
def test_digests_that_fit(claimed: dict) -> None:
    """Clients send the digests that they know, in small letters or large."""
    stream = io.BytesIO(b"before" + CONTENT)
    stream.seek(6)
    check_digests(stream, claimed)
    assert stream.read() == CONTENT


@pytest.mark.parametrize(
    ("claimed", "said"),
    [
        ({"sha256_digest": hashlib.sha256(b"else").hexdigest()}, "sha256_digest"),
        ({"sha256_digest": SHA256[:-1]}, "sha256_digest"),
        ({"sha256_digest": MD5}, "sha256_digest"),
        ({"sha256_digest": "ä"}, "sha256_digest"),
        ({"sha256_digest": SHA256, "blake2_256_digest": SHA256}, "blake2_256_digest"),
        ({"sha256_digest": SHA256, "md5_digest": "0" * 32}, "md5_digest"),
    ],
    ids=short,
)
def test_digests_that_differ(claimed: dict, said: str) -> None:
    """A file that was damaged or cut on its way must not be taken: nobody would know until it is installed."""
    with pytest.raises(Refused, match=said):
        check_digests(io.BytesIO(CONTENT), claimed)


def newer_zip() -> bytes:
    """Return a wheel that asks for a later version of the zip format than there is."""
    content = bytearray(wheel())
    content[content.index(b"PK\x01\x02") + 6] = 255
    return bytes(content)


@pytest.mark.parametrize("filename", ["foo-1.0-py3-none-any.whl", "foo-1.0.tar.gz", "foo-1.0.zip"])
def test_archives_that_are_taken(filename: str) -> None:
    """Each kind that has a name is taken, and is read from its beginning afterwards."""
    stream = io.BytesIO(fitting(filename))
    check_archive(filename, stream)
    assert stream.read() == fitting(filename)


@pytest.mark.parametrize(
    ("filename", "content", "said"),
    [
        ("foo-1.0-py3-none-any.whl", b"", "torn"),
        ("foo-1.0-py3-none-any.whl", b"a page of text", "torn"),
        ("foo-1.0-py3-none-any.whl", sdist(), "torn"),
        ("foo-1.0-py3-none-any.whl", wheel()[:-30], "torn"),
        ("foo-1.0-py3-none-any.whl", zipped({"foo.py": ""}), "no METADATA"),
        ("foo-1.0-py3-none-any.whl", zipped({}), "no METADATA"),
        ("foo-1.0.zip", b"", "torn"),
        ("foo-1.0.zip", sdist(), "torn"),
        ("foo-1.0.tar.gz", b"", "torn"),
        ("foo-1.0.tar.gz", b"a page of text", "torn"),
        ("foo-1.0.tar.gz", wheel(), "torn"),
        ("foo-1.0.tar.gz", sdist()[:40], "torn"),
        ("foo-1.0.tar.gz", tarred({}), "empty"),
        ("foo-1.0-py3-none-any.whl", newer_zip(), "torn"),
    ],
    ids=short,
)
def test_archives_that_are_refused(filename: str, content: bytes, said: str) -> None:
    """A page saved under a wheel's name, or half of one, is refused in words while its author still watches."""
    stream = io.BytesIO(content)
    with pytest.raises(Refused, match=said):
        check_archive(filename, stream)
    assert stream.tell() == 0


@given(st.sampled_from(["foo-1.0-py3-none-any.whl", "foo-1.0.tar.gz", "foo-1.0.zip"]), st.data())
def test_damaged_archives(filename: str, data: st.DataObject) -> None:
    """Whatever bytes arrive: fine, or refused in words."""
    content = bytearray(fitting(filename))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 127))
    try:
        check_archive(filename, io.BytesIO(bytes(content)))
    except Refused as reason:
        assert str(reason)
