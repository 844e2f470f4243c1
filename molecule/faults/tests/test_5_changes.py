"""Upgrades, rollbacks, changes of settings and users, and log rotations while clients upload and install."""

import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import pytest
from fault_injection import FaultRun, Outcome
from shared.deployment import Run, ansible_playbook
from shared.load import in_background

# How often each kind of change is made.
CHANGES = int(os.environ.get("CHANGES") or 20)
# Each of these uploads lasts longer than a minute.
SLOW = {"size": 200_000, "seconds": 70}
SLOW_SHARE = 25


@pytest.fixture(scope="session")
def playbook(inventory) -> Callable[..., None]:
    """Run a playbook on all servers; it must succeed."""

    def playbook(name: str, *options: str, **settings: object) -> None:
        run = with_settings(inventory, name, *options, **settings)
        assert run.code == 0, run.output

    return playbook


def with_settings(inventory: str, name: str, *options: str, **settings: object) -> Run:
    """Run a playbook on all servers with settings."""
    return ansible_playbook(inventory, name, *options, "--extra-vars", json.dumps(settings))


@pytest.fixture(scope="session")
def upgrade(playbook, changed_kit) -> Callable[[int], None]:
    """Return to the previous release, and go to the newer one again, by turns. Both are built before the load."""
    newer = changed_kit("__init__.py", "# a newer version")
    playbook(newer)

    def upgrade(number: int) -> None:
        playbook(newer if number % 2 else "playbooks/rollback.yml")

    return upgrade


@pytest.fixture(scope="session")
def change_settings(playbook, inventory, servers) -> Callable[[int], None]:
    """Change settings of Apache and of the application. One of the changes is rejected."""

    def change_settings(number: int) -> None:
        playbook("site.yml", pypi_hsts_max_age=1000 + number, pypi_max_uploads=100 + number)
        if number == CHANGES // 2:
            run = with_settings(inventory, "site.yml", pypi_apache_directives="NoSuchDirective on")
            assert run.code != 0
            assert "NoSuchDirective" in run.normalized_output
            assert run.hosts.keys() == servers.keys()

    return change_settings


@pytest.fixture(scope="session")
def change_users(playbook, all_settings, servers) -> Callable[[int], None]:
    """Add and remove users."""
    users = all_settings[next(iter(servers))]["pypi_users"]

    def change_users(number: int) -> None:
        added = [{"name": f"user{number}", "password": f"The password {number} of this user"}]
        playbook("site.yml", "--tags", "accounts", pypi_users=users + added)

    return change_users


@pytest.fixture(scope="session")
def rotate_logs(servers) -> Callable[[int], None]:
    """Rotate all logs."""

    def rotate_logs(number: int) -> None:
        for host in servers.values():
            host.check_output("logrotate --force /etc/logrotate.conf")
        assert number < CHANGES

    return rotate_logs


KINDS = {
    "upgrades and rollbacks": "upgrade",
    "changes of settings, one of them rejected": "change_settings",
    "changes of users": "change_users",
    "log rotations": "rotate_logs",
}


@pytest.fixture(scope="module", params=KINDS)
def changed(request, fault_runs, add_outcomes) -> dict[str, Outcome]:
    """Make one kind of changes under load: {server: outcome}."""
    change = request.getfixturevalue(KINDS[request.param])
    with ExitStack() as stack:
        loaded = {run.server: stack.enter_context(in_background(partial(publish, run, change))) for run in fault_runs}
        try:
            for number in range(CHANGES):
                for run in fault_runs:
                    wait_for_uploads(run, change)
                change(number)
            for run in fault_runs:
                wait_for_uploads(run, change)
        finally:
            for run in fault_runs:
                run.stop()
    return add_outcomes(
        {
            run.server: run.check_consistency(
                Outcome(request.param, CHANGES), loaded[run.server](), projects(change), set(), reads_must_work=True
            )
            for run in fault_runs
        }
    )


def projects(change: Callable) -> str:
    """Return the beginning of the names of the projects that are uploaded during a kind of changes."""
    return f"during_{change.__name__}"


def publish(run: FaultRun, change: Callable) -> dict:
    """Put a steady load on a server until it is stopped."""
    files = run.files(projects(change), 20_000, {2000: 70, 100_000: 30})
    files = [file | (SLOW if number % SLOW_SHARE == 0 else {}) for number, file in enumerate(files)]
    return run.load(projects(change), files, publishers=4, readers=2, pause=0.3)


def wait_for_uploads(run: FaultRun, change: Callable) -> None:
    """Wait until more files are published."""

    def count() -> int:
        return int(run.host.check_output(f"ls {run.data}/packages | grep -c ^{projects(change)}; true"))

    before, end = count(), time.monotonic() + 120
    while count() == before:
        assert time.monotonic() < end, f"{run.server}: no file was published in 2 minutes"
        time.sleep(0.2)


def test_changes_fail_no_request(changed, server):
    """All uploads get 200 at the first attempt, also those that last longer than a minute, and all reads succeed."""
    assert changed[server].faults == {}
    assert changed[server].statuses.keys() == {200}
    assert changed[server].injected == CHANGES
