"""Disks that are full, read-only or unmounted, and clocks that are set back."""

import json
import time
from functools import partial

import pytest
from fault_injection import INTERRUPTED, NO_SPACE, SECONDS, SMALL, Outcome
from support.archives import sdist

# The fault, how often it is injected on each server, the options of a small file system, and the allowed statuses.
DISKS = {
    "disk full temporarily": ("full", 40, ["size=200m"], NO_SPACE),
    "no free inodes temporarily": ("inodes", 25, ["size=500m", "nr_inodes=3000"], NO_SPACE),
    "disk read-only temporarily": ("read-only", 25, ["size=1g"], {503}),
}


@pytest.fixture(scope="module", params=DISKS)
def interrupted(request, on_all_servers):
    """Inject a temporary fault of the disk under load: {server: outcome}."""
    fault, times, options, allowed_statuses = DISKS[request.param]

    def run(fault_run):
        fault_run.share_mounts()
        with fault_run.small_disk(*options):
            inject = partial(fault_run.inject, fault, times)
            projects = f"disk_{fault.replace('-', '_')}"
            return fault_run.run_under_load(
                request.param, inject, projects, sizes=SMALL, allowed_statuses=allowed_statuses
            )

    return on_all_servers(run)


def test_temporary_disk_faults(interrupted, server):
    """Uploads get an error message and can be repeated; reads work."""
    assert interrupted[server].faults == {}
    assert interrupted[server].accepted > 0
    assert interrupted[server].statuses.keys() & NO_SPACE


@pytest.fixture(scope="module")
def filled(on_all_servers):
    """Fill a disk with uploads, then enlarge it: {server: outcome}."""

    def run(fault_run):
        with fault_run.small_disk("size=20m"):
            fill = partial(until_rejected, fault_run)
            enlarge = partial(fault_run.host.check_output, "mount -o remount,size=2g /mnt/small")
            name = "uploads fill the disk"
            return fault_run.run_under_load(
                name, fill, "disk_filled", sizes=SMALL, allowed_statuses={507}, afterwards=enlarge
            )

    return on_all_servers(run)


def test_uploads_fill_disk(filled, server):
    """Uploads that do not fit get 507 (RFC 4918, section 11.5); stored files are not affected."""
    assert filled[server].faults == {}
    assert filled[server].accepted > 0
    assert filled[server].statuses[507] > 0


def until_rejected(fault_run) -> int:
    """Wait until the audit log has ten more uploads that did not fit. Returns how often the disk was filled."""
    log = f"{fault_run.settings['pypi_log_dir']}/audit/audit.log"

    def rejected() -> int:
        return int(fault_run.host.run("grep --count --fixed-strings pypi_min_free_space %s", log).stdout or 0)

    expected, end = rejected() + 10, time.monotonic() + SECONDS
    while rejected() < expected and time.monotonic() < end:
        time.sleep(1)
    return 1


@pytest.fixture(scope="module")
def unmounted(on_all_servers):
    """Unmount the data directory temporarily under load: {server: outcome}."""

    def run(fault_run):
        fault_run.share_mounts()
        fault_run.clear()
        unmount = partial(fault_run.inject, "unmount", 25)
        outcome = fault_run.run_under_load(
            "disk unmounted temporarily",
            unmount,
            "disk_unmount",
            sizes=SMALL,
            allowed_statuses=INTERRUPTED,
            reads_must_work=False,
        )
        fault_run.host.check_output("umount --lazy /mnt/kept")
        return outcome

    return on_all_servers(run)


def test_unmounted_data_directory(unmounted, server):
    """Without its data directory, the index rejects uploads and writes nothing below the mount point."""
    assert unmounted[server].faults == {}
    assert unmounted[server].accepted > 0
    assert unmounted[server].statuses[503] > 0


@pytest.fixture(scope="module")
def set_back(on_all_servers):
    """Make all files a year newer, as if the clock had been set back by a year: {server: outcome}.

    Containers share the clock of their host, so the file times are changed instead of the clock.
    """

    def run(fault_run):
        fault_run.clear()
        before = fault_run.load("clock", fault_run.files("clock", 40, SMALL))
        fault_run.host.check_output(
            f"find {fault_run.data} {fault_run.settings['pypi_pages_dir']} {fault_run.settings['pypi_log_dir']}/audit "
            "-newermt '1 hour ago' -exec touch --no-dereference --date '1 year' {} +"
        )
        fault_run.host.check_output("systemctl start pypi-pages.service; systemctl restart apache2")
        fault_run.wait_until_healthy()
        result = fault_run.load("clock", fault_run.files("clock_back", 40, SMALL), readers=2, list_files=True)
        result["files"] += before["files"]
        # The file times no longer equal the upload times, which `wheelhouse check` would report.
        fault_run.host.check_output("wheelhouse restore-times")
        outcome = Outcome("the clock jumps back by a year", 1)
        return fault_run.check_consistency(outcome, result, "clock", set(), reads_must_work=True)

    return on_all_servers(run)


def test_clock_set_back(set_back, server):
    """Nothing depends on file times: neither lists of files, nor the audit log's hash chain, nor cached pages."""
    assert set_back[server].faults == {}
    assert set_back[server].accepted == 80


def test_page_with_future_time_is_revalidated(set_back, fetch, upload, host, settings):
    """A client whose cached page has a time in the future gets the current page."""
    assert set_back
    name = f"clock_tag{time.time_ns()}"
    project = name.replace("_", "-")
    options = ["--header", "Accept: application/vnd.pypi.simple.v1+json"]
    assert upload(f"{name}-1.0.tar.gz", sdist(name), user="alice").status == 200
    host.check_output(f"touch --date '1 year' {settings['pypi_pages_dir']}/projects/{project}.json")
    cached = fetch(f"/simple/{project}/", *options, user="alice")
    validators = [f"If-None-Match: {cached.headers['etag']}", f"If-Modified-Since: {cached.headers['last-modified']}"]
    assert upload(f"{name}-1.1.tar.gz", sdist(name, "1.1"), user="alice").status == 200
    headers = [word for header in validators for word in ("--header", header)]
    response = fetch(f"/simple/{project}/", *options, *headers, user="alice")
    assert response.status == 200
    files = [file["filename"] for file in json.loads(response.body)["files"]]
    assert files == [f"{name}-1.0.tar.gz", f"{name}-1.1.tar.gz"]
