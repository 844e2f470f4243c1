"""Run an operator's commands on a control node."""

import base64
import json
import re
import shlex
from collections.abc import Iterable, Mapping

from shared.deployment import Run

# A file's content begins with a comment that contains its name, after the commands or the previous file.
FILE = re.compile(r"^# (\S+/\S+|\S+\.\w+)\n", re.MULTILINE)


def script(blocks: Iterable[str], replacements: Mapping[str, str]) -> str:
    """Return a shell script that runs the commands and writes the files of code blocks in the documentation.

    replacements: texts to replace, such as server names. The script ends at the first error.
    """
    lines = ["set -e"]
    for block in blocks:
        text = block
        for old, new in replacements.items():
            text = text.replace(old, new)
        commands, *files = FILE.split(text)
        lines.append(commands)
        for name, content in zip(files[::2], files[1::2], strict=True):
            lines += [f"mkdir -p $(dirname {name})", f"cat >{name} <<'END-OF-FILE'", f"{content}END-OF-FILE"]
    return "\n".join(lines)


class ControlNode:
    """A control node with a clone of the repository, and Ansible in its virtualenv."""

    def __init__(self, machine):
        self.machine = machine

    def run(self, command: str, directory: str = "/root/wheelhouse"):
        """Run a shell command. Returns testinfra's result."""
        environment = ["HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin", "ANSIBLE_NOCOLOR=1"]
        text = f"cd {directory}\n{command}"
        return self.machine.run(shlex.join(["env", "-i", *environment, "bash", "-c", text]))

    def run_blocks(self, blocks: Iterable[str], directory: str, replacements: Mapping[str, str]):
        """Run code blocks of the documentation in one shell. Returns testinfra's result."""
        return self.run(script(blocks, replacements), directory)

    def playbook(self, playbook: str, *options: str, directory: str = "/root/wheelhouse", **settings: object) -> Run:
        """Run a playbook with the clone's Ansible, and with settings as extra variables."""
        arguments = ["ansible-playbook", playbook, "-i", "inventory", *options]
        arguments += ["--extra-vars", json.dumps(settings)] if settings else []
        result = self.run(f". /root/wheelhouse/.venv/bin/activate && {shlex.join(arguments)} 2>&1", directory)
        return Run(result.rc, result.stdout)

    def write(self, path: str, text: str) -> str:
        """Write a file, and return its path."""
        content = base64.b64encode(text.encode()).decode()
        self.machine.check_output("mkdir -p $(dirname %s) && echo %s | base64 -d >%s", path, content, path)
        return path
