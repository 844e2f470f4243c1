"""Both servers are lost while clients upload, and restored on new hosts. make drill: with thousands of files."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from drill import FILES, RESULTS, wheels
from shared.load import Load, in_background

# The new host of each server.
NEW = {"debian12.test": "new12.test", "debian13.test": "new13.test"}
PUBLISHERS = 50
SETTLED, LATE = "acme_settled", "acme_late"
HASHES = "cd {} && find . -type f {} -exec sha256sum {{}} + | sort"
PAGES = HASHES.format("/var/lib/pypi/pages/projects", "-name 'acme-settled*'")
PACKAGES = HASHES.format("/srv/pypi/packages", "-not -name '.*'")
TIMES = "cd /srv/pypi/packages && find . -type f -not -name '.*' -printf '%f %s %T@\\n' | sort"
AUTHORITY = "cat /etc/pypi/tls/ca.crt"
DATA = "/srv/pypi/packages /srv/pypi/state /var/log/pypi/audit"


@dataclass
class Lost:
    """What is known of a server before its loss.

    pages: SHA-256 of the pages of settled projects; times: lines with name, size and upload time of all files; uid: of
    user pypi; authority: its certificate; removed: the output of `wheelhouse removed`; sent: the uploads under load
    (see load.py); began: when the backup began; at: when the server was lost, in seconds since the epoch.
    """

    pages: str = ""
    times: list[str] = field(default_factory=list)
    uid: int = 0
    authority: str = ""
    removed: str = ""
    claims: str = ""
    sent: list[dict] = field(default_factory=list)
    began: float = 0
    at: float = 0

    @property
    def accepted(self) -> list[dict]:
        """Return the accepted uploads."""
        return [file for file in self.sent if file["accepted"]]


def settle(load: Load, host, client) -> None:
    """Publish files, remove one of them, and yank one."""
    sent = load.run(SETTLED, wheels(SETTLED, range(FILES)))["files"]
    assert [file["statuses"] for file in sent] == [[200]] * FILES
    login = load.login["user"] + ":" + load.login["password"]
    removal = f"--form :action=remove_pkg --form name={SETTLED}_1 --form version=1.1"
    removed = client.run(f"curl --silent --fail --user %s {removal} %s", login, load.login["url"])
    assert removed.rc == 0, removed.stdout
    host.check_output(f"wheelhouse yank {SETTLED}_2 1.2 --reason 'Does not start'")


def wait_for_uploads(host, count: int) -> None:
    """Wait until this many files were published under load."""
    for _ in range(600):
        found = host.check_output(f"ls /srv/pypi/packages | grep -c ^{LATE}; true")
        if int(found) >= count:
            return
        time.sleep(0.5)
    raise AssertionError(f"{found} of {count} files were published in 5 minutes")


def lose(server: str, host, load: Load, back_up) -> Lost:
    """Back up a server while clients upload, and kill it."""
    lost = Lost(
        pages=host.check_output(PAGES),
        uid=host.user("pypi").uid,
        authority=host.check_output(AUTHORITY),
        removed=host.check_output("wheelhouse removed"),
        claims=host.check_output("wheelhouse claims"),
    )
    with in_background(lambda: load.run(LATE, wheels(LATE, range(100_000)), publishers=PUBLISHERS)) as loaded:
        try:
            wait_for_uploads(host, PUBLISHERS)
            lost.began = time.time()
            run = back_up("--limit", server)
            assert run.code == 0, run.output
            wait_for_uploads(host, int(host.check_output(f"ls /srv/pypi/packages | grep -c ^{LATE}")) + 20)
            lost.times = host.check_output(TIMES).splitlines()
            name = host.ansible.get_variables()["ansible_host"]
            subprocess.run(["docker", "kill", name], check=True, stdout=subprocess.DEVNULL)
            lost.at = time.time()
        finally:
            load.stop()
    lost.sent = loaded()["files"]
    return lost


@pytest.fixture(scope="session")
def lost(servers, loads, client_of, back_up, replace_host) -> dict[str, Lost]:
    """Kill both servers; new hosts take their places in the inventory."""
    with ThreadPoolExecutor() as pool:
        for server in servers:
            pool.submit(settle, loads[server], servers[server], client_of(server)).result()
        found = {server: pool.submit(lose, server, servers[server], loads[server], back_up) for server in servers}
        found = {server: future.result() for server, future in found.items()}
    for server, new in NEW.items():
        replace_host(server, new)
    return found


@pytest.fixture(scope="session")
def interrupted(lost, restore, deploy, servers):
    """Interrupt a restore between two of its directories: a file is where the state belongs. Then run site.yml."""
    assert lost
    for host in servers.values():
        host.check_output("mkdir -p /srv/pypi && touch /srv/pypi/state")
    runs = restore(), deploy()
    for host in servers.values():
        assert not host.file("/srv/pypi/.wheelhouse").exists
        host.check_output("rm /srv/pypi/state")
    return runs


@pytest.fixture(scope="session")
def restored(interrupted, restore, lost, servers):
    """Run the restore again, and add its results to the table."""
    assert interrupted
    began = time.monotonic()
    run = restore()
    seconds = time.monotonic() - began
    for server, host in servers.items():
        there = set(host.check_output("ls /srv/pypi/packages").split())
        ages = [lost[server].at - file["accepted"] for file in lost[server].accepted if file["name"] not in there]
        RESULTS.append(
            f"  {server}: {len(there)} files restored in {seconds:.0f} s; the backup began"
            f" {lost[server].at - lost[server].began:.0f} s before the loss; accepted later and lost: {len(ages)}"
            + (f", {min(ages):.1f} to {max(ages):.1f} s before the loss" if ages else "")
        )
    return run


def test_interrupted_restore_is_not_deployed(interrupted):
    """No run deploys an index with a part of its data."""
    restored, deployed = interrupted
    assert restored.code != 0
    assert deployed.code != 0
    assert "was interrupted, and its data is not complete" in deployed.normalized_output


def test_restore_is_completed(restored, host):
    """The second restore succeeds; its own checks of files and audit log found nothing."""
    assert restored.code == 0, restored.output
    assert host.check_output("wheelhouse check") == ""
    assert host.check_output("wheelhouse audit verify").startswith("OK: ")
    assert not host.file("/srv/pypi/.restore").exists


def test_acknowledged_files_are_intact(restored, lost, server, host):
    """Each file that was accepted before the backup began is there; all files are those that clients sent."""
    assert restored.code == 0
    found = {line.split("  ./")[1]: line.split()[0] for line in host.check_output(PACKAGES).splitlines()}
    sent = {file["name"]: file["sha256"] for file in lost[server].sent}
    early = {file["name"] for file in lost[server].accepted if file["accepted"] < lost[server].began}
    assert early
    assert early - found.keys() == set()
    late = {name: digest for name, digest in found.items() if name.startswith(LATE)}
    assert late == {name: sent[name] for name in late}


def test_upload_times_are_the_same(restored, lost, host, server):
    """Names, sizes and modification times are those of the lost server."""
    assert restored.code == 0
    found = set(host.check_output(TIMES).splitlines())
    assert found - set(lost[server].times) == set()
    assert len(found) >= FILES


def test_pages_are_the_same(restored, lost, host, server):
    """The pages of projects without new files are the same, byte by byte: files, hashes, times and yanks."""
    assert restored.code == 0
    assert host.check_output(PAGES) == lost[server].pages
    assert "Does not start" in host.check_output("cat /var/lib/pypi/pages/projects/acme-settled-2.html")


def test_removed_names_and_owners_are_the_same(restored, lost, host, server, upload):
    """Removed names stay reserved, and projects have their owners."""
    assert restored.code == 0
    assert host.check_output("wheelhouse removed") == lost[server].removed
    assert f"{SETTLED}_1-1.1" in lost[server].removed
    assert set(lost[server].claims.splitlines()) <= set(host.check_output("wheelhouse claims").splitlines())
    assert "acme-settled-3" in lost[server].claims
    assert upload(f"{SETTLED}_1-1.1-py3-none-any.whl", b"another", user="alice").status in {400, 409}


def test_owner_is_right_with_another_uid(restored, lost, host, server):
    """User pypi has another uid on the new host, and owns the files."""
    assert restored.code == 0
    assert host.user("pypi").uid != lost[server].uid
    assert host.check_output(f"find {DATA} -not -user pypi") == ""


def test_clients_notice_no_difference(restored, lost, host, server, fetch):
    """Passwords and rights are the same, and so is the certificate authority that clients trust."""
    assert restored.code == 0
    assert host.check_output(AUTHORITY) == lost[server].authority
    for user in ("alice", "bob", "verify"):
        assert fetch("/simple/acme-settled-0/", user=user).status == 200
    assert fetch("/simple/acme-settled-0/", user=("alice", "wrong")).status == 401
    denied = fetch(
        "/", "--form", ":action=remove_pkg", "--form", "name=acme_settled_0", "--form", "version=1.0", user="bob"
    )
    assert denied.status == 403
    health = fetch("/-/health")
    assert (health.status, health.body.splitlines()[0]) == (200, "Ok")


def test_second_run_changes_nothing(restored, again, servers):
    """A run on the restored hosts is idempotent."""
    assert restored.code == 0
    assert again.hosts == {server: {"changed": 0, "failed": 0} for server in servers}, again.changes


@pytest.fixture(scope="session")
def again(restored, deploy):
    """Run site.yml on the restored hosts."""
    assert restored.code == 0
    return deploy()
