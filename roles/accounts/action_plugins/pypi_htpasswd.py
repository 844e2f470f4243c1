"""Reads, generates and retires the passwords that the control node keeps, and runs the module pypi_htpasswd."""

import secrets
import string
import tempfile
from contextlib import suppress
from pathlib import Path

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

CHARACTERS = string.ascii_letters + string.digits
PASSWORD_LENGTH = 32
KEY_LENGTH = 64


def generated(length: int) -> str:
    """Return a random text of letters and digits."""
    return "".join(secrets.choice(CHARACTERS) for _ in range(length))


def create(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, unless a run on another host has just written it."""
    # One by one: parents that mkdir makes on the way have the default mode.
    for directory in (path.parent.parent, path.parent):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".") as file:
        file.write(f"{text}\n")
        file.flush()
        with suppress(FileExistsError):
            path.hardlink_to(file.name)


def present(users: list[dict]) -> set[str]:
    """Return the names of those who may sign in."""
    return {user["name"] for user in users if user.get("state", "present") == "present"}


class ActionModule(ActionBase):
    """Passwords are in <secrets_dir>/passwords/<name>.txt, those of removed users in passwords/.removed/."""

    def run(self, tmp: str | None = None, task_vars: dict | None = None) -> dict:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        directory = Path(self._loader.path_dwim(arguments.pop("secrets_dir")))
        directory_of_passwords = directory / "passwords"
        names = [user["name"] for user in arguments["users"] if not {"password", "password_hash"} & set(user)]
        files = {name: directory_of_passwords / f"{name}.txt" for name in names}
        missing = [name for name, file in files.items() if not file.exists()]
        arguments["made_up"] = {name: self._secret(file, PASSWORD_LENGTH) for name, file in files.items()}
        arguments["fingerprint_key"] = self._secret(directory / "fingerprint-key.txt", KEY_LENGTH)
        result = self._execute_module("pypi_htpasswd", module_args=arguments, task_vars=task_vars)
        retired = self._retire(directory_of_passwords, result, task_vars)
        changed = bool(result.get("changed") or missing or retired)
        return result | {"changed": changed, "generated": missing, "retired": retired}

    def _secret(self, path: Path, length: int) -> str:
        """Return what a file holds, which is generated if there is none. A dry run writes nothing."""
        if not path.exists():
            if self._task.check_mode:
                return generated(length)
            create(path, generated(length))
        secret = self._loader.get_text_file_contents(str(path)).rstrip()
        if not secret:
            raise AnsibleActionFail(f"{path} is empty. Delete it to have another one generated.")
        return secret

    def _retire(self, directory: Path, result: dict, task_vars: dict) -> list[str]:
        """Move the passwords of removed users away, so that a user of the same name gets another. Returns the names."""
        removed = [name for name in result.get("removed", []) if (directory / f"{name}.txt").exists()]
        if not removed:
            return []
        try:
            retired = sorted(set(removed) - self._users_of_other_hosts(task_vars))
        except AnsibleError as error:
            text = f"Passwords of removed users are kept, since another host may have them: {error}"
            result["warnings"] = [*result.get("warnings", []), text]
            return []
        if not self._task.check_mode:
            (directory / ".removed").mkdir(mode=0o700, exist_ok=True)
            for name in retired:
                with suppress(FileNotFoundError):
                    (directory / f"{name}.txt").replace(directory / f".removed/{name}.txt")
        return retired

    def _users_of_other_hosts(self, task_vars: dict) -> set[str]:
        """Return the names of the other hosts' users: all hosts of an inventory share the directory."""
        names = set()
        for host in set(task_vars["hostvars"]) - {task_vars["inventory_hostname"]}:
            try:
                names |= present(task_vars["hostvars"][host].get("pypi_users") or [])
            except (AnsibleError, AttributeError, KeyError, TypeError) as error:
                raise AnsibleError(f"pypi_users of {host}: {error}") from error
        return names
