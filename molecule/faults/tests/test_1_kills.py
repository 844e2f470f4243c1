"""Processes that end in the middle of their work, at random moments and without being asked."""

import time
from functools import partial

import pytest
from hunting import CUT_OFF

# Fewer kills than this prove little.
FEWEST = 10

# What is killed, how often on each server, whether reads go on meanwhile.
KILLS = {
    "kill -9: the application, all of it": ("application", 100, True),
    "kill -9: one process of the application or its proxy": ("one", 60, True),
    "kill -9: all of Apache": ("apache", 60, False),
}


@pytest.fixture(scope="module", params=KILLS)
def killed(request, everywhere):
    """What came of it: {server: outcome}."""
    what, times, reads_go_on = KILLS[request.param]

    def hunt(hunt):
        hunt.clear()
        kill = partial(hunt.strike, what, times)
        return hunt.storm(request.param, kill, f"kill_{what}", may_answer=CUT_OFF, reads_go_on=reads_go_on)

    return everywhere(hunt)


def test_kills(killed, server):
    """Whoever was told 200 has published, whoever was not can do it again, and nobody reads half a file."""
    assert killed[server].faults == {}
    assert killed[server].accepted > 0
    assert killed[server].tried >= FEWEST


@pytest.fixture(scope="module")
def rebooted(everywhere):
    """What came of hosts that were restarted, in turns told to and not told to: {server: outcome}."""

    def reboot(hunt) -> int:
        for number in range(4):
            time.sleep(hunt.chance.uniform(1, 4))
            if number % 2:
                hunt.docker("restart", "--time", "20")
            else:
                hunt.docker("kill")
                hunt.docker("start")
            hunt.healthy()
        return 4

    def hunt(hunt):
        hunt.clear()
        return hunt.storm("the host restarts", partial(reboot, hunt), "reboot", may_answer=CUT_OFF, reads_go_on=False)

    return everywhere(hunt)


def test_reboots(rebooted, server):
    """After a restart of the host all is there, without anybody's hand."""
    assert rebooted[server].faults == {}
    assert rebooted[server].accepted > 0
