"""The pages as an independent reader, pypi-simple, parses them."""

import json
from datetime import datetime

import pytest
from hypothesis import given, settings
from packaging.utils import canonicalize_version
from pypi_simple import DistributionPackage, IndexPage, ProjectPage
from support.file_records import ENTRIES, FILENAMES, YANKED, entry
from support.pages import sha256
from wheelhouse.pages import render

PAGE = "https://pypi.example.com/simple/foo-bar/"


def from_json(entries: list, yanked: dict) -> ProjectPage:
    """Return the JSON page as pypi-simple reads it."""
    data = json.loads(render.project_json("foo-bar", entries, yanked))
    return ProjectPage.from_json_data(data, base_url=PAGE)


def from_html(entries: list, yanked: dict) -> ProjectPage:
    """Return the HTML page as pypi-simple reads it."""
    text = render.project_html("foo-bar", entries, yanked).decode()
    return ProjectPage.from_html("foo-bar", text, base_url=PAGE)


def facts(package: DistributionPackage) -> dict:
    """Return the details of a file in both formats of a page."""
    return {
        "filename": package.filename,
        "project": package.project,
        "version": package.version,
        "type": package.package_type,
        "url": package.url.partition("#")[0],
        "digests": package.digests,
        "requires_python": package.requires_python,
        "yanked": package.is_yanked,
        "reason": package.yanked_reason or "",
        "has_metadata": bool(package.has_metadata),
        "metadata_digests": package.metadata_digests or {},
    }


@settings(max_examples=40)
@given(ENTRIES, YANKED)
def test_html_and_json_agree(entries: list, yanked: dict) -> None:
    """Clients must install the same files, whichever format they request."""
    in_json, in_html = from_json(entries, yanked), from_html(entries, yanked)
    assert in_json.repository_version == in_html.repository_version == "1.4"
    assert [facts(package) for package in in_json.packages] == [facts(package) for package in in_html.packages][::-1]
    assert len(in_json.packages) == len(entries)


@settings(max_examples=40)
@given(ENTRIES, YANKED)
def test_pages_match_the_records(entries: list, yanked: dict) -> None:
    """Both formats are compared with the file records, since both could be wrong."""
    packages = {package.filename: package for package in from_json(entries, yanked).packages}
    for known in entries:
        package = packages[known.filename]
        reason = yanked.get(canonicalize_version(known.version))
        assert package.digests == {"sha256": known.sha256}
        assert package.size == known.size
        assert package.requires_python == known.requires_python
        assert package.is_yanked is (reason is not None)
        assert (package.yanked_reason or "") == (reason or "")
        assert package.metadata_digests == ({"sha256": known.metadata_sha256} if known.metadata_sha256 else None)
        assert isinstance(package.upload_time, datetime)
        assert int(package.upload_time.timestamp()) == known.changed // 10**9


@pytest.mark.parametrize("filename", FILENAMES)
def test_filenames_are_parsed(filename: str) -> None:
    """Project and version are parsed from each kind of name, and the metadata has the file's URL with a suffix."""
    (package,) = from_json([entry(filename, metadata_sha256=sha256(b"m"))], {}).packages
    assert package.project.lower().replace("_", "-").replace(".", "-") == "foo-bar"
    assert package.version == filename.split("-")[1].removesuffix(".tar.gz").removesuffix(".zip")
    assert package.metadata_url == f"{package.url}.metadata"


def test_versions() -> None:
    """PEP 700 lists the versions, so that clients do not need to parse file names."""
    assert from_json([entry("foo_bar-1.10.zip"), entry("foo_bar-1.9.tar.gz")], {}).versions == ["1.9", "1.10"]


def test_root() -> None:
    """Mirrors and search tools read the root page."""
    names = ["bar", "foo-bar"]
    in_json = IndexPage.from_json_data(json.loads(render.root_json(names)))
    in_html = IndexPage.from_html(render.root_html(names).decode())
    assert in_json.projects == in_html.projects == names
    assert in_json.repository_version == in_html.repository_version == "1.4"
