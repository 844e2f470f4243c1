"""Fixtures of the runs scenario: interrupted runs, and the state after a complete one."""

import os
import signal
from pathlib import Path

import pytest
from shared.deployment import Run, ansible_playbook
from shared.wheels import installable

CALLBACKS = Path(__file__).resolve().parents[1] / "callback_plugins"
# An upper bound for the number of tasks that change something.
MOST_RUNS = 60
# make faults interrupts runs after each task that changes something, make test after each twelfth one.
EVERY = os.environ.get("INTERRUPT_EVERY", "12")


@pytest.fixture(scope="session")
def interrupted_deploy(inventory):
    """Run site.yml and kill it after one of the tasks that change something and are not listed in a file yet.

    Returns None if it was killed (the task is then added to the file), or else the run.
    """

    def interrupted_deploy(tasks: Path, *options: str) -> Run | None:
        tasks.touch()
        plugin = {"ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS), "ANSIBLE_CALLBACKS_ENABLED": "interrupt"}
        which = {"INTERRUPTED_AFTER": str(tasks), "INTERRUPT_EVERY": EVERY}
        run = ansible_playbook(inventory, "site.yml", *options, **which, **plugin)
        return None if run.code == -signal.SIGKILL else run

    return interrupted_deploy


@pytest.fixture(scope="session")
def deployed(interrupted_deploy, tmp_path_factory):
    """Deploy the servers by runs that are killed after different tasks.

    Returns the names of these tasks, and the last run, which was not killed.
    """
    tasks = tmp_path_factory.mktemp("first") / "tasks"
    for _ in range(MOST_RUNS):
        run = interrupted_deploy(tasks)
        if run is not None:
            return tasks.read_text(encoding="utf-8").splitlines(), run
    raise AssertionError(f"{MOST_RUNS} runs were interrupted, and none was complete")


@pytest.fixture(scope="session")
def unchanged(servers) -> dict:
    """Return the recap of a run without changes."""
    return {server: {"changed": 0, "failed": 0} for server in servers}


@pytest.fixture(scope="module")
def publish(upload):
    """Publish a version of the project acme-demo on the server under test."""

    def publish(version: str):
        return upload(f"acme_demo-{version}-py3-none-any.whl", installable("acme_demo", version), user="alice")

    return publish
