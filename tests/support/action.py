"""Run action plugins in this process, as Ansible runs them on the control node."""

from types import ModuleType
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.connection.local import Connection
from ansible.template import Templar


def run(
    plugin: ModuleType,
    arguments: dict,
    variables: dict | None = None,
    check: bool = False,
    vault: list | None = None,
    **methods: Any,
) -> dict:
    """Run an action plugin once. methods replace its own, such as _execute_module. Returns its result.

    vault: the secrets of ansible-vault that the control node has.
    """
    task = Task()
    task.args, task.check_mode = arguments, check
    loader, context = DataLoader(), PlayContext()
    loader.set_vault_secrets(vault or [])
    connection = Connection(context)
    action = plugin.ActionModule(task, connection, context, loader, Templar(loader, variables={}), None)
    for name, method in methods.items():
        setattr(action, name, method)
    return action.run(task_vars=variables or {})
