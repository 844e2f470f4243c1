"""Processes that are killed at random moments."""

import time
from functools import partial

import pytest
from fault_injection import INTERRUPTED

# Fewer kills than this are no sufficient test.
MINIMUM_KILLS = 10

# What is killed, how often on each server, and whether reads must work meanwhile.
KILLS = {
    "kill -9: all processes of the application": ("application", 100, True),
    "kill -9: one process of the application or its proxy": ("one", 60, True),
    "kill -9: all processes of Apache": ("apache", 60, False),
}


@pytest.fixture(scope="module", params=KILLS)
def killed(request, on_all_servers):
    """Kill processes under load: {server: outcome}."""
    fault, times, reads_must_work = KILLS[request.param]

    def run(fault_run):
        fault_run.clear()
        kill = partial(fault_run.inject, fault, times)
        return fault_run.run_under_load(
            request.param, kill, f"kill_{fault}", allowed_statuses=INTERRUPTED, reads_must_work=reads_must_work
        )

    return on_all_servers(run)


def test_kills_lose_no_accepted_upload(killed, server):
    """Uploads with 200 are stored, others can be repeated, and no incomplete file is served."""
    assert killed[server].faults == {}
    assert killed[server].accepted > 0
    assert killed[server].injected >= MINIMUM_KILLS


@pytest.fixture(scope="module")
def rebooted(on_all_servers):
    """Restart hosts under load, alternately with and without a shutdown: {server: outcome}."""

    def reboot(fault_run) -> int:
        for number in range(4):
            time.sleep(fault_run.chance.uniform(1, 4))
            if number % 2:
                fault_run.docker("restart", "--time", "20")
            else:
                fault_run.docker("kill")
                fault_run.docker("start")
            fault_run.wait_until_healthy()
        return 4

    def run(fault_run):
        fault_run.clear()
        return fault_run.run_under_load(
            "the host restarts",
            partial(reboot, fault_run),
            "reboot",
            allowed_statuses=INTERRUPTED,
            reads_must_work=False,
        )

    return on_all_servers(run)


def test_reboots_lose_no_accepted_upload(rebooted, server):
    """After a restart of the host, all accepted uploads are stored and the index works without intervention."""
    assert rebooted[server].faults == {}
    assert rebooted[server].accepted > 0
