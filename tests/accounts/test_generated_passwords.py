"""The passwords and the key that the control node generates and keeps for the module pypi_htpasswd."""

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
    """A control node with a directory of secrets, and what a server would be told."""

    def __init__(self, directory: Path):
        self.secrets = directory / "secrets"
        self.told: dict[str, Any] = {}
        self.result: dict[str, Any] = {}
        self.hosts: dict[str, Any] = {"pypi.example.com": {}}

    def run(self, *users: dict, removed: list[str] = (), **how: Any) -> dict:
        """Run the action plugin once. removed: whom the server had before. Returns what the module was told."""

        def module(_name: str, module_args: dict, **_others: Any) -> dict:
            self.told = module_args
            return {"changed": bool(removed), "removed": list(removed)}

        arguments = {"path": "/etc/pypi/htpasswd", "users": list(users), "secrets_dir": str(self.secrets)}
        variables = {"hostvars": self.hosts, "inventory_hostname": "pypi.example.com"}
        self.result = action.run(plugin, arguments, variables, _execute_module=module, **how)
        return self.told

    def password(self, name: str) -> str:
        """Return what the file of a user holds."""
        return (self.secrets / f"passwords/{name}.txt").read_text()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A control node without secrets."""
    return Node(tmp_path)


def test_generated_once(node: Node) -> None:
    """Who has neither password nor hash gets a random password, and keeps it."""
    told = node.run(ALICE, BOB, CAROL, {"name": "dora", "password": "own"})
    assert set(told["generated_passwords"]) == {"alice", "bob"}
    assert all(re.fullmatch(r"[A-Za-z0-9]{32}", password) for password in told["generated_passwords"].values())
    assert len(set(told["generated_passwords"].values())) == 2
    assert re.fullmatch(r"[A-Za-z0-9]{64}", told["fingerprint_key"])
    assert node.result["generated"] == ["alice", "bob"]
    assert node.result["changed"] is True
    assert node.run(ALICE, BOB, CAROL) == told | {"users": [ALICE, BOB, CAROL]}
    assert (node.result["generated"], node.result["changed"]) == ([], False)
    assert node.password("alice") == told["generated_passwords"]["alice"] + "\n"
    assert sorted(path.name for path in (node.secrets / "passwords").iterdir()) == ["alice.txt", "bob.txt"]


def test_the_module_gets_the_rest(node: Node) -> None:
    """What is not of the control node is passed on as it is."""
    assert set(node.run(ALICE)) == {"path", "users", "generated_passwords", "fingerprint_key"}


def test_only_the_owner_reads_them(node: Node) -> None:
    """Others on the control node are to see neither secrets nor whose they are."""
    node.run(ALICE)
    paths = [node.secrets, *node.secrets.rglob("*")]
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_file()} == {"0o600"}


def test_files_of_former_versions(node: Node) -> None:
    """Those are read as they are: with a line's end or without."""
    (node.secrets / "passwords").mkdir(parents=True)
    (node.secrets / "passwords/alice.txt").write_text("of alice\n")
    (node.secrets / "passwords/bob.txt").write_text("of bob")
    (node.secrets / "fingerprint-key.txt").write_text("a.,:-_key\n")
    told = node.run(ALICE, BOB)
    assert told["generated_passwords"] == {"alice": "of alice", "bob": "of bob"}
    assert told["fingerprint_key"] == "a.,:-_key"
    assert node.result["changed"] is False


def test_encrypted_files(node: Node) -> None:
    """A file that ansible-vault has encrypted is decrypted, as everywhere in Ansible."""
    vault = [("default", VaultSecret(b"the vault's password"))]
    (node.secrets / "passwords").mkdir(parents=True)
    (node.secrets / "passwords/alice.txt").write_bytes(VaultLib(vault).encrypt("of alice\n"))
    assert node.run(ALICE, vault=vault)["generated_passwords"] == {"alice": "of alice"}


def test_an_empty_file(node: Node) -> None:
    """An empty password would be one that everybody guesses."""
    (node.secrets / "passwords").mkdir(parents=True)
    (node.secrets / "passwords/alice.txt").write_text("\n")
    with pytest.raises(AnsibleActionFail, match=r"passwords/alice\.txt is empty\. Delete it"):
        node.run(ALICE)


def test_hosts_at_the_same_time(tmp_path: Path) -> None:
    """Ansible works on several hosts at once. All of them get the same passwords."""
    for number in range(20):
        nodes = [Node(tmp_path / str(number)) for _ in range(8)]
        with ThreadPoolExecutor(len(nodes)) as pool:
            told = list(pool.map(lambda node: node.run(ALICE, BOB), nodes))
        assert all(arguments == told[0] for arguments in told)


def test_check_mode(node: Node) -> None:
    """A dry run writes nothing: it reads what is there, and takes anything for what is missing."""
    told = node.run(ALICE, check=True)
    assert not node.secrets.exists()
    assert told["generated_passwords"]["alice"]
    assert told["fingerprint_key"]
    assert (node.result["generated"], node.result["changed"]) == (["alice"], True)
    (node.secrets / "passwords").mkdir(parents=True)
    (node.secrets / "passwords/alice.txt").write_text("of alice\n")
    before = sorted(node.secrets.rglob("*"))
    assert node.run(ALICE, BOB, check=True)["generated_passwords"]["alice"] == "of alice"
    assert sorted(node.secrets.rglob("*")) == before


def test_a_user_who_comes_back(node: Node) -> None:
    """Whoever was removed and is listed again gets a new password: the old one may be known to others."""
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


def test_a_dry_run_retires_nothing(node: Node) -> None:
    """It announces that it would."""
    node.run(ALICE)
    node.run(removed=["alice"], check=True)
    assert node.result["retired"] == ["alice"]
    assert node.password("alice")


def test_a_user_whose_password_was_given(node: Node) -> None:
    """There is no file to retire."""
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
    ids=["listed", "absent", "another", "nobody"],
)
def test_a_user_of_another_host(node: Node, variables: dict, retired: list[str]) -> None:
    """Hosts of one inventory share the directory, so a password is retired when no host has its user."""
    node.hosts["other.example.com"] = variables
    node.run(ALICE)
    node.run(removed=["alice"])
    assert node.result["retired"] == retired


class Unreadable(dict):
    """The variables of a host, of which one cannot be evaluated."""

    def get(self, *_arguments: Any) -> Any:
        """Fail as a template does that names an undefined variable."""
        raise AnsibleUndefinedVariable("'x' is undefined")


@pytest.mark.parametrize("users", [5, ["alice"], [{}]], ids=repr)
def test_users_of_another_host_of_a_wrong_type(node: Node, users: object) -> None:
    """Its own run refuses them, and this one goes on."""
    node.hosts["other.example.com"] = {"pypi_users": users}
    test_users_of_another_host_that_cannot_be_read(node)


def test_users_of_another_host_that_cannot_be_read(node: Node) -> None:
    """Then they may be anybody: nothing is retired, and this host's run goes on."""
    node.hosts.setdefault("other.example.com", Unreadable())
    node.run(ALICE)
    node.run(removed=["alice"])
    assert node.result["retired"] == []
    assert "other.example.com" in node.result["warnings"][0]


def test_no_secret_in_the_result(node: Node) -> None:
    """Ansible prints it with -v."""
    told = node.run(ALICE)
    assert not [
        secret
        for secret in (*told["generated_passwords"].values(), told["fingerprint_key"])
        if secret in str(node.result)
    ]


PLAYBOOK = f"""\
- hosts: pypi_servers
  gather_facts: false
  tasks:
    - ansible.builtin.import_role: {{name: {ROOT}/roles/pypi, tasks_from: secrets}}
    - ansible.builtin.import_role: {{name: {ROOT}/roles/accounts, tasks_from: users}}
"""


def test_real_dry_run(tmp_path: Path) -> None:
    """Ansible itself, with the role's own task: what would happen is announced, and nothing is written anywhere."""
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
    assert "generated: - alice" in run.words
    assert "retired: - bob" in run.words
    assert "retired: - bob - carol" not in run.words
    assert "canary" not in run.output
    assert sorted(tmp_path.rglob("*")) == before
