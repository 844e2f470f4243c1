"""Runs of the kit that are interrupted, and what must be true of the servers after a complete one."""

import os
import signal
from pathlib import Path

import pytest
from shared.deployment import Run, ansible_playbook
from shared.wheels import installable

CALLBACKS = Path(__file__).resolve().parents[1] / "callback_plugins"
# More than a run has tasks that change something.
MOST_RUNS = 60
# make faults interrupts runs after each task that changes something, make test after each fifth one.
EVERY = os.environ.get("INTERRUPT_EVERY", "5")


@pytest.fixture(scope="session")
def interrupted_deploy(inventory):
    """A way to run site.yml and to kill it after one of the tasks that change something and are not in a file yet.

    Returns None if it was killed, and the file has the task; or else the run.
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

    Returns the names of these tasks, and the last run, which ended by itself.
    """
    tasks = tmp_path_factory.mktemp("first") / "tasks"
    for _ in range(MOST_RUNS):
        run = interrupted_deploy(tasks)
        if run is not None:
            return tasks.read_text(encoding="utf-8").splitlines(), run
    raise AssertionError(f"{MOST_RUNS} runs were interrupted, and there is no end")


@pytest.fixture(scope="session")
def unchanged(servers) -> dict:
    """The recap of a run that has nothing to do."""
    return {server: {"changed": 0, "failed": 0} for server in servers}


@pytest.fixture(scope="module")
def publish(upload):
    """A way to publish a version of the project acme-demo on the server under test."""

    def publish(version: str):
        return upload(f"acme_demo-{version}-py3-none-any.whl", installable("acme_demo", version), user="alice")

    return publish
