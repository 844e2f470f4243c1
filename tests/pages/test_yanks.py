"""Yanked releases: by command, by the settings, in any spelling."""

import json
from pathlib import Path

import pytest
from support.pages import Site
from wheelhouse.pages import yanks


def test_no_files(site: Site) -> None:
    """Without files, nothing is yanked."""
    assert yanks.load(site.paths.yanked, site.paths.configured_yanks) == {}


def test_yank_and_unyank(site: Site) -> None:
    """Unyank removes the complete entry from the file."""
    path, locks = site.paths.yanked, site.paths.locks
    yanks.change(path, locks, "foo", "1.0", "broken")
    yanks.change(path, locks, "foo", "1.1", "")
    yanks.change(path, locks, "bar", "1.0", "other")
    assert yanks.load(path) == {"foo": {"1": "broken", "1.1": ""}, "bar": {"1": "other"}}
    yanks.change(path, locks, "foo", "1.0", None)
    yanks.change(path, locks, "bar", "1.0", None)
    assert yanks.load(path) == {"foo": {"1.1": ""}}
    yanks.change(path, locks, "foo", "7", None)
    yanks.change(path, locks, "foo", "1.1", None)
    assert json.loads(path.read_text()) == {}


@pytest.mark.parametrize("version", ["1.0", "1", "v1.0.0", "1.0.0.0"])
@pytest.mark.parametrize("project", ["foo-bar", "Foo.Bar", "foo__bar"])
def test_spellings(site: Site, project: str, version: str) -> None:
    """A release has one yank in any spelling of its version."""
    path, locks = site.paths.yanked, site.paths.locks
    yanks.change(path, locks, project, version, "one")
    yanks.change(path, locks, "foo-bar", "1.0", "two")
    assert yanks.load(path) == {"foo-bar": {"1": "two"}}
    yanks.change(path, locks, project, version, None)
    assert yanks.load(path) == {}


def test_the_settings_count_before_the_command(site: Site) -> None:
    """Yanks in the settings have priority; the command adds others."""
    yanks.change(site.paths.yanked, site.paths.locks, "foo", "1.0", "typed")
    yanks.change(site.paths.yanked, site.paths.locks, "foo", "1.1", "typed")
    site.paths.configured_yanks.write_text('{"Foo": {"1.0.0": "reviewed"}}')
    found = yanks.load(site.paths.yanked, site.paths.configured_yanks)
    assert found == {"foo": {"1": "reviewed", "1.1": "typed"}}


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '{"foo": []}', '{"foo": "1.0"}', '{"foo": null}'])
def test_rejects_invalid_content(tmp_path: Path, text: str) -> None:
    """Invalid content is not treated as empty: that would offer yanked releases."""
    path = tmp_path / "yanked.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"."):
        yanks.load(path)
