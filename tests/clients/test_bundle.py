"""The CA bundle for clients, written on the control node by the role's tasks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import ROOT

PUBLIC = "-----BEGIN CERTIFICATE-----\npublic\n-----END CERTIFICATE-----"
OWN = "-----BEGIN CERTIFICATE-----\nown\n-----END CERTIFICATE-----"


class ControlNode:
    """A directory of the control node in which the tasks are run."""

    def __init__(self, home: Path):
        self.home, self.ca = home, home / "ca"

    def run(self, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the tasks for a host named pypi.example.com."""
        files = ["roles/pypi/defaults/main.yml", "roles/pypi/vars/main.yml", "roles/tls/vars/main.yml"]
        play = {
            "hosts": "all",
            "connection": "local",
            "gather_facts": False,
            "vars_files": [str(ROOT / file) for file in files],
            "vars": {"ansible_python_interpreter": sys.executable},
            "tasks": [{"import_tasks": str(ROOT / "roles/tls/tasks/clients.yml")}],
        }
        playbook = self.home / "clients.yml"
        playbook.write_text(yaml.safe_dump([play]))
        (self.home / "ansible.cfg").touch()
        settings = {"pypi_ca_dir": str(self.ca), "ansible_python_interpreter": sys.executable} | settings
        given = [word for item in settings.items() for word in ("--extra-vars", "=".join(item))]
        return subprocess.run(
            ["ansible-playbook", "-i", "pypi.example.com,", *given, *options, playbook],
            env=os.environ | {"ANSIBLE_CONFIG": str(self.home / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            text=True,
            capture_output=True,
            check=False,
        )

    @property
    def bundle(self) -> Path:
        return self.ca / "pypi.example.com-bundle.pem"


@pytest.fixture
def control_node(tmp_path: Path) -> ControlNode:
    """Return a control node with the server's CA and a file of public CAs."""
    node = ControlNode(tmp_path)
    node.ca.mkdir()
    (node.ca / "pypi.example.com.crt").write_text(OWN + "\n")
    (tmp_path / "public.pem").write_text(PUBLIC)
    return node


def test_bundle_contains_public_and_own_ca(control_node: ControlNode) -> None:
    """Clients with the bundle trust this server and PyPI."""
    public = control_node.home / "public.pem"
    first, second = (control_node.run(pypi_public_ca_file=str(public)) for _ in range(2))
    assert first.returncode == 0, first.stdout + first.stderr
    assert control_node.bundle.read_text() == f"{PUBLIC}\n{OWN}\n"
    assert control_node.bundle.stat().st_mode & 0o777 == 0o644
    assert ("changed=1" in first.stdout, "changed=0" in second.stdout) == (True, True)


def test_bundle_uses_system_store_by_default(control_node: ControlNode) -> None:
    """By default, the public CAs are those of the control node's operating system."""
    stores = [
        Path(path) for path in yaml.safe_load((ROOT / "roles/tls/vars/main.yml").read_text())["__tls_public_files"]
    ]
    store = next((path for path in stores if path.exists()), None)
    control_node.run()
    if store is None:
        assert not control_node.bundle.exists()
    else:
        assert control_node.bundle.read_text() == store.read_text().rstrip("\n") + f"\n{OWN}\n"


def test_warns_without_public_cas(control_node: ControlNode) -> None:
    """Without public CAs, the deployment continues with a message that contains the setting."""
    done = control_node.run(__tls_public_files="/nowhere.crt")
    assert done.returncode == 0
    assert "pypi_public_ca_file" in done.stdout
    assert not control_node.bundle.exists()


def test_bundle_contains_company_ca(control_node: ControlNode) -> None:
    """The CA of a provided certificate is stored where that of a self-signed one is."""
    (control_node.ca / "pypi.example.com.crt").unlink()
    control_node.ca.rmdir()
    company = control_node.home / "company.pem"
    company.write_text(OWN)
    settings = {"pypi_tls": "provided", "pypi_tls_ca": str(company)}
    done = control_node.run(pypi_public_ca_file=str(control_node.home / "public.pem"), **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (control_node.ca / "pypi.example.com.crt").read_text() == OWN
    assert control_node.bundle.read_text() == f"{PUBLIC}\n{OWN}\n"


def test_check_mode_writes_nothing(control_node: ControlNode) -> None:
    """A dry run writes nothing, even before a CA exists."""
    (control_node.ca / "pypi.example.com.crt").unlink()
    done = control_node.run("--check", pypi_public_ca_file=str(control_node.home / "public.pem"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(control_node.ca.iterdir()) == []
