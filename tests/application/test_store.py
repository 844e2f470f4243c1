"""The packages directory as pypiserver's backend."""

import io
from pathlib import Path

import pytest
from pypiserver.config import Config
from support import short
from support.archives import fitting, sdist
from support.pages import Site
from wheelhouse.distributions import Refused
from wheelhouse.pages.site import Pages
from wheelhouse.store import Store, Taken, same_version

FILES = [
    "My_Proj-1.0-py3-none-any.whl",
    "my-proj-1.0.tar.gz",
    "my_proj-1.1.tar.gz",
    "my_proj_extra-1.0.tar.gz",
    "other-1.0.tar.gz",
]


@pytest.fixture
def store(site: Site) -> Store:
    """An empty store."""
    config = Config.default_with_overrides(roots=[str(site.places.packages)], backend_arg="simple-dir")
    return Store(config, Pages(site.places))


def found(store: Store, name: str, version: str) -> list[str]:
    """Return the names of a release's files."""
    return sorted(Path(file.fn).name for file in store.find_version(name, version))


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("my-proj", "1.0", ["My_Proj-1.0-py3-none-any.whl", "my-proj-1.0.tar.gz"]),
        ("My.Proj", "1.0.0", ["My_Proj-1.0-py3-none-any.whl", "my-proj-1.0.tar.gz"]),
        ("MY__PROJ", "v1", ["My_Proj-1.0-py3-none-any.whl", "my-proj-1.0.tar.gz"]),
        ("my-proj", "1.1", ["my_proj-1.1.tar.gz"]),
        ("my-proj", "1", ["My_Proj-1.0-py3-none-any.whl", "my-proj-1.0.tar.gz"]),
        ("my-proj", "2.0", []),
        ("my-proj", "", []),
        ("my-proj", "*", []),
        ("my", "1.0", []),
        ("*", "1.0", []),
        ("", "1.0", []),
    ],
)
def test_find_version(store: Store, name: str, version: str, expected: list[str]) -> None:
    """Removing goes by this: every spelling finds the release, and none finds another one."""
    for filename in FILES:
        store.add_package(filename, io.BytesIO(fitting(filename)))
    assert found(store, name, version) == expected


@pytest.mark.parametrize(
    ("filename", "name", "version", "expected"),
    [
        ("foo-3d-1.0.tar.gz", "foo-3d", "1.0", True),
        ("foo-3d-1.0.tar.gz", "foo", "3d-1.0", False),
        ("foo-1.0-1-py3-none-any.whl", "foo", "1.0", True),
        ("foo-1.0-1-py3-none-any.whl", "foo", "1.0.post1", False),
        ("foo-1.0.post1-py3-none-any.whl", "foo", "1.0-1", True),
        ("foo-1.0-py3-none-any.whl", "foo", "1.0.post1", False),
    ],
    ids=short,
)
def test_odd_names_belong_to_their_release(
    store: Store, filename: str, name: str, version: str, expected: bool
) -> None:
    """The right was given for the project as packaging reads it, so it is that project's file that goes."""
    store.add_package(filename, io.BytesIO(fitting(filename)))
    assert found(store, name, version) == ([filename] if expected else [])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1.0", "1", True),
        ("1.0", "1.0.0", True),
        ("1.0RC1", "1.0-rc.1", True),
        ("1.0", "1.0+local", False),
        ("1.0", "1.0.post0", False),
        ("1.0", "1!1.0", False),
        ("no version", "no version", True),
        ("no version", "1.0", False),
    ],
)
def test_same_version(one: str, other: str, same: bool) -> None:
    """Spellings of one version are one version (PEP 440), and others are others."""
    assert same_version(one, other) is same


def test_taken(store: Store, site: Site) -> None:
    """What was published stays as it is: somebody may have installed it."""
    store.add_package("foo-1.0.tar.gz", io.BytesIO(sdist("foo", "1.0")))
    with pytest.raises(Taken):
        store.add_package("foo-1.0.tar.gz", io.BytesIO(sdist("foo", "2.0")))
    assert (site.places.packages / "foo-1.0.tar.gz").read_bytes() == sdist("foo", "1.0")


@pytest.mark.parametrize(
    ("filename", "content"),
    [("foo-1.0.tar.gz", sdist()[:-20]), ("foo-1.0-py3-none-any.whl", b"a page"), ("foo-1.0.tar.gz", b"")],
    ids=short,
)
def test_torn(store: Store, site: Site, filename: str, content: bytes) -> None:
    """A file that would be on no page is not taken: its author would wait for it in vain."""
    with pytest.raises(Refused, match=filename):
        store.add_package(filename, io.BytesIO(content))
    assert list(site.places.packages.iterdir()) == []
    assert site.on_pages() == {}
