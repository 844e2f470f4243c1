"""The health check reports why the index cannot work."""

from collections.abc import Callable

import pytest
from support.web import Index


def remove_data_mark(index: Index) -> None:
    """Remove the marker, as if the file system were not mounted."""
    (index.data / ".wheelhouse").unlink()


def remove_directory(directory: str) -> Callable[[Index], None]:
    """Return a function that removes a directory."""
    return lambda index: (index.data / directory).rmdir()


def lose_marker(index: Index) -> None:
    """Remove the marker of complete pages."""
    (index.pages / "projects/.complete").unlink()


def block(directory: str) -> Callable[[Index], None]:
    """Return a function that replaces a directory by a file."""

    def put(index: Index) -> None:
        (index.data / directory).rmdir()
        (index.data / directory).write_text("")

    return put


def test_healthy(index: Index) -> None:
    """A healthy index gets 200, and the check leaves no files."""
    answer = index.request("GET", "/-/health")
    assert answer.code == 200
    assert answer.body == "Ok"
    assert index.stored() == {}


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (remove_data_mark, "its marker, .wheelhouse, cannot be read"),
        (remove_directory("packages"), "cannot be written"),
        (block("packages"), "cannot be written"),
        (lose_marker, "The pages are not complete, so Apache serves none. Run: wheelhouse rebuild"),
    ],
    ids=["no mark", "no packages", "packages a file", "pages not complete"],
)
def test_reports_what_is_wrong(index: Index, harm: Callable[[Index], None], said: str) -> None:
    """The response contains the reason, before the next upload fails."""
    harm(index)
    answer = index.request("GET", "/-/health")
    assert answer.code == 503
    assert said in answer.body
    assert answer.body == f"{answer.reason}\n"
    assert answer.headers["Retry-After"] == "30"
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_reports_a_full_disk(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without free space is not healthy, even if all directories exist."""

    def full(**_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    assert "No space left on device" in index.request("GET", "/-/health").body
