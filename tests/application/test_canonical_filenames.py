"""Canonical filenames: equal for all spellings of one distribution."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wheelhouse.distributions.filenames import canonical_filename, parse_filename
from wheelhouse.errors import RequestError


@pytest.mark.parametrize(
    ("filename", "canonical"),
    [
        ("foo-1.0.1.tar.gz", "foo-1.0.1.tar.gz"),
        ("Foo.Bar-1.0rc01.zip", "foo_bar-1rc1.zip"),
        ("foo-3d-v1.0.0+Ubuntu.01.tar.gz", "foo_3d-1+ubuntu.1.tar.gz"),
        ("foo-1!0.0.tar.gz", "foo-1!0.tar.gz"),
        ("Foo-1.0-PY3.py2-None-ANY.whl", "foo-1-py2.py3-none-any.whl"),
        ("foo-1.0-01abc-py3-none-any.whl", "foo-1-1abc-py3-none-any.whl"),
        (
            "foo-2-cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "foo-2-cp311-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        ),
    ],
)
def test_equal_for_all_spellings(filename: str, canonical: str) -> None:
    """Project, version and tags are normalized; build tag and file type stay as they are."""
    assert canonical_filename(filename) == canonical


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "foo.whl",
        "foo-1.0.TAR.GZ",
        "../foo-1.0.tar.gz",
        "foo-1.0-py3-none-any.whl\n",
        "foo-1.0-py3-none-any.WHL",
        # Non-ASCII letters and digits that become k or 1 when converted to lower case or to a number.
        "foo-1.0-py3-none-\N{KELVIN SIGN}.whl",
        "foo-1.0-\N{ARABIC-INDIC DIGIT ONE}-py3-none-any.whl",
    ],
    ids=ascii,
)
def test_rejects_invalid_filenames(filename: str) -> None:
    """An invalid filename has no canonical filename that could equal that of an existing file."""
    with pytest.raises(RequestError):
        canonical_filename(filename)


names = st.from_regex(r"[A-Za-z0-9]([._-]?[A-Za-z0-9]){0,3}", fullmatch=True)
versions = st.from_regex(r"v?[0-2](\.[01]){0,2}((a|rc|\.post|\.dev)[01])?", fullmatch=True)
tags = st.sampled_from(["py3-none-any", "Py2.py3-none-any", "py3.py2-none-any", "cp311-abi3-linux_x86_64"])
wheels = st.builds(
    lambda name, version, build, tag: f"{name.replace('-', '_')}-{version}{build}-{tag}.whl",
    names,
    versions,
    st.sampled_from(["", "-1", "-01", "-1a"]),
    tags,
)
sdists = st.builds(
    lambda name, version, kind: f"{name}-{version}{kind}", names, versions, st.sampled_from([".tar.gz", ".zip"])
)


@given(wheels | sdists, wheels | sdists)
def test_equal_for_equal_releases(one: str, other: str) -> None:
    """The canonical filename is a valid filename of the same release and its own canonical form."""
    try:
        canonical = canonical_filename(one)
        release = parse_filename(one)
    except RequestError:
        return
    assert parse_filename(canonical) == release
    assert canonical_filename(canonical) == canonical
    try:
        same = canonical_filename(other) == canonical
    except RequestError:
        return
    if same:
        assert parse_filename(other) == release
