"""site.yml is killed at random moments, of first deployments and of upgrades, and run again. The last test of all."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from fault_injection import SEED
from shared.deployment import PROJECT, Run, ansible_playbook

# How often site.yml is killed; a third of it during the first deployment of new hosts.
KILLS = int(os.environ.get("KILLS") or 30)
FIRST = KILLS // 3
# What no run leaves undone (see /usr/local/sbin/pypi-state).
NOTHING = '{"daemon_reload": false, "rebuild": false, "units": []}'


@pytest.fixture(scope="session")
def killed(inventory) -> Callable[[str, float], bool]:
    """Run a playbook and kill it with all its processes on the control node. Returns whether it was still running.

    What it has started on the servers goes on, as after a lost connection.
    """

    def killed(playbook: str, seconds: float) -> bool:
        run = subprocess.Popen(
            ["ansible-playbook", "--inventory", inventory, playbook],
            cwd=PROJECT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            run.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
        return run.wait() == -signal.SIGKILL

    return killed


@pytest.fixture(scope="session")
def kill_and_repeat(killed, inventory, servers) -> Callable[[Callable[[], str], int, float], None]:
    """Kill the run of a playbook at random moments, and run it again each time.

    prepare: returns the playbook, before each run that is killed; seconds: how long a complete run lasts.
    """

    def kill_and_repeat(prepare: Callable[[], str], count: int, seconds: float) -> None:
        moments, number = random.Random(SEED), 0
        while number < count:
            playbook, moment = prepare(), moments.uniform(1, seconds)
            if not killed(playbook, moment):
                continue
            number += 1
            run = ansible_playbook(inventory, playbook)
            assert run.code == 0, f"killed after {moment:.1f} s, SEED={SEED}\n{run.output}"
            for host in servers.values():
                assert host.check_output("/usr/local/sbin/pypi-state pending") == NOTHING, moment
                assert host.check_output("wheelhouse check") == "", moment
        again = ansible_playbook(inventory, playbook)
        assert again.hosts == {server: {"changed": 0, "failed": 0} for server in servers}, again.changes

    return kill_and_repeat


def timed(run: Callable[[], Run]) -> float:
    """Return the seconds that a run takes, which must succeed."""
    began = time.monotonic()
    done = run()
    assert done.code == 0, done.output
    return time.monotonic() - began


def test_killed_upgrades_are_completed(kill_and_repeat, inventory, changed_kit):
    """The run after the killed one ends with a working index."""
    versions = iter(range(1000))

    def newer() -> str:
        return changed_kit("__init__.py", f"# version {next(versions)}")

    seconds = timed(lambda: ansible_playbook(inventory, newer()))
    kill_and_repeat(newer, KILLS - FIRST, seconds)


def test_killed_first_deployments_are_completed(kill_and_repeat, inventory, servers, deploy):
    """The same for new hosts. Packages that are half installed are completed."""

    def new_hosts() -> str:
        names = [host.ansible.get_variables()["ansible_host"] for host in servers.values()]
        subprocess.run(["docker", "rm", "--force", "--volumes", *names], check=True, stdout=subprocess.DEVNULL)
        created = ansible_playbook(inventory, "containers/create.yml", "--limit", "pypi_servers")
        assert created.code == 0, created.output
        return "site.yml"

    new_hosts()
    kill_and_repeat(new_hosts, FIRST, timed(deploy))
