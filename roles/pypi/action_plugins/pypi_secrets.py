"""Ansible action plugin: create the secrets directory on the control node and exclude it from git."""

import os
import secrets
import shlex
import string
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

IGNORE_EVERYTHING = "*"
# Only comments, which Ansible parses as an empty inventory: it warns of a directory without one.
README = "# Generated passwords and keys. Back them up. Do not commit them to git.\n"
OWN = (".gitignore", "README", "passwords/README")
CHARACTERS = string.ascii_letters + string.digits
SECRET_LENGTH = 32
VAULT = b"$ANSIBLE_VAULT;"
# Maximum number of names in a message.
LISTED = 3


def tracked_files(directory: Path) -> list[str]:
    """Return the names of tracked files, relative to a directory; none without git or a repository."""
    existing = next(path for path in (directory, *directory.parents) if path.is_dir())
    # A git hook that runs Ansible sets variables that name its own repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    inside = os.path.relpath(directory, existing)
    command = ["git", "-C", str(existing), "ls-files", "-z", "--", inside]
    try:
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    return [os.path.relpath(name, inside) for name in finished.stdout.split("\0") if name]


def is_encrypted(path: Path) -> bool:
    """Return whether a file is encrypted with ansible-vault."""
    try:
        with path.open("rb") as file:
            return file.read(len(VAULT)) == VAULT
    except OSError:
        return False


def tracked_problem(directory: Path) -> str | None:
    """Return an error message if git tracks unencrypted secrets in a directory."""
    names = [name for name in tracked_files(directory) if name not in OWN and not is_encrypted(directory / name)]
    if not names:
        return None
    count = f"{len(names)} file{'s' if len(names) > 1 else ''}"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (
        f"Nothing was changed. pypi_secrets_dir: git tracks {count} in {directory}, which is for passwords and keys: "
        f"{', '.join(names[:LISTED])}{more}. Remove them from git "
        f"(git rm -r --cached {shlex.quote(str(directory))}) and commit that. "
        "Everyone with access to the repository knows them: delete the files, and the next run generates others. "
        "Or set another directory."
    )


def generate() -> str:
    """Return a random line of letters and digits."""
    return "".join(secrets.choice(CHARACTERS) for _ in range(SECRET_LENGTH)) + "\n"


class ActionModule(ActionBase):
    """Fails if git tracks secrets; otherwise creates the directory and its .gitignore. Contacts no host.

    generate: names of files in the directory that get a random text unless they exist.
    """

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        directory = Path(self._loader.path_dwim(self._task.args["path"]))
        if problem := tracked_problem(directory):
            raise AnsibleActionFail(problem)
        generated = {directory / name: generate() for name in self._task.args.get("generate", [])}
        missing = self._missing(directory) | {path: text for path, text in generated.items() if not path.exists()}
        if not self._task.check_mode:
            for path in (directory, directory / "passwords"):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path, text in missing.items():
                path.touch(mode=0o600)
                path.write_text(text, encoding="utf-8")
        return {"changed": bool(missing), "changed_paths": [str(path) for path in missing]}

    def _missing(self, directory: Path) -> dict[Path, str]:
        """Return the files to write: {path: text}."""
        missing = {path: README for name in OWN[1:] if not (path := directory / name).exists()}
        gitignore = directory / OWN[0]
        with suppress(FileNotFoundError):
            before = gitignore.read_text(encoding="utf-8")
            if IGNORE_EVERYTHING in before.splitlines():
                return missing
            return missing | {gitignore: before.rstrip("\n") + f"\n{IGNORE_EVERYTHING}\n"}
        return missing | {gitignore: f"{IGNORE_EVERYTHING}\n"}
