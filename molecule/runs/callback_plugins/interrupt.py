"""Ansible callback plugin: kill the run at a boundary between two tasks."""

import os
import signal
from pathlib import Path

from ansible.executor.task_result import CallbackTaskResult
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: interrupt
type: aggregate
short_description: Kill the run after a task that has changed something
description:
  - Kills ansible-playbook with SIGKILL before the next task, when a task has changed something on any host that is
    not in the file yet. The environment variable INTERRUPTED_AFTER names that file. It has the names of such tasks, one
    in each line; the plugin adds to it.
  - INTERRUPT_EVERY is a number N; of these tasks, only the first one and each Nth after it end the run.
  - A run that has no such task ends by itself.
"""


class CallbackModule(CallbackBase):
    """Kills the run after a task that has changed something and is not in the file."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "interrupt"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._file = Path(os.environ["INTERRUPTED_AFTER"])
        self._seen = self._file.read_text(encoding="utf-8").splitlines()
        self._every = int(os.environ["INTERRUPT_EVERY"])
        self._changing = ""

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """Note that the task has changed something."""
        if result.is_changed():
            self._changing = result.task_name

    def v2_playbook_on_task_start(self, *_: object, **__: object) -> None:
        """Kill the run, if the task before this one has changed something and its turn has come."""
        if self._changing and self._changing not in self._seen:
            self._seen.append(self._changing)
            self._file.write_text("\n".join([*self._seen, ""]), encoding="utf-8")
            if (len(self._seen) - 1) % self._every == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        self._changing = ""
