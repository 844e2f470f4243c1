"""A run that is killed, at any boundary between two tasks, is completed by the next one."""

import json
from pathlib import Path

import pytest
from shared.http import curl

# A deployment changes something in at least this many tasks, and a change of these settings in this many.
FEWEST_AT_FIRST = 15
FEWEST_LATER = 6
YANKED = [{"project": "acme-demo", "version": "1.0", "reason": "a test"}]
# Settings that take effect in different ways: by a reload or a restart of Apache and of the application, and in the
# pages. The certificate is a renewed one.
SETTINGS = {
    "before": {"pypi_read": "login", "pypi_yanked": [], "pypi_max_uploads": 128},
    "after": {"pypi_read": "anyone", "pypi_yanked": YANKED, "pypi_max_uploads": 100},
}
CERTIFICATES = {"before": "one", "after": "two"}


@pytest.fixture(scope="session")
def change(inventory):
    """The options of ansible-playbook that bring the settings of a state."""

    def change(state: str) -> tuple[str, str]:
        file = str(Path(inventory, "secrets/tls", CERTIFICATES[state]))
        certificate = {"pypi_tls_certificate": f"{file}.crt", "pypi_tls_private_key": f"{file}.key"}
        return "--extra-vars", json.dumps(SETTINGS[state] | certificate)

    return change


@pytest.fixture(scope="session")
def observe(servers, all_settings, client_of):
    """What a server does."""

    def observe(server: str) -> dict:
        host, client, url = servers[server], client_of(server), all_settings[server]["pypi_url"]
        served = f"openssl s_client -connect {server}:443 -servername {server} </dev/null 2>/dev/null"
        page = curl(client, "--user", "alice:" + password(all_settings[server]), f"{url}simple/acme-demo/")
        return {
            "health": curl(client, f"{url}-/health").status,
            "anonymous": curl(client, f"{url}simple/").status,
            "certificate": client.check_output(f"{served} | openssl x509 -noout -serial"),
            "yanked": "data-yanked" in page.body,
            "tasks": int(host.check_output("systemctl show --property=TasksMax --value pypi-application")),
            "pending": json.loads(host.check_output("/usr/local/sbin/pypi-state pending")),
        }

    return observe


def password(settings: dict) -> str:
    """Alice's password, which the kit has made."""
    return Path(settings["pypi_secrets_dir"], "passwords/alice.txt").read_text(encoding="utf-8").strip()


@pytest.fixture(scope="session")
def wanted(inventory, client_of, servers, put):
    """What a server with the settings of a state does."""
    client = client_of(next(iter(servers)))

    def wanted(state: str) -> dict:
        certificate = Path(inventory, "secrets/tls", f"{CERTIFICATES[state]}.crt")
        file = put(client, "/root/certificate", certificate.read_bytes())
        return {
            "health": 200,
            "anonymous": {"login": 401, "anyone": 200}[SETTINGS[state]["pypi_read"]],
            "certificate": client.check_output(f"openssl x509 -in {file} -noout -serial"),
            "yanked": bool(SETTINGS[state]["pypi_yanked"]),
            "tasks": 2 * (SETTINGS[state]["pypi_max_uploads"] + 16) + 64,
            "pending": {"daemon_reload": False, "rebuild": False, "units": []},
        }

    return wanted


def test_dry_run_of_the_first_deployment(deploy, servers):
    """On fresh hosts a dry run gets to its end, and changes nothing."""
    run = deploy("--check")
    assert run.code == 0, run.output
    for host in servers.values():
        assert not host.file("/etc/pypi").exists


def test_first_deployment(deployed, deploy, unchanged):
    """Every run but the last was killed. The servers are then as after one run, and another one has nothing to do."""
    tasks, run = deployed
    assert run.code == 0, run.output
    assert len(tasks) >= FEWEST_AT_FIRST, tasks
    again = deploy()
    assert again.hosts == unchanged, again.changes


@pytest.mark.usefixtures("deployed")
def test_it_works(publish, ask):
    """They serve what they take."""
    assert publish("1.0").status == 200
    assert "acme_demo-1.0" in ask("/simple/acme-demo/", user="alice").body
    assert ask("/simple/").status == 401


@pytest.mark.usefixtures("deployed")
def test_changed_settings(servers, deploy, interrupted_deploy, change, observe, wanted, unchanged, tmp_path):
    """Wherever a run is killed, the next one completes it, and everything is in effect.

    The settings are changed, and the run is killed after the first task that changes something; they are changed back,
    and the run is killed after the second one; and so on, until there is no such task.
    """
    state, other, tasks = "after", "before", tmp_path / "tasks"
    while (run := interrupted_deploy(tasks, *change(state))) is None:
        killed = {server: observe(server) for server in servers}
        # Whatever has taken effect and what has not: the servers go on serving.
        assert {seen["health"] for seen in killed.values()} == {200}, (tasks.read_text(), killed)
        run = deploy(*change(state))
        assert run.code == 0, run.output
        assert {server: observe(server) for server in servers} == dict.fromkeys(servers, wanted(state)), (
            tasks.read_text()
        )
        state, other = other, state
    assert len(tasks.read_text().splitlines()) >= FEWEST_LATER, tasks.read_text()
    assert run.code == 0, run.output
    assert {server: observe(server) for server in servers} == dict.fromkeys(servers, wanted(state))
    run = deploy(*change(state))
    assert run.hosts == unchanged, run.changes
    assert deploy().code == 0
