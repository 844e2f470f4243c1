"""Ansible callback plugin: kill the run at a boundary between two tasks."""

import os
import signal

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: interrupt
type: aggregate
short_description: Kill the run when a number of tasks have changed something
description:
  - Kills ansible-playbook with SIGKILL before the task after the n-th one that has changed something on any host.
    n is the value of the environment variable INTERRUPT_AFTER. A run with fewer such tasks ends by itself.
"""


class CallbackModule(CallbackBase):
    """Counts tasks that have changed something."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "interrupt"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._left = int(os.environ["INTERRUPT_AFTER"])
        self._has_changed = False

    def v2_runner_on_ok(self, result) -> None:
        """Note whether the task has changed anything."""
        self._has_changed = self._has_changed or result.is_changed()

    def v2_playbook_on_task_start(self, *_: object, **__: object) -> None:
        """Kill the run, if it is time."""
        if self._has_changed:
            self._has_changed = False
            self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
