"""Projects named wheelhouse-verify-*, for playbooks/verify.yml, leave nothing behind."""

from pathlib import Path

import pytest
from support.archives import wheel
from support.command import run
from support.web import Index

PROJECT = "wheelhouse-verify-abc"
FILE = "wheelhouse_verify_abc-1.0-py3-none-any.whl"


@pytest.fixture(params=["by_rights", "first_uploader"])
def live(index: Index, request: pytest.FixtureRequest) -> Index:
    """Return an index on which playbooks/verify.yml has run once."""
    index.start(new_projects=request.param)
    assert index.upload(FILE).code == 200
    assert list(index.page(PROJECT)) == [FILE]
    assert index.remove(PROJECT, "1.0").code == 200
    return index


def files_with_name(index: Index) -> list[Path]:
    """Return the files of state and pages that contain the project's name, or have it in their own name."""
    files = [path for path in [*index.data.rglob("*"), *index.pages.rglob("*")] if path.is_file()]
    return [path for path in files if "verify" in path.name or b"verify-abc" in path.read_bytes()]


def test_leaves_nothing(live: Index) -> None:
    """Repeated verifications add no tombstone, owner, used name or page. Only the audit log has entries."""
    assert [path for path in files_with_name(live) if path.name != "audit-head.json"] == []
    assert live.events() == ["upload", "removed"]


def test_commands_list_no_reserved_names(live: Index, capsys: pytest.CaptureFixture) -> None:
    """The output of commands contains real projects only."""
    for command in ("removed", "claims"):
        assert run(live.settings, command) == 0
    assert "verify" not in capsys.readouterr().out


def test_name_can_be_reused(live: Index) -> None:
    """The name can be used for other bytes and by another user: no client depends on it."""
    live.allow({"users": ["bob"], "may": ["upload"], "projects": ["wheelhouse-verify-*"]})
    other = wheel("wheelhouse_verify_abc", files={"other.py": "1"})
    assert live.upload(FILE, other, "bob").code == 200


def test_rebuild_records_no_name(live: Index, capsys: pytest.CaptureFixture) -> None:
    """A rebuild finds nothing to do, and check reports nothing."""
    assert run(live.settings, "rebuild", "--changed") == 0
    assert run(live.settings, "check") == 0
    assert capsys.readouterr().out == ""
    assert not (live.pages / f"projects/{PROJECT}.gone").exists()


@pytest.mark.parametrize("name", ["not_wheelhouse_verify_abc", "wheelhouse_verify", "wheelhouse_verifyabc"])
def test_other_names_are_recorded(index: Index, name: str) -> None:
    """All names that do not match the pattern are protected as usual."""
    index.start(new_projects="first_uploader")
    filename = f"{name}-1.0-py3-none-any.whl"
    assert index.upload(filename).code == 200
    assert index.remove(name, "1.0").code == 200
    assert index.events() == ["claimed", "upload", "tombstone", "removed"]
    assert index.upload(filename, wheel(name, files={"other.py": "1"})).code == 409
    assert (index.pages / f"projects/{name.replace('_', '-')}.gone").exists()
