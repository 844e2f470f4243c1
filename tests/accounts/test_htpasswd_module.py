"""The module that writes htpasswd files, run whole, as Ansible runs it."""

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
    """A directory with an htpasswd file, and a controller that writes it."""

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
        """Return what the file holds."""
        return module.read(self.path)


@pytest.fixture
def server(tmp_path: Path, capsys: pytest.CaptureFixture) -> Server:
    """A server without users."""
    return Server(tmp_path, capsys)


def no_bcrypt(*_arguments: object) -> None:
    """Stand where bcrypt must not be asked."""
    raise AssertionError("bcrypt was asked")


def test_first_run(server: Server) -> None:
    """All users are there in one step, each with a hash of the password and of the cost that was asked for."""
    result = server.run(BOB, ALICE, CAROL)
    assert result["changed"] is True
    assert result["added"] == ["alice", "bob", "carol"]
    assert list(server.hashes()) == ["alice", "bob", "carol"]
    assert bcrypt.checkpw(b"canary-alice", server.hashes()["alice"].encode())
    assert module.cost_of(server.hashes()["bob"]) == 4


def test_second_run_changes_nothing(server: Server) -> None:
    """A second run is a proof that nothing has drifted, so it must report no change, and touch no byte."""
    server.run(ALICE, BOB, CAROL)
    before = server.path.read_bytes(), server.fingerprints.read_bytes(), server.path.stat().st_mtime_ns
    result = server.run(ALICE, BOB, CAROL)
    assert result["changed"] is False
    assert (server.path.read_bytes(), server.fingerprints.read_bytes(), server.path.stat().st_mtime_ns) == before


def test_one_comes_one_goes(server: Server) -> None:
    """Who is no longer listed can no longer sign in, and those who stay notice nothing."""
    server.run(ALICE, BOB)
    kept = server.hashes()["bob"]
    result = server.run(BOB, CAROL)
    assert (result["added"], result["removed"], result["changed_users"]) == (["carol"], ["alice"], [])
    assert server.hashes() == {"bob": kept, "carol": CAROL["password_hash"]}
    assert "alice" not in server.fingerprints.read_text()


def test_all_go(server: Server) -> None:
    """An empty list means nobody, not everybody who was there."""
    server.run(ALICE)
    assert server.run()["removed"] == ["alice"]
    assert server.hashes() == {}


def test_strangers_go(server: Server) -> None:
    """A line that somebody has added by hand is a way in that nobody knows of."""
    server.run(ALICE)
    with server.path.open("a") as file:
        file.write("mallory:$2y$04$x\n")
    assert server.run(ALICE)["removed"] == ["mallory"]
    assert list(server.hashes()) == ["alice"]


def test_one_new_password(server: Server) -> None:
    """A new password changes that user's line alone."""
    server.run(ALICE, BOB)
    before = server.hashes()
    result = server.run(ALICE | {"password": "canary-new"}, BOB)
    assert (result["changed"], result["changed_users"]) == (True, ["alice"])
    assert server.hashes()["bob"] == before["bob"]
    assert bcrypt.checkpw(b"canary-new", server.hashes()["alice"].encode())
    assert not bcrypt.checkpw(b"canary-alice", server.hashes()["alice"].encode())


def test_another_hash_than_remembered(server: Server) -> None:
    """A hash that was put in by hand is not taken for the password's because the user has a fingerprint."""
    server.run(ALICE)
    server.path.write_text(f"alice:{module.new_hash('mallory', 4)}\n")
    assert server.run(ALICE)["changed_users"] == ["alice"]
    assert bcrypt.checkpw(b"canary-alice", server.hashes()["alice"].encode())


def test_another_cost(server: Server) -> None:
    """A higher cost is wanted because the old one no longer protects, so it must reach those who are there."""
    server.run(ALICE, CAROL)
    assert server.run(ALICE, CAROL, cost=5)["changed_users"] == ["alice"]
    assert module.cost_of(server.hashes()["alice"]) == 5
    assert server.run(ALICE, CAROL, cost=5)["changed"] is False


def test_a_given_hash_is_written_as_given(server: Server) -> None:
    """Only its owner knows the password, so nothing can be made of it here, whatever the cost."""
    server.run(CAROL, cost=5)
    assert server.hashes() == {"carol": CAROL["password_hash"]}


def test_from_password_to_hash_and_back(server: Server) -> None:
    """A fingerprint of former times must not keep a hash that is no longer the password's."""
    server.run(ALICE)
    server.run({"name": "alice", "password_hash": CAROL["password_hash"]})
    assert server.hashes()["alice"] == CAROL["password_hash"]
    server.run(ALICE)
    assert bcrypt.checkpw(b"canary-alice", server.hashes()["alice"].encode())


def test_made_up_passwords(server: Server) -> None:
    """Who comes without a password gets the one that was made up, and a user's own counts before it."""
    server.run({"name": "dave"}, ALICE, generated_passwords={"dave": "canary-dave", "alice": "canary-wrong"})
    assert bcrypt.checkpw(b"canary-dave", server.hashes()["dave"].encode())
    assert bcrypt.checkpw(b"canary-alice", server.hashes()["alice"].encode())


def test_no_password_at_all(server: Server) -> None:
    """A user without a password would be one with an empty one."""
    result = server.run({"name": "dave"})
    assert result["failed"] is True
    assert "dave" in result["msg"]
    assert not server.path.exists()


def test_check_mode_writes_nothing(server: Server) -> None:
    """--check promises to tell and not to do."""
    result = server.run(ALICE, _ansible_check_mode=True)
    assert (result["changed"], result["added"]) == (True, ["alice"])
    assert list(server.path.parent.iterdir()) == []

    server.run(ALICE)
    before = server.path.read_bytes(), server.fingerprints.read_bytes()
    result = server.run(BOB, _ansible_check_mode=True)
    assert (result["changed"], result["added"], result["removed"]) == (True, ["bob"], ["alice"])
    assert (server.path.read_bytes(), server.fingerprints.read_bytes()) == before
    assert server.run(ALICE, _ansible_check_mode=True)["changed"] is False


def test_check_mode_before_bcrypt_is_there(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a fresh host the package would have come a task earlier, and --check does not install it."""
    monkeypatch.setattr(module, "bcrypt", None)
    assert server.run(ALICE, _ansible_check_mode=True)["changed"] is True
    result = server.run(ALICE)
    assert result["failed"] is True
    assert "apt-get install python3-bcrypt" in result["msg"]


def test_who_expires(server: Server) -> None:
    """Hash and day get there in one step, so that no password is ever good for longer than it should be."""
    result = server.run(ALICE, CAROL | {"expires": "2027-01-01"})
    assert result["added"] == ["alice", "carol"]
    alice, carol = server.hashes().items()
    assert ":" not in alice[1]
    assert carol == ("carol", f"{CAROL['password_hash']}:2027-01-01")
    assert server.run(ALICE, CAROL | {"expires": "2027-01-01"})["changed"] is False


def test_another_day(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes, changes and goes without another hash, without bcrypt, and with nobody else's line touched."""
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


def test_apache_s_own_reader(server: Server) -> None:
    """Up to the second colon a line is as Apache documents it, and what the check of passwords reads."""
    server.run(ALICE | {"expires": "2027-01-01"})
    logins, _decoy = passwords.HtpasswdFile(server.path).logins()
    name, password_hash, _day = server.path.read_text().split(":")
    assert (name, logins["alice"].password_hash.decode()) == ("alice", password_hash)
    assert logins["alice"].expires == date(2027, 1, 1)


def test_a_new_password_of_one_who_expires(server: Server) -> None:
    """The fingerprint that is remembered is the hash's, whatever day stands beside it."""
    server.run(ALICE | {"expires": "2027-01-01"})
    server.run(ALICE | {"expires": "2027-01-01", "password": "canary-new"})
    password_hash = module.hash_of(server.hashes()["alice"])
    assert bcrypt.checkpw(b"canary-new", password_hash.encode())
    assert server.run(ALICE | {"expires": "2027-01-01", "password": "canary-new"})["changed"] is False


def test_the_diff_tells_who_expires(server: Server) -> None:
    """--check --diff is where people look before they let something happen."""
    server.run(ALICE, BOB | {"expires": "2026-01-01"})
    users = [ALICE | {"expires": "2027-01-01", "password": "canary-new"}, BOB, CAROL | {"expires": "2028-01-01"}]
    diff = server.run(*users, _ansible_diff=True, _ansible_check_mode=True)["diff"]
    assert diff["before"] == "alice\nbob (expires 2026-01-01)\n"
    assert diff["after"] == "alice (new password, expires 2027-01-01)\nbob\ncarol (expires 2028-01-01)\n"


def test_no_secret_leaves(server: Server) -> None:
    """Results and diffs end up on screens and in the logs of build servers."""
    made_up = {"dave": "canary-dave"}
    first = server.run(ALICE, CAROL, {"name": "dave"}, generated_passwords=made_up, _ansible_diff=True)
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


def test_modes(server: Server) -> None:
    """Apache's group reads the hashes, and the world does not."""
    server.run(ALICE)
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o640
    server.path.chmod(0o644)
    assert server.run(ALICE)["changed"] is True
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o640


@pytest.mark.parametrize("umask", [0o022, 0o077], ids=oct)
def test_fingerprints_are_closed(server: Server, umask: int) -> None:
    """Whoever knows the key needs the fingerprints to try passwords fast, and nobody but root needs to read them."""
    before = os.umask(umask)
    try:
        server.run(ALICE)
        assert stat.S_IMODE(server.fingerprints.stat().st_mode) == 0o600
        server.fingerprints.chmod(0o644)
        server.run(BOB)
    finally:
        os.umask(before)
    assert stat.S_IMODE(server.fingerprints.stat().st_mode) == 0o600


def test_hashes_are_never_open(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Owner and mode are set before the file takes its place: no moment in which all may read, or Apache may not."""
    modes = []
    take_place = Path.replace

    def watch(path: Path, target: str) -> Path:
        modes.append(stat.S_IMODE(path.stat().st_mode))
        return take_place(path, target)

    monkeypatch.setattr(Path, "replace", watch)
    server.run(ALICE)
    assert modes == [0o640, 0o600]


def test_fingerprints_tell_nothing(server: Server) -> None:
    """Neither password nor hash nor key is in them, nor a plain digest that a dictionary would find."""
    server.run(ALICE, BOB, CAROL)
    text = server.fingerprints.read_text()
    assert sorted(json.loads(text)) == ["alice", "bob"]
    secrets = ["canary-alice", "canary-key", server.hashes()["alice"]]
    for secret in secrets + [hashlib.sha256(secret.encode()).hexdigest() for secret in secrets]:
        assert secret not in text


def test_the_same_password_twice(server: Server) -> None:
    """Whoever reads the files does not learn who shares a password."""
    server.run(ALICE, BOB | {"password": ALICE["password"]})
    assert len(set(server.hashes().values())) == 2
    alice, bob = json.loads(server.fingerprints.read_text()).values()
    assert set(alice.values()).isdisjoint(bob.values())


def test_another_key_asks_bcrypt(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second controller cannot use the first one's fingerprints; bcrypt tells it that the hash may stay."""
    server.run(ALICE)
    asked = []
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *pair: asked.append(pair) or check(*pair))
    before = server.path.read_bytes()
    assert server.run(ALICE, fingerprint_key="another key")["changed"] is False
    assert len(asked) == 1
    assert server.path.read_bytes() == before


def test_two_controllers(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two colleagues take turns, and neither makes the other's next run slow or a change."""
    server.run(ALICE, fingerprint_key="one")
    server.run(ALICE, fingerprint_key="two")
    monkeypatch.setattr(bcrypt, "checkpw", no_bcrypt)
    monkeypatch.setattr(bcrypt, "hashpw", no_bcrypt)
    for key in ("one", "two", "one"):
        assert server.run(ALICE, fingerprint_key=key)["changed"] is False


def test_fingerprints_of_former_hashes_go(server: Server) -> None:
    """A fingerprint that vouches for no hash any more is only something to guess an old password by."""
    server.run(ALICE, fingerprint_key="one")
    server.run(ALICE, fingerprint_key="two")
    assert len(json.loads(server.fingerprints.read_text())["alice"]) == 2
    server.run(ALICE | {"password": "canary-new"}, fingerprint_key="two")
    assert len(json.loads(server.fingerprints.read_text())["alice"]) == 1


def test_lost_fingerprints(server: Server) -> None:
    """They can be had again from the passwords, so losing them changes no hash."""
    server.run(ALICE)
    before = server.path.read_bytes()
    server.fingerprints.unlink()
    assert server.run(ALICE)["changed"] is False
    assert server.path.read_bytes() == before
    assert server.fingerprints.exists()


def test_second_run_of_300_users_asks_no_bcrypt(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a quarter of a second for each, 300 users would make every run a minute longer."""

    def quick(password: bytes, salt: bytes) -> bytes:
        return salt + hashlib.sha256(password).hexdigest()[:31].encode()

    users = [{"name": f"user{number}", "password": f"password {number}"} for number in range(300)]
    monkeypatch.setattr(bcrypt, "hashpw", quick)
    assert len(server.run(*users, cost=12)["added"]) == 300
    monkeypatch.setattr(bcrypt, "hashpw", no_bcrypt)
    monkeypatch.setattr(bcrypt, "checkpw", no_bcrypt)
    assert server.run(*users, cost=12)["changed"] is False


def test_no_temporary_files_stay(server: Server) -> None:
    """Half-written copies of the hashes would be more files to guard."""
    server.run(ALICE)
    server.run(BOB)
    assert sorted(path.name for path in server.path.parent.iterdir()) == ["htpasswd", "htpasswd.fingerprints"]


def test_as_a_program(tmp_path: Path) -> None:
    """On the server it is a program that is given its arguments as JSON, and answers in JSON."""
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
