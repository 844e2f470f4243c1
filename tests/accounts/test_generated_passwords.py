"""Passwords and the key that the control node generates and stores for the module pypi_htpasswd."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleUndefinedVariable
from ansible.parsing.vault import VaultLib, VaultSecret
from support import ROOT, action, control, load

plugin = load("roles/accounts/action_plugins/pypi_htpasswd.py")

ALICE, BOB = {"name": "alice"}, {"name": "bob"}
CAROL = {"name": "carol", "password_hash": "$2y$12$" + "a" * 53}


class Node:
    """A control node with a secrets directory, and the arguments that the module received."""

    def __init__(self, directory: Path):
        self.secrets = directory / "secrets"
        self.arguments: dict[str, Any] = {}
        self.result: dict[str, Any] = {}
        self.hosts: dict[str, Any] = {"pypi.example.com": {}}

    def run(self, *users: dict, removed: list[str] = (), **options: Any) -> dict:
        """Run the action plugin once. removed: users that the server had before. Returns the module's arguments."""

        def module(_name: str, module_args: dict, **_others: Any) -> dict:
            self.arguments = module_args
            return {"changed": bool(removed), "removed": list(removed)}

        arguments = {"path": "/etc/pypi/htpasswd", "users": list(users), "secrets_dir": str(self.secrets)}
        variables = {"hostvars": self.hosts, "inventory_hostname": "pypi.example.com"}
        self.result = action.run(plugin, arguments, variables, _execute_module=module, **options)
        return self.arguments

    def password(self, name: str) -> str:
        """Return the content of a user's password file."""
        return (self.secrets / f"passwords/{name}.txt").read_text()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return a control node without secrets."""
    return Node(tmp_path)


def test_generates_passwords_once(node: Node) -> None:
    """A user without password and hash gets a random password, which is reused."""
    arguments = node.run(ALICE, BOB, CAROL, {"name": "dora", "password": "own"})
    assert set(arguments["generated_passwords"]) == {"alice", "bob"}
    assert all(re.fullmatch(r"[A-Za-z0-9]{32}", password) for password in arguments["generated_passwords"].values())
    assert len(set(arguments["generated_passwords"].values())) == 2
    assert re.fullmatch(r"[A-Za-z0-9]{64}", arguments["fingerprint_key"])
    assert node.result["generated"] == ["alice", "bob"]
    assert node.result["changed"] is True
    assert node.run(ALICE, BOB, CAROL) == arguments | {"users": [ALICE, BOB, CAROL]}
    assert (node.result["generated"], node.result["changed"]) == ([], False)
    assert node.password("alice") == arguments["generated_passwords"]["alice"] + "\n"
    assert sorted(path.name for path in (node.secrets / "passwords").iterdir()) == ["alice.txt", "bob.txt"]


def test_passes_other_arguments_to_module(node: Node) -> None:
    """Arguments for the module are passed on unchanged."""
    assert set(node.run(ALICE)) == {"path", "users", "generated_passwords", "fingerprint_key"}


def test_secrets_are_private(node: Node) -> None:
    """Other users on the control node can read neither secrets nor user names."""
    node.run(ALICE)
    paths = [node.secrets, *node.secrets.rglob("*")]
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_file()} == {"0o600"}


def test_reads_existing_files(node: Node) -> None:
    """Files with and without a final line end are read."""
    (node.secrets / "passwords").mkdir(parents=True)
    (node.secrets / "passwords/alice.txt").write_text("of alice\n")
    (node.secrets / "passwords/bob.txt").write_text("of bob")
    (node.secrets / "fingerprint-key.txt").write_text("a.,:-_key\n")
    arguments = node.run(ALICE, BOB)
    assert arguments["generated_passwords"] == {"alice": "of alice", "bob": "of bob"}
    assert arguments["fingerprint_key"] == "a.,:-_key"
    assert node.result["changed"] is False


def test_reads_vault_encrypted_file(node: Node) -> None:
    """A file encrypted with ansible-vault is decrypted."""
    vault = [("default", VaultSecret(b"the vault's password"))]
    (node.secrets / "passwords").mkdir(parents=True)
    (node.secrets / "passwords/alice.txt").write_bytes(VaultLib(vault).encrypt("of alice\n"))
    assert node.run(ALICE, vault=vault)["generated_passwords"] == {"alice": "of alice"}


def test_rejects_empty_file(node: Node) -> None:
    """An empty password would be easy to guess."""
    (node.secrets / "passwords").mkdir(parents=True)
    (node.secrets / "passwords/alice.txt").write_text("\n")
    with pytest.raises(AnsibleActionFail, match=r"passwords/alice\.txt is empty\. Delete it"):
        node.run(ALICE)


def test_concurrent_hosts_get_same_passwords(tmp_path: Path) -> None:
    """Ansible runs for several hosts concurrently: all of them get the same passwords."""
    for number in range(20):
        nodes = [Node(tmp_path / str(number)) for _ in range(8)]
        with ThreadPoolExecutor(len(nodes)) as pool:
            results = list(pool.map(lambda node: node.run(ALICE, BOB), nodes))
        assert all(arguments == results[0] for arguments in results)


def test_check_mode_writes_nothing(node: Node) -> None:
    """A dry run reads existing secrets and uses placeholders for missing ones."""
    arguments = node.run(ALICE, check=True)
    assert not node.secrets.exists()
    assert arguments["generated_passwords"]["alice"]
    assert arguments["fingerprint_key"]
    assert (node.result["generated"], node.result["changed"]) == (["alice"], True)
    (node.secrets / "passwords").mkdir(parents=True)
    (node.secrets / "passwords/alice.txt").write_text("of alice\n")
    before = sorted(node.secrets.rglob("*"))
    assert node.run(ALICE, BOB, check=True)["generated_passwords"]["alice"] == "of alice"
    assert sorted(node.secrets.rglob("*")) == before


def test_returning_user_gets_new_password(node: Node) -> None:
    """A removed user who is listed again gets a new password, since others may know the old one."""
    old = node.run(ALICE, BOB)["generated_passwords"]
    node.run(BOB, removed=["alice"])
    assert node.result["retired"] == ["alice"]
    assert sorted(path.name for path in (node.secrets / "passwords").glob("*.txt")) == ["bob.txt"]
    assert (node.secrets / "passwords/.removed/alice.txt").read_text() == old["alice"] + "\n"
    new = node.run(ALICE, BOB)["generated_passwords"]
    assert new["alice"] != old["alice"]
    assert new["bob"] == old["bob"]
    node.run(BOB, removed=["alice"])
    assert (node.secrets / "passwords/.removed/alice.txt").read_text() == new["alice"] + "\n"


def test_check_mode_retires_nothing(node: Node) -> None:
    """A dry run reports the retirement without doing it."""
    node.run(ALICE)
    node.run(removed=["alice"], check=True)
    assert node.result["retired"] == ["alice"]
    assert node.password("alice")


def test_given_password_is_not_retired(node: Node) -> None:
    """A user with a given password has no file to retire."""
    node.run(removed=["carol"])
    assert node.result["retired"] == []


@pytest.mark.parametrize(
    ("variables", "retired"),
    [
        ({"pypi_users": [ALICE]}, []),
        ({"pypi_users": [ALICE | {"state": "absent"}]}, ["alice"]),
        ({"pypi_users": [BOB]}, ["alice"]),
        ({}, ["alice"]),
    ],
    ids=["listed", "absent", "other user", "no users"],
)
def test_password_is_kept_while_another_host_uses_it(node: Node, variables: dict, retired: list[str]) -> None:
    """Hosts of an inventory share the directory, so a password is retired when no host has its user."""
    node.hosts["other.example.com"] = variables
    node.run(ALICE)
    node.run(removed=["alice"])
    assert node.result["retired"] == retired


class Unreadable(dict):
    """Variables of a host, one of which cannot be evaluated."""

    def get(self, *_arguments: Any) -> Any:
        """Fail as a template with an undefined variable does."""
        raise AnsibleUndefinedVariable("'x' is undefined")


@pytest.mark.parametrize("users", [5, ["alice"], [{}]], ids=repr)
def test_retires_nothing_if_other_host_has_invalid_users(node: Node, users: object) -> None:
    """Invalid users of another host do not fail this run."""
    node.hosts["other.example.com"] = {"pypi_users": users}
    test_retires_nothing_if_other_host_is_unreadable(node)


def test_retires_nothing_if_other_host_is_unreadable(node: Node) -> None:
    """If the users of another host are unknown, nothing is retired, and the run continues with a warning."""
    node.hosts.setdefault("other.example.com", Unreadable())
    node.run(ALICE)
    node.run(removed=["alice"])
    assert node.result["retired"] == []
    assert "other.example.com" in node.result["warnings"][0]


def test_result_contains_no_secret(node: Node) -> None:
    """Ansible prints the result with -v."""
    arguments = node.run(ALICE)
    assert not [
        secret
        for secret in (*arguments["generated_passwords"].values(), arguments["fingerprint_key"])
        if secret in str(node.result)
    ]


PLAYBOOK = f"""\
- hosts: pypi_servers
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {{name: {ROOT}/roles/pypi, tasks_from: secrets}}
    - ansible.builtin.import_role: {{name: {ROOT}/roles/accounts, tasks_from: users}}
"""


def test_ansible_check_mode(tmp_path: Path) -> None:
    """With ansible-playbook and the role's tasks, a dry run reports the changes and writes nothing."""
    settings = f"pypi_users: [{{name: alice}}]\npypi_config_dir: {tmp_path}/etc\n"
    connection = "ansible_connection: local, ansible_python_interpreter: '{{ ansible_playbook_python }}'"
    inventory = control.inventory(tmp_path / "inventory", settings, connection)
    (inventory / "more.yml").write_text("pypi_servers: {hosts: {other.example.com: {pypi_users: [{name: carol}]}}}\n")
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(PLAYBOOK)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/htpasswd").write_text("bob:x\ncarol:x\n")
    (inventory / "secrets/passwords").mkdir(parents=True)
    for name in ("bob", "carol"):
        (inventory / f"secrets/passwords/{name}.txt").write_text("canary\n")
    before = sorted(tmp_path.rglob("*"))
    run = control.playbook(playbook, "-i", inventory, "--limit", "pypi.example.com", "--check", "--diff", "-v")
    assert run.code == 0, run.output
    assert "+alice" in run.output
    assert "generated: - alice" in run.normalized_output
    assert "retired: - bob" in run.normalized_output
    assert "retired: - bob - carol" not in run.normalized_output
    assert "canary" not in run.output
    assert sorted(tmp_path.rglob("*")) == before
