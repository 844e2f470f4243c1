"""Disks that are full, read only, gone, or back again; and a clock that is not what it was."""

import json
import time
from functools import partial

import pytest
from hunting import CUT_OFF, NO_ROOM, SECONDS, SMALL, Outcome
from support.archives import sdist

# What happens to the disk, how often on each server, with which options of a small one, and what may be answered.
DISKS = {
    "the disk is full, for moments": ("full", 40, ["size=200m"], NO_ROOM),
    "no inodes are left, for moments": ("inodes", 25, ["size=500m", "nr_inodes=3000"], NO_ROOM),
    "the disk is read only, for moments": ("read-only", 25, ["size=1g"], {503}),
}


@pytest.fixture(scope="module", params=DISKS)
def struck(request, everywhere):
    """What came of it: {server: outcome}."""
    what, times, options, may_answer = DISKS[request.param]

    def hunt(hunt):
        hunt.share_mounts()
        with hunt.small_disk(*options):
            strike = partial(hunt.strike, what, times)
            projects = f"disk_{what.replace('-', '_')}"
            return hunt.storm(request.param, strike, projects, sizes=SMALL, may_answer=may_answer)

    return everywhere(hunt)


def test_moments(struck, server):
    """Publishers read what is wrong and can do it again later; readers notice nothing."""
    assert struck[server].faults == {}
    assert struck[server].accepted > 0
    assert struck[server].statuses.keys() & NO_ROOM


@pytest.fixture(scope="module")
def filled(everywhere):
    """What came of a disk that uploads have filled, until somebody made it larger: {server: outcome}."""

    def hunt(hunt):
        with hunt.small_disk("size=20m"):
            fill = partial(until_rejected, hunt)
            larger = partial(hunt.host.check_output, "mount -o remount,size=2g /mnt/small")
            name = "uploads fill the disk"
            return hunt.storm(name, fill, "disk_filled", sizes=SMALL, may_answer={507}, afterwards=larger)

    return everywhere(hunt)


def test_filled(filled, server):
    """What does not fit is refused with 507 (RFC 4918, section 11.5), and what is there stays."""
    assert filled[server].faults == {}
    assert filled[server].accepted > 0
    assert filled[server].statuses[507] > 0


def until_rejected(hunt) -> int:
    """Let uploads go on until the audit log has ten more that did not fit. Returns how often the disk was filled."""
    log = f"{hunt.settings['pypi_log_dir']}/audit/audit.log"

    def rejected() -> int:
        return int(hunt.host.run("grep --count --fixed-strings pypi_min_free_space %s", log).stdout or 0)

    wanted, end = rejected() + 10, time.monotonic() + SECONDS
    while rejected() < wanted and time.monotonic() < end:
        time.sleep(1)
    return 1


@pytest.fixture(scope="module")
def unmounted(everywhere):
    """What came of a file system that is not mounted for moments: {server: outcome}."""

    def hunt(hunt):
        hunt.share_mounts()
        hunt.clear()
        strike = partial(hunt.strike, "unmount", 25)
        outcome = hunt.storm(
            "the disk is not mounted, for moments",
            strike,
            "disk_unmount",
            sizes=SMALL,
            may_answer=CUT_OFF,
            reads_go_on=False,
        )
        hunt.host.check_output("umount --lazy /mnt/kept")
        return outcome

    return everywhere(hunt)


def test_unmounted(unmounted, server):
    """An index without its data takes nothing and says so; nothing is written below the mount, nothing vanishes."""
    assert unmounted[server].faults == {}
    assert unmounted[server].accepted > 0
    assert unmounted[server].statuses[503] > 0


@pytest.fixture(scope="module")
def set_back(everywhere):
    """What came of a clock that was ahead by a year: all that is there has times to come. {server: outcome}.

    Containers have their host's clock, so it is the times of what there is that are moved, and not the clock.
    """

    def hunt(hunt):
        hunt.clear()
        before = hunt.load("clock", hunt.files("clock", 40, SMALL))
        hunt.host.check_output(
            f"find {hunt.data} {hunt.settings['pypi_pages_dir']} {hunt.settings['pypi_log_dir']}/audit "
            "-newermt '1 hour ago' -exec touch --no-dereference --date '1 year' {} +"
        )
        hunt.host.check_output("systemctl start pypi-pages.service; systemctl restart apache2")
        hunt.healthy()
        told = hunt.load("clock", hunt.files("clock_back", 40, SMALL), readers=2, survey=True)
        told["files"] += before["files"]
        # The times of the packages are not those of their uploads any more, which check would name.
        hunt.host.check_output("wheelhouse restore-times")
        return hunt.account(Outcome("the clock jumps back by a year", 1), told, "clock", set(), reads_go_on=True)

    return everywhere(hunt)


def test_set_back(set_back, server):
    """No order depends on times: not what is listed, not the audit log's chain, not which page is the newer one."""
    assert set_back[server].faults == {}
    assert set_back[server].accepted == 80


def test_a_page_with_a_time_to_come(set_back, ask, upload, host, settings):
    """Whoever has a page from times to come gets the newest all the same."""
    assert set_back
    name = f"clock_tag{time.time_ns()}"
    project = name.replace("_", "-")
    form = ["--header", "Accept: application/vnd.pypi.simple.v1+json"]
    assert upload(f"{name}-1.0.tar.gz", sdist(name), user="alice").status == 200
    host.check_output(f"touch --date '1 year' {settings['pypi_pages_dir']}/projects/{project}.json")
    seen = ask(f"/simple/{project}/", *form, user="alice")
    known = [f"If-None-Match: {seen.headers['etag']}", f"If-Modified-Since: {seen.headers['last-modified']}"]
    assert upload(f"{name}-1.1.tar.gz", sdist(name, "1.1"), user="alice").status == 200
    headers = [word for header in known for word in ("--header", header)]
    response = ask(f"/simple/{project}/", *form, *headers, user="alice")
    assert response.status == 200
    files = [file["filename"] for file in json.loads(response.body)["files"]]
    assert files == [f"{name}-1.0.tar.gz", f"{name}-1.1.tar.gz"]
