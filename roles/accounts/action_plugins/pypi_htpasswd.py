"""Action plugin of the module pypi_htpasswd: reads, generates and retires passwords on the control node."""

import secrets
import string
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

CHARACTERS = string.ascii_letters + string.digits
PASSWORD_LENGTH = 32
KEY_LENGTH = 64


def generate(length: int) -> str:
    """Return a random string of letters and digits."""
    return "".join(secrets.choice(CHARACTERS) for _ in range(length))


def create(path: Path, text: str) -> None:
    """Write a file with mode 0600, unless a concurrent run for another host has written it."""
    # One by one: parents that mkdir creates have the default mode.
    for directory in (path.parent.parent, path.parent):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".") as file:
        file.write(f"{text}\n")
        file.flush()
        with suppress(FileExistsError):
            path.hardlink_to(file.name)


def present_names(users: list[dict[str, Any]]) -> set[str]:
    """Return the names of the users whose state is present."""
    return {user["name"] for user in users if user.get("state", "present") == "present"}


class ActionModule(ActionBase):
    """Adds the generated passwords and the fingerprint key to the arguments, then runs the module.

    Passwords are in <secrets_dir>/passwords/<name>.txt, those of removed users in passwords/.removed/.
    """

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        directory = Path(self._loader.path_dwim(arguments.pop("secrets_dir")))
        passwords = directory / "passwords"
        names = [user["name"] for user in arguments["users"] if not {"password", "password_hash"} & set(user)]
        files = {name: passwords / f"{name}.txt" for name in names}
        missing = [name for name, file in files.items() if not file.exists()]
        arguments["generated_passwords"] = {name: self._secret(file, PASSWORD_LENGTH) for name, file in files.items()}
        arguments["fingerprint_key"] = self._secret(directory / "fingerprint-key.txt", KEY_LENGTH)
        result: dict[str, Any] = self._execute_module("pypi_htpasswd", module_args=arguments, task_vars=task_vars)
        retired = self._retire(passwords, result, task_vars or {})
        changed = bool(result.get("changed") or missing or retired)
        return result | {"changed": changed, "generated": missing, "retired": retired}

    def _secret(self, path: Path, length: int) -> str:
        """Return the secret in a file. It is generated if the file is missing; check mode does not write it."""
        if not path.exists():
            if self._task.check_mode:
                return generate(length)
            create(path, generate(length))
        secret = self._loader.get_text_file_contents(str(path)).rstrip()
        if not secret:
            raise AnsibleActionFail(f"{path} is empty. Delete it; the next run generates another secret.")
        return secret

    def _retire(self, directory: Path, result: dict[str, Any], task_vars: dict[str, Any]) -> list[str]:
        """Move the passwords of removed users to .removed/, so that they are not used again. Returns the names."""
        removed = [name for name in result.get("removed", []) if (directory / f"{name}.txt").exists()]
        if not removed:
            return []
        try:
            retired = sorted(set(removed) - self._users_of_other_hosts(task_vars))
        except AnsibleError as error:
            text = f"Passwords of removed users were not retired, because the users of other hosts are unknown: {error}"
            result["warnings"] = [*result.get("warnings", []), text]
            return []
        if not self._task.check_mode:
            (directory / ".removed").mkdir(mode=0o700, exist_ok=True)
            for name in retired:
                with suppress(FileNotFoundError):
                    (directory / f"{name}.txt").replace(directory / f".removed/{name}.txt")
        return retired

    def _users_of_other_hosts(self, task_vars: dict[str, Any]) -> set[str]:
        """Return the names of the users of other hosts: all hosts of an inventory share the directory."""
        names = set()
        for host in set(task_vars["hostvars"]) - {task_vars["inventory_hostname"]}:
            try:
                names |= present_names(task_vars["hostvars"][host].get("pypi_users") or [])
            except (AnsibleError, AttributeError, KeyError, TypeError) as error:
                raise AnsibleError(f"pypi_users of {host}: {error}") from error
        return names
