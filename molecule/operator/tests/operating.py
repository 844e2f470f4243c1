"""What an operator does at a control node."""

import base64
import json
import re
import shlex
from collections.abc import Iterable, Mapping

from shared.deployment import Run

# What is to be in a file begins with the file's name, after the commands or the file before it.
FILE = re.compile(r"^# (\S+/\S+|\S+\.\w+)\n", re.MULTILINE)


def script(blocks: Iterable[str], words: Mapping[str, str]) -> str:
    """Return shell code that does what blocks of the documentation say: runs commands, and writes files.

    words: what is in the place of what is said, such as names of servers. Whatever fails ends it.
    """
    lines = ["set -e"]
    for block in blocks:
        text = block
        for said, meant in words.items():
            text = text.replace(said, meant)
        commands, *files = FILE.split(text)
        lines.append(commands)
        for name, content in zip(files[::2], files[1::2], strict=True):
            lines += [f"mkdir -p $(dirname {name})", f"cat >{name} <<'END-OF-FILE'", f"{content}END-OF-FILE"]
    return "\n".join(lines)


class ControlNode:
    """A machine with a clone of the repository, and Ansible in its virtualenv."""

    def __init__(self, machine):
        self.machine = machine

    def run(self, command: str, directory: str = "/root/wheelhouse"):
        """Run a shell command. Returns testinfra's result."""
        environment = ["HOME=/root", "LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin", "ANSIBLE_NOCOLOR=1"]
        text = f"cd {directory}\n{command}"
        return self.machine.run(shlex.join(["env", "-i", *environment, "bash", "-c", text]))

    def do(self, blocks: Iterable[str], directory: str, words: Mapping[str, str]):
        """Do what blocks of the documentation say, in one shell. Returns testinfra's result."""
        return self.run(script(blocks, words), directory)

    def playbook(self, playbook: str, *options: str, directory: str = "/root/wheelhouse", **settings: object) -> Run:
        """Run a playbook, with the clone's Ansible and some settings on the command line."""
        words = ["ansible-playbook", playbook, "-i", "inventory", *options]
        words += ["--extra-vars", json.dumps(settings)] if settings else []
        done = self.run(f". /root/wheelhouse/.venv/bin/activate && {shlex.join(words)} 2>&1", directory)
        return Run(done.rc, done.stdout)

    def write(self, path: str, text: str) -> str:
        """Write a file, and return its path."""
        content = base64.b64encode(text.encode()).decode()
        self.machine.check_output("mkdir -p $(dirname %s) && echo %s | base64 -d >%s", path, content, path)
        return path
