"""The content of the pages, according to the PEPs."""

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_version
from support.file_records import CHANGED, ENTRIES, FILENAMES, TEXTS, YANKED, entry
from support.pages import URL, sha256
from wheelhouse.pages import render

NASTY = '"><script>alert(1)</script><a href="https://evil.example">\'&amp;'


class Reader(HTMLParser):
    """The content of a page: links with their texts, other tags, meta elements, and visible text."""

    def __init__(self, page: bytes):
        super().__init__()
        self.anchors: list[tuple[dict, str]] = []
        self.tags: list[str] = []
        self.meta: dict[str, str] = {}
        self.shown = ""
        self._inside = False
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        """Record a tag."""
        self.tags.append(tag)
        if tag == "a":
            assert not self._inside
            assert len(attrs) == len(dict(attrs))
            self._inside = True
            self.anchors.append((dict(attrs), ""))
        elif tag == "meta":
            self.meta |= {dict(attrs).get("name", ""): dict(attrs).get("content", "")}

    def handle_endtag(self, tag: str) -> None:
        """Record the end of a tag."""
        self._inside = self._inside and tag != "a"

    def handle_data(self, data: str) -> None:
        """Record text."""
        self.shown += data
        if self._inside:
            attributes, text = self.anchors[-1]
            self.anchors[-1] = (attributes, text + data)


def as_json(*entries: object, yanked: dict | None = None) -> dict:
    """Return the JSON page of a project, parsed."""
    return json.loads(render.project_json("foo", entries, yanked or {}))


def as_html(*entries: object, yanked: dict | None = None) -> Reader:
    """Return the HTML page of a project, parsed."""
    return Reader(render.project_html("foo", entries, yanked or {}))


def test_project_json() -> None:
    """PEP 691 and PEP 700: all required keys exist, each with its type, and no key has an empty value."""
    wheel = entry(requires_python=">=3.8", metadata_sha256=sha256(b"metadata"))
    assert as_json(wheel, entry("foo-0.9.tar.gz")) == {
        "meta": {"api-version": "1.4"},
        "name": "foo",
        "versions": ["0.9", "1.0"],
        "files": [
            {
                "filename": "foo-0.9.tar.gz",
                "url": "../../packages/foo-0.9.tar.gz",
                "hashes": {"sha256": sha256(b"foo-0.9.tar.gz")},
                "size": 1234,
                "upload-time": "2024-05-06T07:08:09.012345Z",
            },
            {
                "filename": "foo-1.0-py3-none-any.whl",
                "url": "../../packages/foo-1.0-py3-none-any.whl",
                "hashes": {"sha256": sha256(b"foo-1.0-py3-none-any.whl")},
                "size": 1234,
                "upload-time": "2024-05-06T07:08:09.012345Z",
                "requires-python": ">=3.8",
                "core-metadata": {"sha256": sha256(b"metadata")},
            },
        ],
    }


def test_json_has_no_former_name_of_the_metadata() -> None:
    """PEP 714: pip 22.3 to 23.1, which includes that of Debian 12, fails on pages with the former key."""
    (file,) = as_json(entry(metadata_sha256=sha256(b"metadata")))["files"]
    assert [key for key in file if "metadata" in key] == ["core-metadata"]


def test_every_project_is_active() -> None:
    """PEP 792: a project without a status is active, and the optional keys of API 1.2 and 1.3 are not written."""
    page = as_json(entry())
    assert page.keys() == {"meta", "name", "versions", "files"}
    assert page["meta"].keys() == {"api-version"}
    assert "provenance" not in page["files"][0]
    assert not [name for name in as_html(entry()).meta if name.startswith("pypi:project-status")]


def test_versions_are_unique() -> None:
    """PEP 700: each version occurs once, for any number of files."""
    page = as_json(entry(), entry("foo-1.0.tar.gz"), entry("foo-1.0-1-py3-none-any.whl"), entry("foo-1.1.tar.gz"))
    assert page["versions"] == ["1.0", "1.1"]


def test_root() -> None:
    """PEP 691 and PEP 503: every project occurs once, by its normalized name, with a link to its page."""
    assert json.loads(render.root_json(["foo", "bar-2"])) == {
        "meta": {"api-version": "1.4"},
        "projects": [{"name": "bar-2"}, {"name": "foo"}],
    }
    page = Reader(render.root_html(["foo", "bar-2"]))
    assert page.anchors == [({"href": "bar-2/"}, "bar-2"), ({"href": "foo/"}, "foo")]
    assert page.meta["pypi:repository-version"] == "1.4"


def test_landing_page_without_projects() -> None:
    """The root page of a new index is valid for programs."""
    assert json.loads(render.root_json([])) == {"meta": {"api-version": "1.4"}, "projects": []}
    assert Reader(render.root_html([])).anchors == []
    assert "0 projects" in Reader(render.landing({}, URL)).shown


def test_project_html() -> None:
    """PEP 503 with PEP 592, 629 and 714: a link for each file, with its name as text, and the data attributes."""
    wheel = entry(requires_python=">=3.8,<4", metadata_sha256=sha256(b"metadata"))
    page = as_html(wheel, entry("foo-0.9.tar.gz"), yanked={"0.9": ""})
    assert page.meta["pypi:repository-version"] == "1.4"
    assert page.anchors == [
        (
            {
                "href": f"../../packages/foo-1.0-py3-none-any.whl#sha256={sha256(b'foo-1.0-py3-none-any.whl')}",
                "data-requires-python": ">=3.8,<4",
                "data-core-metadata": f"sha256={sha256(b'metadata')}",
                "data-dist-info-metadata": f"sha256={sha256(b'metadata')}",
            },
            "foo-1.0-py3-none-any.whl",
        ),
        (
            {"href": f"../../packages/foo-0.9.tar.gz#sha256={sha256(b'foo-0.9.tar.gz')}", "data-yanked": ""},
            "foo-0.9.tar.gz",
        ),
    ]


def test_requires_python_is_escaped() -> None:
    """PEP 503 requires < and > to be escaped."""
    text = render.project_html("foo", [entry(requires_python=">=3.8,<4")], {}).decode()
    assert 'data-requires-python="&gt;=3.8,&lt;4"' in text
    assert ">=3.8,<4" not in text


@pytest.mark.parametrize(
    ("reason", "in_json"), [("", True), ("broken", "broken"), (NASTY, NASTY), ("line\nline", "line\nline")]
)
def test_yanked(reason: str, in_json: object) -> None:
    """PEP 592 and PEP 691: the reason if there is one, otherwise true, and nothing for other files."""
    entries = entry(), entry("foo-1.0.tar.gz"), entry("foo-1.1.tar.gz")
    files = as_json(*entries, yanked={"1": reason})["files"]
    assert [file.get("yanked") for file in files] == [in_json, in_json, None]
    page = as_html(*entries, yanked={"1": reason})
    assert [attributes.get("data-yanked") for attributes, _ in page.anchors] == [None, reason, reason]
    assert page.shown.count("yanked") == 2


@pytest.mark.parametrize("yanked", ["1", "1.0", "1.0.0", "v1.0"])
@pytest.mark.parametrize("filename", ["foo-1.0.tar.gz", "foo-1.tar.gz", "foo-1.0.0-py3-none-any.whl"])
def test_yanked_in_any_spelling(yanked: str, filename: str) -> None:
    """A yank applies to all spellings of a version (PEP 440): otherwise a broken release would be offered."""
    yanks = {canonicalize_version(yanked): "broken"}
    assert as_json(entry(filename), yanked=yanks)["files"][0]["yanked"] == "broken"
    assert "yanked" not in as_json(entry("foo-1.0.1.tar.gz"), yanked=yanks)["files"][0]


@settings(max_examples=40)
@given(ENTRIES, YANKED)
def test_values_are_escaped(entries: list, yanked: dict) -> None:
    """Values from metadata and reasons change no elements of the page."""
    page = as_html(*entries, yanked=yanked)
    plain = as_html(
        *(entry(found.filename, requires_python=found.requires_python and "x") for found in entries),
        yanked=dict.fromkeys(yanked, "x"),
    )
    assert page.tags == plain.tags
    assert sorted(text for _, text in page.anchors) == sorted(found.filename for found in entries)
    for found in entries:
        (attributes,) = [attributes for attributes, text in page.anchors if text == found.filename]
        assert attributes.get("data-requires-python") == found.requires_python
        assert attributes.get("data-yanked") == yanked.get(canonicalize_version(found.version))


@given(st.from_regex(r"[a-z0-9]{1,5}(-[a-z0-9]{1,5})?", fullmatch=True), TEXTS)
def test_landing(project: str, version: str) -> None:
    """The landing page has each project with its newest version, and the URL to copy."""
    page = Reader(render.landing({project: version}, URL))
    assert page.anchors == [({"href": f"simple/{project}/"}, project)]
    assert version in page.shown
    assert "1 project" in page.shown
    assert f"{URL}simple/" in page.shown
    assert page.tags == Reader(render.landing({"a": "b"}, URL)).tags


@settings(max_examples=40)
@given(ENTRIES, YANKED, st.randoms(use_true_random=False))
def test_same_input_same_bytes(entries: list, yanked: dict, random) -> None:
    """The ETag is stable: the order in which files were read does not change the page."""
    other = list(entries)
    random.shuffle(other)
    again = dict(sorted(yanked.items(), reverse=True))
    assert render.project_json("foo", entries, yanked) == render.project_json("foo", other, again)
    assert render.project_html("foo", entries, yanked) == render.project_html("foo", other, again)
    names = [found.filename for found in entries]
    assert render.root_html(names) == render.root_html(reversed(names))
    assert render.root_json(names) == render.root_json(set(names))


@pytest.mark.parametrize("filename", FILENAMES)
def test_links_lead_to_the_file(filename: str) -> None:
    """Links are relative, so they work with any host name and port, and refer to exactly that file."""
    page = "https://pypi.example.com:8443/simple/foo-bar/"
    links = [as_json(entry(filename))["files"][0]["url"], as_html(entry(filename)).anchors[0][0]["href"]]
    for link in links:
        parts = urlsplit(link)
        assert (parts.scheme, parts.netloc, parts.query) == ("", "", "")
        assert re.fullmatch(r"[A-Za-z0-9._~%!+/-]+", parts.path)
        reached = urlsplit(urljoin(page, link))
        assert (reached.netloc, str(PurePosixPath(reached.path).parent)) == ("pypi.example.com:8443", "/packages")
        assert unquote(PurePosixPath(reached.path).name) == filename


def test_newest() -> None:
    """Versions are ordered by PEP 440: ascending for programs, descending for people."""
    entries = [entry(f"foo-{version}.tar.gz") for version in ("1.10", "1.9", "1!0.1", "2.0rc1", "2.0", "2.0.dev3")]
    order = ["1.9", "1.10", "2.0.dev3", "2.0rc1", "2.0", "1!0.1"]
    assert as_json(*entries)["versions"] == order
    assert [text[4:-7] for _, text in as_html(*entries).anchors] == order[::-1]


@given(st.integers(-(1 << 62), 1 << 70))
def test_any_time(changed: int) -> None:
    """PEP 700: yyyy-mm-ddThh:mm:ss.ffffffZ, also for a file with an invalid time."""
    text = render.upload_time(entry(changed=changed))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    assert as_html(entry(changed=changed)).anchors


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_time(changed: int) -> None:
    """The time is exact to the microsecond: uv compares it with a cut-off date."""
    found = datetime.strptime(render.upload_time(entry(changed=changed)), "%Y-%m-%dT%H:%M:%S.%f%z")
    assert int(found.timestamp()) == changed // 10**9
    assert found.microsecond == changed % 10**9 // 1000
    assert found.tzinfo == UTC
    assert datetime.fromtimestamp(CHANGED // 10**9, UTC).year == 2024


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_940, "9.9 kB"),
        (12_345, "12 kB"),
        (999_400, "999 kB"),
        (1_500_000, "1.5 MB"),
        (2_500_000_000, "2.5 GB"),
        (2_500_000_000_000, "2500.0 GB"),
    ],
)
def test_sizes_for_people(size: int, shown: str) -> None:
    """Sizes are rounded and have a unit."""
    assert f">{shown}<" in render.project_html("foo", [entry(size=size)], {}).decode()
