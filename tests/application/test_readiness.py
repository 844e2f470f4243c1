"""The readiness check: whether uploads would be rejected, independent of reads."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.archives import fitting
from support.web import Answer, Index
from wheelhouse.files.locks import exclusive_lock
from wheelhouse.storage import quota

READY = "/-/health/uploads"
SDIST = "foo-1.0.tar.gz"


def ready(index: Index) -> Answer:
    """Run the readiness check."""
    return index.request("GET", READY)


def remove_data_mark(index: Index) -> None:
    """Remove the marker, as if the file system were not mounted."""
    (index.data / ".wheelhouse").unlink()


def lose_data(index: Index) -> None:
    """Remove the data directory."""
    shutil.rmtree(index.data)


def block(path: Callable[[Index], Path]) -> Callable[[Index], None]:
    """Return a function that replaces a file by a directory, or a directory by a file."""

    def put(index: Index) -> None:
        place = path(index)
        if place.is_dir():
            shutil.rmtree(place)
            place.write_text("")
        else:
            place.unlink(missing_ok=True)
            place.mkdir()

    return put


def lower(**limits: object) -> Callable[[Index], None]:
    """Return a function that changes limits."""
    return lambda index: index.start(**limits)


def damage(index: Index) -> None:
    """Overwrite the table of tombstones."""
    (index.data / "state/tombstones.json").write_text("[]")


# A fault, and the part that the response names.
HARM: dict[str, tuple[Callable[[Index], None], str]] = {
    "no mark": (remove_data_mark, "data directory: it is missing, or not mounted"),
    "no data directory": (lose_data, "data directory: it is missing, or not mounted"),
    "not mounted": (lower(data_is_mount=True), "data directory: it is missing, or not mounted"),
    "no packages": (block(lambda index: index.packages), "data directory: it cannot be written"),
    "pages": (block(lambda index: index.pages / "projects"), "pages: they cannot be written"),
    "free space": (lower(min_free_space=1 << 60), "free space: it is below pypi_min_free_space"),
    "total size": (lower(max_total_size=1), "total size: pypi_max_total_size is reached"),
    "audit log": (block(lambda index: index.audit_log), "audit log: it cannot be written"),
    "rights": (lambda index: index.rights.unlink(), "rights: they cannot be read"),
    "tombstones": (damage, "state: it cannot be read"),
}


def test_ready(index: Index) -> None:
    """The response is one word for any client, and the check leaves no files."""
    answer = ready(index)
    assert (answer.code, answer.body) == (200, "ready\n")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert index.stored() == {}
    assert index.events() == []
    assert index.request("HEAD", READY).code == 200


@pytest.mark.parametrize(("harm", "said"), HARM.values(), ids=HARM.keys())
def test_says_which_part_is_not_ready(index: Index, harm: Callable[[Index], None], said: str) -> None:
    """The response names the part only: no path, size or system error."""
    harm(index)
    answer = ready(index)
    assert answer.code == 503
    assert answer.body == f"not ready: {said}\n"
    assert answer.headers["Retry-After"] == "30"


@pytest.mark.parametrize("name", ["free space", "total size"])
def test_uploads_are_rejected_then(index: Index, name: str) -> None:
    """The same index rejects every upload with 507, but is healthy and serves its pages."""
    HARM[name][0](index)
    assert index.upload(SDIST).code == 507
    assert ready(index).code == 503
    assert index.request("GET", "/-/health").code == 200


def test_claims_count_where_they_are_used(index: Index) -> None:
    """A damaged table of owners rejects uploads only with first_uploader."""
    (index.data / "state/claims.json").write_text("[]")
    assert ready(index).code == 200
    index.start(new_projects="first_uploader")
    assert ready(index).body == "not ready: state: it cannot be read\n"
    assert index.upload(SDIST).code == 503


def test_not_ready_without_space_for_a_small_file(index: Index) -> None:
    """Free space for less than a small file is not ready."""
    index.start(max_total_size=quota.SMALL_FILE)
    assert ready(index).code == 200
    index.start(max_total_size=quota.SMALL_FILE - 1)
    assert ready(index).code == 503


def test_ready_again(index: Index) -> None:
    """A repaired part is ready without a restart; a changed quota applies to the next upload."""
    size = len(fitting(SDIST))
    index.start(max_total_size=quota.SMALL_FILE + size - 1)
    assert ready(index).code == 200
    assert index.upload(SDIST).code == 200
    assert index.upload("foo-1.1.tar.gz").code == 200
    assert ready(index).body == "not ready: total size: pypi_max_total_size is reached\n"
    index.start(max_total_size=None)
    assert ready(index).code == 200


def test_measures_rarely(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many checks measure all files at most once in an interval; an upload measures as well."""
    index.start(max_total_size=1 << 30)
    measured: list[Path] = []
    size_of_files = quota.size_of_files
    monkeypatch.setattr(quota, "size_of_files", lambda path: measured.append(path) or size_of_files(path))
    clock = [1000.0]
    monkeypatch.setattr(quota.time, "monotonic", lambda: clock[0])
    assert {ready(index).code for _ in range(20)} == {200}
    assert len(measured) == 2  # packages and metadata
    clock[0] += quota.MEASUREMENT_MAX_AGE + 1
    assert {ready(index).code for _ in range(20)} == {200}
    assert len(measured) == 4


def test_takes_no_upload_lock(index: Index) -> None:
    """Uploads hold locks for their whole duration."""
    index.start(max_total_size=1 << 30)
    answers: list[int] = []
    with exclusive_lock(index.pages / "locks/total"), exclusive_lock(index.data / "state/audit-head.lock"):
        asking = threading.Thread(target=lambda: answers.append(ready(index).code), daemon=True)
        asking.start()
        asking.join(20)
    assert answers == [200]


def test_one_thread_measures_at_a_time(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Concurrent checks use the previous result."""
    index.start(max_total_size=1 << 30)
    assert ready(index).code == 200
    clock = [quota.time.monotonic() + quota.MEASUREMENT_MAX_AGE + 1]
    monkeypatch.setattr(quota.time, "monotonic", lambda: clock[0])
    started, go_on = threading.Event(), threading.Event()
    size_of_files = quota.size_of_files

    def slow(path: Path) -> int:
        started.set()
        assert go_on.wait(20)
        return size_of_files(path)

    monkeypatch.setattr(quota, "size_of_files", slow)
    measuring = threading.Thread(target=ready, args=[index], daemon=True)
    measuring.start()
    assert started.wait(20)
    assert ready(index).code == 200
    go_on.set()
    measuring.join(20)


def test_concurrent_first_checks(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Concurrent first checks wait for one measurement."""
    index.start(max_total_size=1 << 30)
    measured: list[Path] = []
    size_of_files = quota.size_of_files

    def slow(path: Path) -> int:
        measured.append(path)
        time.sleep(0.2)
        return size_of_files(path)

    monkeypatch.setattr(quota, "size_of_files", slow)
    asking = [threading.Thread(target=ready, args=[index], daemon=True) for _ in range(5)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(20)
    assert len(measured) == 2


def test_logs_changes_once(index: Index, capsys: pytest.CaptureFixture) -> None:
    """The journal has the reason when a fault begins, and when it ends, however often monitors check."""
    rights = index.rights.read_text()
    index.rights.unlink()
    for _ in range(3):
        ready(index)
    index.rights.write_text(rights)
    for _ in range(3):
        ready(index)
    lines = [line for line in capsys.readouterr().err.splitlines() if "ready" in line]
    assert len(lines) == 2
    assert lines[0].startswith("wheelhouse: not ready for uploads: rights: they cannot be read")
    assert "No such file or directory" in lines[0]
    assert lines[1] == "wheelhouse: ready for uploads again"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_rejects_other_methods(index: Index, method: str) -> None:
    """Only GET and HEAD are allowed."""
    assert index.request(method, READY, "alice").code == 405
