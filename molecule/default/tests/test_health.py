"""Health endpoints for monitoring: one for the whole server, one for reads and one for uploads."""

import json
import time
from contextlib import contextmanager

import pytest
from shared.wheels import installable

SETTINGS = "/etc/pypi/settings.json"


@pytest.fixture
def limits(host, put, restart_application):
    """Change limits of the application temporarily."""

    @contextmanager
    def limits(**changed: object):
        before = host.file(SETTINGS).content
        found = json.loads(before)
        found["limits"] |= changed
        try:
            put(host, "/root/settings.json", json.dumps(found).encode())
            host.check_output(f"cp /root/settings.json {SETTINGS}")
            restart_application()
            yield
        finally:
            put(host, "/root/settings.json", before)
            host.check_output(f"cp /root/settings.json {SETTINGS}")
            restart_application()

    return limits


@pytest.fixture
def states(fetch):
    """Return the statuses of health, reads and uploads, and the bodies of reads and uploads."""

    def states() -> tuple[int, int, int, str, str]:
        whole, reads, uploads = (fetch(f"/-/health{path}") for path in ("", "/reads", "/uploads"))
        assert {response.headers["cache-control"] for response in (whole, reads, uploads)} == {"no-store"}
        return whole.status, reads.status, uploads.status, reads.body, uploads.body

    return states


def name() -> str:
    """Return a file name that was never used."""
    return f"acme_health{time.time_ns()}-1.0-py3-none-any.whl"


def publish(upload) -> int:
    """Upload a new project. Returns the status."""
    filename = name()
    return upload(filename, installable(filename.partition("-")[0], "1.0"), user="bob").status


def test_ready_by_default(states):
    """All endpoints report readiness."""
    assert states() == (200, 200, 200, "ready\n", "ready\n")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"min_free_space": 1 << 60}, "not ready: free space: it is below pypi_min_free_space\n"),
        ({"max_total_size": 1}, "not ready: total size: pypi_max_total_size is reached\n"),
    ],
    ids=["free space", "total size"],
)
def test_uploads_not_ready_without_space(limits, states, upload, changed, message):
    """Uploads get 507 and are reported as not ready; reads and the server's health are not affected."""
    with limits(**changed):
        assert publish(upload) == 507
        assert states() == (200, 200, 503, "ready\n", message)
    assert publish(upload) == 200
    assert states()[2] == 200


def test_uploads_not_ready_if_log_is_unwritable(host, settings, states, upload):
    """Uploads that cannot be logged are rejected."""
    directory = f"{settings['pypi_log_dir']}/audit"
    host.check_output(f"chown root {directory}")
    try:
        assert publish(upload) == 503
        assert states()[1:] == (200, 503, "ready\n", "not ready: audit log: it cannot be written\n")
    finally:
        host.check_output(f"chown pypi {directory}")
    assert states()[2] == 200


def test_not_ready_without_data(host, settings, states):
    """Without the data directory, neither reads nor uploads are ready."""
    mark = f"{settings['pypi_data_dir']}/.wheelhouse"
    message = "not ready: data directory: it is missing, or not mounted\n"
    host.check_output(f"mv {mark} /root/mark")
    try:
        assert states() == (503, 503, 503, message, message)
    finally:
        host.check_output(f"mv /root/mark {mark}")
    assert states()[:3] == (200, 200, 200)


def test_reads_not_ready_without_pages(host, settings, states):
    """Incomplete pages are not served; uploads are accepted."""
    marker = f"{settings['pypi_pages_dir']}/projects/.complete"
    host.check_output("systemctl stop pypi-pages.timer pypi-pages.path; systemctl stop pypi-pages.service")
    host.check_output(f"rm {marker}")
    try:
        assert states()[1:] == (503, 200, "not ready: pages: they are not complete\n", "ready\n")
    finally:
        host.check_output("wheelhouse rebuild; systemctl start pypi-pages.timer pypi-pages.path")
    assert states()[:3] == (200, 200, 200)


def test_uploads_not_ready_without_application(host, states, restart_application):
    """Reads do not need the application."""
    host.check_output("systemctl stop pypi-application")
    try:
        assert states() == (503, 200, 503, "ready\n", "not ready: application: it does not answer\n")
    finally:
        host.check_output("systemctl start pypi-application")
        restart_application()


@pytest.mark.parametrize("path", ["/-/health/reads", "/-/health/uploads"])
def test_endpoints_are_read_only(fetch, path):
    """Only GET and HEAD are allowed."""
    assert fetch(path, "--head").status == 200
    assert fetch(path, "--request", "POST").status == 405
