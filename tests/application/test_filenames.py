"""Filenames of distributions: which are valid."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name, is_normalized_name
from support import short
from wheelhouse.distributions.filenames import parse_project
from wheelhouse.errors import RequestError

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
def test_accepts_valid_names(filename: str, project: str) -> None:
    """Names that current and former build tools create are accepted."""
    assert parse_project(filename) == project


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
        # Files that pypiserver accepts, and that a browser or web server might execute.
        "foo-1.0-py3.9-x.html",
        "foo-1.0-py3.9-x.php",
        "foo-1.0.win32-py3.1.cgi",
        ".htaccess-py3.1-x",
        "foo-1.0.tar.gz.html",
        # Path traversal, and characters that end a line or a request.
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
        # Non-ASCII letters, some of which become ASCII letters in lower case.
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
def test_rejects_invalid_names(filename: str) -> None:
    """A name is a file on disk, a part of a URL and a link on a page, and must be safe in all of them."""
    with pytest.raises(RequestError):
        parse_project(filename)


@given(
    st.text() | st.from_regex(r"[A-Za-z0-9._]{1,9}-[0-9.]{1,5}(-[a-z0-9-]{1,12}\.whl|\.tar\.gz|\.zip)", fullmatch=True)
)
@example(f"{KELVIN}-1.0.tar.gz")
def test_any_name(filename: str) -> None:
    """Any filename gives an error message, or a safe project name."""
    try:
        project = parse_project(filename)
    except RequestError as reason:
        assert str(reason)
    else:
        assert filename.isascii()
        assert "/" not in filename
        assert filename.endswith((".whl", ".tar.gz", ".zip"))
        assert project == canonicalize_name(project)


@given(st.from_regex(r"[A-Za-z0-9._!+-]{1,6}-1\.0(-py3-none-any\.whl|\.tar\.gz|\.zip)", fullmatch=True))
def test_any_project_is_a_project(filename: str) -> None:
    """A project with an invalid name cannot be installed, and dot files are not listed."""
    try:
        project = parse_project(filename)
    except RequestError:
        return
    assert is_normalized_name(project)
