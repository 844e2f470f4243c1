"""Run the project's playbooks as a user does."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
TASK = re.compile(r"(?:TASK|RUNNING HANDLER) \[(.+)\] \*+")
CHANGED = re.compile(r"changed: \[([^\]]+)\]")


@dataclass(frozen=True)
class Run:
    """The result of a playbook run."""

    code: int
    output: str

    @property
    def hosts(self) -> dict[str, dict[str, int]]:
        """Return the recap: {host: {"changed": n, "failed": n}}."""
        return {
            host: {"changed": int(changed), "failed": int(failed) + int(unreachable)}
            for host, changed, unreachable, failed in RECAP.findall(self.output)
        }

    @property
    def changes(self) -> dict[str, list[str]]:
        """Return the names of the tasks that changed something: {host: [task, ...]}."""
        found: dict[str, list[str]] = {host: [] for host in self.hosts}
        task = ""
        for line in self.output.splitlines():
            if started := TASK.match(line):
                task = started[1]
            elif (changed := CHANGED.match(line)) and task not in found[changed[1]]:
                found[changed[1]].append(task)
        return found

    @property
    def normalized_output(self) -> str:
        """Return the output on one line and without YAML's quotes, so that messages match however they are wrapped."""
        return " ".join(self.output.split()).replace("''", "'")


def ansible_playbook(inventory: str, playbook: str, *options: str, **environment: str) -> Run:
    """Run a playbook of the project with its ansible.cfg."""
    finished = subprocess.run(
        ["ansible-playbook", "--inventory", inventory, playbook, *options],
        cwd=PROJECT,
        env=os.environ | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"} | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return Run(finished.returncode, finished.stdout)


@cache
def settings_of_all(inventory: str) -> dict[str, dict]:
    """Return every server's settings, defaults included: {host: {setting: value}}."""
    run = ansible_playbook(inventory, "molecule/shared/settings.yml", ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    assert run.code == 0, run.output
    tasks = json.loads(run.output[run.output.index("{") :])["plays"][0]["tasks"]
    return {host: result["msg"] for host, result in tasks[-1]["hosts"].items()}
