"""A control node: run ansible-playbook, of the installed version or an older one, with a separate inventory."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from support import ROOT

# Port 1 of this machine: every connection is refused.
UNREACHABLE = "ansible_host: 127.0.0.1, ansible_port: 1, ansible_connection: ssh, ansible_user: nobody"

PASSED = "All checks passed"

# Releases of ansible-core: the minor versions of Python 3 that each supports (of those that requirements.txt
# supports), and versions of dependencies that differ from requirements.txt.
RELEASES = {
    "2.14.18": ([11], ["resolvelib==0.8.1"]),
    "2.18.19": ([11, 12, 13], []),
    "2.21.5": ([12, 13], []),
}
CACHE = ROOT / ".cache/ansible-core"


@dataclass(frozen=True)
class Run:
    """The exit status of a run and its output: standard output and standard error, combined."""

    code: int
    output: str

    @property
    def normalized_output(self) -> str:
        """Return the output on one line and without YAML's quotes, so that messages match however they are wrapped."""
        return " ".join(self.output.split()).replace("''", "'")


def playbook(path: Path | str, *options: str, python: Path | str = sys.executable, **environment: str) -> Run:
    """Run a playbook with the ansible-core of a Python, and by default with the kit's ansible.cfg."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "GIT_"))}
    finished = subprocess.run(
        [python, "-m", "ansible", "playbook", ROOT / path, *options],
        cwd=ROOT,
        env=own | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Run(finished.returncode, finished.stdout)


def inventory(directory: Path, settings: str = "", connection: str = UNREACHABLE) -> Path:
    """Write an inventory with one server, pypi.example.com, by default unreachable. Returns its directory."""
    variables = directory / "group_vars/pypi_servers"
    variables.mkdir(parents=True, exist_ok=True)
    (directory / "hosts.yml").write_text(f"pypi_servers:\n  hosts:\n    pypi.example.com: {{{connection}}}\n")
    (variables / "settings.yml").write_text(settings or "pypi_users: [{name: alice}]\n")
    return directory


def checks(directory: Path, *parts: str) -> Path:
    """Write a playbook with task files of the role pypi that contact no host; it ends with PASSED. Returns its path."""
    imports = [
        f"    - ansible.builtin.import_role: {{name: {ROOT}/roles/pypi, tasks_from: {part}}}\n" for part in parts
    ]
    head = "- hosts: pypi_servers\n  gather_facts: false\n  tags: [always]\n  tasks:\n"
    playbook = directory / "checks.yml"
    playbook.write_text("".join([head, *imports, f"    - ansible.builtin.debug: {{msg: {PASSED}}}\n"]))
    return playbook


def inventory_warnings(directory: Path) -> str:
    """Return Ansible's warnings when it reads an inventory with an empty ansible.cfg."""
    config = directory.parent / "foreign.cfg"
    config.write_text("[defaults]\n")
    command = [sys.executable, "-m", "ansible", "inventory", "-i", directory, "--list"]
    environment = os.environ | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(config)}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stderr


def interpreters() -> dict[int, Path]:
    """Return the Pythons of this machine that can create virtualenvs, by their minor version."""
    found = {sys.version_info.minor: Path(sys.executable)}
    for minor in (11, 12, 13):
        installed = [shutil.which(f"python3.{minor}"), *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3")]
        for candidate in filter(None, installed):
            works = subprocess.run([candidate, "-c", "import venv"], capture_output=True, check=False).returncode == 0
            if works:
                found.setdefault(minor, Path(candidate))
    return found


def constraints() -> str:
    """Return the versions that the kit pins, without their hashes."""
    pinned = re.findall(r"^[a-z0-9-]+==[^ ;]+", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    return "\n".join(line for line in pinned if not line.startswith(("ansible", "resolvelib"))) + "\n"


def virtualenv(release: str, minor: int, base: Path) -> Path:
    """Return the Python of a cached virtualenv with a release of ansible-core and no collections."""
    directory = CACHE / f"{release}-python3.{minor}"
    python, complete = directory / "bin/python", directory / "complete"
    if not complete.exists():
        subprocess.run([base, "-m", "venv", "--clear", "--without-pip", directory], check=True)
        (directory / "constraints.txt").write_text(constraints())
        needed = [f"ansible-core=={release}", *RELEASES[release][1]]
        install = ["install", "--quiet", "--no-compile", "--constraint", directory / "constraints.txt", *needed]
        subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True)
        complete.touch()
    return python


def virtualenvs() -> dict[str, Path]:
    """Return the Python of each release for which this machine has an interpreter."""
    pythons = interpreters()
    usable = {release: [minor for minor in minors if minor in pythons] for release, (minors, _) in RELEASES.items()}
    with ThreadPoolExecutor(len(RELEASES)) as pool:
        made = {
            release: pool.submit(virtualenv, release, minors[0], pythons[minors[0]])
            for release, minors in usable.items()
            if minors
        }
    return {release: future.result() for release, future in made.items()}
