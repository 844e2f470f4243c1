"""Runs of the kit that are interrupted, and what must be true of the servers after a complete one."""

import signal
from pathlib import Path

import pytest
from shared.deployment import Run, ansible_playbook
from shared.wheels import installable

CALLBACKS = Path(__file__).resolve().parents[1] / "callback_plugins"
# More than a run has tasks that change something.
MOST_RUNS = 60


@pytest.fixture(scope="session")
def interrupted_deploy(inventory):
    """A way to run site.yml and to kill it after the n-th task that changes something. Returns None if it did."""

    def interrupted_deploy(after: int, *options: str) -> Run | None:
        plugin = {"ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS), "ANSIBLE_CALLBACKS_ENABLED": "interrupt"}
        run = ansible_playbook(inventory, "site.yml", *options, INTERRUPT_AFTER=str(after), **plugin)
        return None if run.code == -signal.SIGKILL else run

    return interrupted_deploy


@pytest.fixture(scope="session")
def deployed(interrupted_deploy):
    """Deploy the servers by runs each of which is killed after the first task that changes something.

    Returns the number of interruptions, and the last run, which ended by itself.
    """
    for interruptions in range(MOST_RUNS):
        run = interrupted_deploy(1)
        if run is not None:
            return interruptions, run
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
