"""The module that writes htpasswd files, run as Ansible runs it."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from ansible.module_utils.testing import patch_module_args
from support import ROOT, load
from support.passwords import passwords

SOURCE = "roles/accounts/library/pypi_htpasswd.py"
module = load(SOURCE)

ALICE = {"name": "alice", "password": "canary-alice"}
BOB = {"name": "bob", "password": "canary-bob"}
CAROL = {"name": "carol", "password_hash": "$2y$12$" + "canaryhash" + "a" * 43}


class Server:
    """A directory with an htpasswd file, and the control node that writes it."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture):
        self.path = directory / "htpasswd"
        self.fingerprints = directory / "htpasswd.fingerprints"
        self._capsys = capsys

    def run(self, *users: dict, **changed: Any) -> dict:
        """Run the module once. Returns its result."""
        arguments = {"path": str(self.path), "users": list(users), "cost": 4, "mode": "0640"}
        with patch_module_args(arguments | {"fingerprint_key": "canary-key"} | changed), pytest.raises(SystemExit):
            module.main()
        return json.loads(self._capsys.readouterr().out)

    def hashes(self) -> dict[str, str]:
        """Return the users and hashes in the file."""
        return module.read(self.path)


@pytest.fixture
def server(tmp_path: Path, capsys: pytest.CaptureFixture) -> Server:
    """Return a server without users."""
    return Server(tmp_path, capsys)


def no_bcrypt(*_arguments: object) -> None:
    """Fail if bcrypt is called."""
    raise AssertionError("bcrypt was asked")


def test_first_run_adds_all_users(server: Server) -> None:
    """All users are added atomically, with hashes of their passwords and of the configured cost."""
    result = server.run(BOB, ALICE, CAROL)
    assert result["changed"] is True
    assert result["added"] == ["alice", "bob", "carol"]
    assert list(server.hashes()) == ["alice", "bob", "carol"]
    assert bcrypt.checkpw(b"canary-alice", server.hashes()["alice"].encode())
    assert module.cost_of(server.hashes()["bob"]) == 4


def test_second_run_changes_nothing(server: Server) -> None:
    """A second run reports no change and writes no file."""
    server.run(ALICE, BOB, CAROL)
    before = server.path.read_bytes(), server.fingerprints.read_bytes(), server.path.stat().st_mtime_ns
    result = server.run(ALICE, BOB, CAROL)
    assert result["changed"] is False
    assert (server.path.read_bytes(), server.fingerprints.read_bytes(), server.path.stat().st_mtime_ns) == before


def test_adds_and_removes_users(server: Server) -> None:
    """Users that are no longer listed are removed, and the others' lines are unchanged."""
    server.run(ALICE, BOB)
    kept = server.hashes()["bob"]
    result = server.run(BOB, CAROL)
    assert (result["added"], result["removed"], result["changed_users"]) == (["carol"], ["alice"], [])
    assert server.hashes() == {"bob": kept, "carol": CAROL["password_hash"]}
    assert "alice" not in server.fingerprints.read_text()


def test_empty_list_removes_all_users(server: Server) -> None:
    """An empty list removes all users."""
    server.run(ALICE)
    assert server.run()["removed"] == ["alice"]
    assert server.hashes() == {}


def test_removes_manually_added_user(server: Server) -> None:
    """A line that was added by hand is removed."""
    server.run(ALICE)
    with server.path.open("a") as file:
        file.write("mallory:$2y$04$x\n")
    assert server.run(ALICE)["removed"] == ["mallory"]
    assert list(server.hashes()) == ["alice"]


def test_changed_password_changes_one_line(server: Server) -> None:
    """A changed password changes only that user's line."""
    server.run(ALICE, BOB)
    before = server.hashes()
    result = server.run(ALICE | {"password": "canary-new"}, BOB)
    assert (result["changed"], result["changed_users"]) == (True, ["alice"])
    assert server.hashes()["bob"] == before["bob"]
    assert bcrypt.checkpw(b"canary-new", server.hashes()["alice"].encode())
    assert not bcrypt.checkpw(b"canary-alice", server.hashes()["alice"].encode())


def test_replaces_manually_changed_hash(server: Server) -> None:
    """A hash without a matching fingerprint is checked against the password."""
    server.run(ALICE)
    server.path.write_text(f"alice:{module.new_hash('mallory', 4)}\n")
    assert server.run(ALICE)["changed_users"] == ["alice"]
    assert bcrypt.checkpw(b"canary-alice", server.hashes()["alice"].encode())


def test_changed_cost_rehashes_passwords(server: Server) -> None:
    """A changed cost applies to existing users, except those with given hashes."""
    server.run(ALICE, CAROL)
    assert server.run(ALICE, CAROL, cost=5)["changed_users"] == ["alice"]
    assert module.cost_of(server.hashes()["alice"]) == 5
    assert server.run(ALICE, CAROL, cost=5)["changed"] is False


def test_given_hash_is_unchanged(server: Server) -> None:
    """A given hash is written whatever the cost, since its password is unknown."""
    server.run(CAROL, cost=5)
    assert server.hashes() == {"carol": CAROL["password_hash"]}


def test_switches_between_password_and_hash(server: Server) -> None:
    """A stale fingerprint does not keep a hash of another password."""
    server.run(ALICE)
    server.run({"name": "alice", "password_hash": CAROL["password_hash"]})
    assert server.hashes()["alice"] == CAROL["password_hash"]
    server.run(ALICE)
    assert bcrypt.checkpw(b"canary-alice", server.hashes()["alice"].encode())


def test_uses_generated_passwords(server: Server) -> None:
    """A user without a password gets the generated one; a given password has priority."""
    server.run({"name": "dave"}, ALICE, generated_passwords={"dave": "canary-dave", "alice": "canary-wrong"})
    assert bcrypt.checkpw(b"canary-dave", server.hashes()["dave"].encode())
    assert bcrypt.checkpw(b"canary-alice", server.hashes()["alice"].encode())


def test_rejects_user_without_password(server: Server) -> None:
    """A missing password is an error, not an empty password."""
    result = server.run({"name": "dave"})
    assert result["failed"] is True
    assert "dave" in result["msg"]
    assert not server.path.exists()


def test_check_mode_writes_nothing(server: Server) -> None:
    """A dry run reports the changes."""
    result = server.run(ALICE, _ansible_check_mode=True)
    assert (result["changed"], result["added"]) == (True, ["alice"])
    assert list(server.path.parent.iterdir()) == []

    server.run(ALICE)
    before = server.path.read_bytes(), server.fingerprints.read_bytes()
    result = server.run(BOB, _ansible_check_mode=True)
    assert (result["changed"], result["added"], result["removed"]) == (True, ["bob"], ["alice"])
    assert (server.path.read_bytes(), server.fingerprints.read_bytes()) == before
    assert server.run(ALICE, _ansible_check_mode=True)["changed"] is False


def test_check_mode_works_without_bcrypt(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a fresh host, an earlier task installs the package, but not in check mode."""
    monkeypatch.setattr(module, "HAS_BCRYPT", False)
    assert server.run(ALICE, _ansible_check_mode=True)["changed"] is True
    result = server.run(ALICE)
    assert result["failed"] is True
    assert "apt-get install python3-bcrypt" in result["msg"]


def test_writes_expiry_date(server: Server) -> None:
    """The hash and the expiry date are written atomically."""
    result = server.run(ALICE, CAROL | {"expires": "2027-01-01"})
    assert result["added"] == ["alice", "carol"]
    alice, carol = server.hashes().items()
    assert ":" not in alice[1]
    assert carol == ("carol", f"{CAROL['password_hash']}:2027-01-01")
    assert server.run(ALICE, CAROL | {"expires": "2027-01-01"})["changed"] is False


def test_changed_expiry_date_keeps_hash(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed date changes only that user's line, without a call of bcrypt."""
    server.run(ALICE, BOB)
    before = server.hashes()
    monkeypatch.setattr(bcrypt, "checkpw", no_bcrypt)
    monkeypatch.setattr(bcrypt, "hashpw", no_bcrypt)
    for day in ("2027-01-01", "2026-12-31"):
        result = server.run(ALICE | {"expires": day}, BOB)
        assert (result["changed"], result["changed_users"]) == (True, ["alice"])
        assert server.hashes() == {"alice": f"{before['alice']}:{day}", "bob": before["bob"]}
    assert server.run(ALICE, BOB)["changed_users"] == ["alice"]
    assert server.hashes() == before


def test_expiry_date_is_readable(server: Server) -> None:
    """The line up to the second colon is valid for Apache, and the password checker reads the date."""
    server.run(ALICE | {"expires": "2027-01-01"})
    logins, _decoy = passwords.HtpasswdFile(server.path).logins()
    name, password_hash, _day = server.path.read_text().split(":")
    assert (name, logins["alice"].password_hash.decode()) == ("alice", password_hash)
    assert logins["alice"].expires == date(2027, 1, 1)


def test_changes_password_of_expiring_user(server: Server) -> None:
    """Fingerprints depend on the hash only, whatever the expiry date."""
    server.run(ALICE | {"expires": "2027-01-01"})
    server.run(ALICE | {"expires": "2027-01-01", "password": "canary-new"})
    password_hash = module.hash_of(server.hashes()["alice"])
    assert bcrypt.checkpw(b"canary-new", password_hash.encode())
    assert server.run(ALICE | {"expires": "2027-01-01", "password": "canary-new"})["changed"] is False


def test_diff_shows_expiry_dates(server: Server) -> None:
    """The diff of a dry run contains the dates and no hashes."""
    server.run(ALICE, BOB | {"expires": "2026-01-01"})
    users = [ALICE | {"expires": "2027-01-01", "password": "canary-new"}, BOB, CAROL | {"expires": "2028-01-01"}]
    diff = server.run(*users, _ansible_diff=True, _ansible_check_mode=True)["diff"]
    assert diff["before"] == "alice\nbob (expires 2026-01-01)\n"
    assert diff["after"] == "alice (new password, expires 2027-01-01)\nbob\ncarol (expires 2028-01-01)\n"


def test_result_contains_no_secret(server: Server) -> None:
    """Results and diffs are logged: they contain neither passwords nor hashes."""
    generated_passwords = {"dave": "canary-dave"}
    first = server.run(ALICE, CAROL, {"name": "dave"}, generated_passwords=generated_passwords, _ansible_diff=True)
    second = server.run(ALICE | {"password": "canary-new"}, BOB, _ansible_diff=True)
    assert second["diff"] == {
        "before_header": str(server.path),
        "after_header": str(server.path),
        "before": "alice\ncarol\ndave\n",
        "after": "alice (new password)\nbob\n",
    }
    for result in (first, second):
        assert "canary" not in json.dumps(result)
        assert "$2y$" not in json.dumps(result)


def test_restores_file_mode(server: Server) -> None:
    """Apache's group can read the hashes, others cannot."""
    server.run(ALICE)
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o640
    server.path.chmod(0o644)
    assert server.run(ALICE)["changed"] is True
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o640


@pytest.mark.parametrize("umask", [0o022, 0o077], ids=oct)
def test_fingerprints_are_private(server: Server, umask: int) -> None:
    """Only root can read the fingerprints, which would speed up guessing passwords for anyone with the key."""
    before = os.umask(umask)
    try:
        server.run(ALICE)
        assert stat.S_IMODE(server.fingerprints.stat().st_mode) == 0o600
        server.fingerprints.chmod(0o644)
        server.run(BOB)
    finally:
        os.umask(before)
    assert stat.S_IMODE(server.fingerprints.stat().st_mode) == 0o600


def test_sets_mode_before_replacing_file(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Owner and mode are set before the file is replaced: it is never readable by all, or unreadable for Apache."""
    modes = []
    replace = Path.replace

    def record_mode(path: Path, target: str) -> Path:
        modes.append(stat.S_IMODE(path.stat().st_mode))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", record_mode)
    server.run(ALICE)
    assert modes == [0o640, 0o600]


def test_fingerprints_contain_no_secret(server: Server) -> None:
    """Fingerprints contain neither passwords, hashes nor the key, nor plain digests of them."""
    server.run(ALICE, BOB, CAROL)
    text = server.fingerprints.read_text()
    assert sorted(json.loads(text)) == ["alice", "bob"]
    secrets = ["canary-alice", "canary-key", server.hashes()["alice"]]
    for secret in secrets + [hashlib.sha256(secret.encode()).hexdigest() for secret in secrets]:
        assert secret not in text


def test_equal_passwords_are_not_visible(server: Server) -> None:
    """Equal passwords have different hashes and fingerprints."""
    server.run(ALICE, BOB | {"password": ALICE["password"]})
    assert len(set(server.hashes().values())) == 2
    alice, bob = json.loads(server.fingerprints.read_text()).values()
    assert set(alice.values()).isdisjoint(bob.values())


def test_other_key_falls_back_to_bcrypt(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second control node cannot use the fingerprints of the first one; bcrypt confirms that the hash is current."""
    server.run(ALICE)
    asked = []
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *pair: asked.append(pair) or check(*pair))
    before = server.path.read_bytes()
    assert server.run(ALICE, fingerprint_key="another key")["changed"] is False
    assert len(asked) == 1
    assert server.path.read_bytes() == before


def test_two_control_nodes_alternate(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two control nodes with different keys neither change the file nor call bcrypt on later runs."""
    server.run(ALICE, fingerprint_key="one")
    server.run(ALICE, fingerprint_key="two")
    monkeypatch.setattr(bcrypt, "checkpw", no_bcrypt)
    monkeypatch.setattr(bcrypt, "hashpw", no_bcrypt)
    for key in ("one", "two", "one"):
        assert server.run(ALICE, fingerprint_key=key)["changed"] is False


def test_deletes_stale_fingerprints(server: Server) -> None:
    """Fingerprints of replaced hashes are deleted."""
    server.run(ALICE, fingerprint_key="one")
    server.run(ALICE, fingerprint_key="two")
    assert len(json.loads(server.fingerprints.read_text())["alice"]) == 2
    server.run(ALICE | {"password": "canary-new"}, fingerprint_key="two")
    assert len(json.loads(server.fingerprints.read_text())["alice"]) == 1


def test_recreates_lost_fingerprints(server: Server) -> None:
    """Lost fingerprints are recreated from the passwords without changing a hash."""
    server.run(ALICE)
    before = server.path.read_bytes()
    server.fingerprints.unlink()
    assert server.run(ALICE)["changed"] is False
    assert server.path.read_bytes() == before
    assert server.fingerprints.exists()


def test_second_run_of_300_users_calls_no_bcrypt(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bcrypt call takes a quarter of a second: 300 calls would take more than a minute."""

    def quick(password: bytes, salt: bytes) -> bytes:
        return salt + hashlib.sha256(password).hexdigest()[:31].encode()

    users = [{"name": f"user{number}", "password": f"password {number}"} for number in range(300)]
    monkeypatch.setattr(bcrypt, "hashpw", quick)
    assert len(server.run(*users, cost=12)["added"]) == 300
    monkeypatch.setattr(bcrypt, "hashpw", no_bcrypt)
    monkeypatch.setattr(bcrypt, "checkpw", no_bcrypt)
    assert server.run(*users, cost=12)["changed"] is False


def test_leaves_no_temporary_files(server: Server) -> None:
    """No partial copies of the hashes remain."""
    server.run(ALICE)
    server.run(BOB)
    assert sorted(path.name for path in server.path.parent.iterdir()) == ["htpasswd", "htpasswd.fingerprints"]


def test_runs_as_a_program(tmp_path: Path) -> None:
    """The module reads its arguments as JSON and prints its result as JSON."""
    arguments = {"path": str(tmp_path / "htpasswd"), "users": [ALICE], "cost": 4, "fingerprint_key": "canary-key"}
    done = subprocess.run(
        [sys.executable, ROOT / SOURCE],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["added"] == ["alice"]
    assert "canary-alice" not in done.stdout.replace(json.dumps(arguments), "")
    assert list(module.read(tmp_path / "htpasswd")) == ["alice"]
