"""A run that was killed between any two tasks is completed by the next one."""

import json
from pathlib import Path

import pytest
from shared.http import curl

# The least number of tasks that change something in a deployment, and in a change of the settings below.
FEWEST_AT_FIRST = 15
FEWEST_LATER = 6
YANKED = [{"project": "acme-demo", "version": "1.0", "reason": "a test"}]
# Settings that take effect in different ways: reload or restart of Apache or the application, rebuilt pages, and a
# renewed certificate.
SETTINGS = {
    "before": {"pypi_read": "login", "pypi_yanked": [], "pypi_max_uploads": 128},
    "after": {"pypi_read": "anyone", "pypi_yanked": YANKED, "pypi_max_uploads": 100},
}
CERTIFICATES = {"before": "one", "after": "two"}


@pytest.fixture(scope="session")
def change(inventory):
    """Return the options of ansible-playbook for one of the two sets of settings."""

    def change(state: str) -> tuple[str, str]:
        file = str(Path(inventory, "secrets/tls", CERTIFICATES[state]))
        certificate = {"pypi_tls_certificate": f"{file}.crt", "pypi_tls_private_key": f"{file}.key"}
        return "--extra-vars", json.dumps(SETTINGS[state] | certificate)

    return change


@pytest.fixture(scope="session")
def observe(servers, all_settings, client_of):
    """Return the observable state of a server."""

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
    """Return alice's generated password."""
    return Path(settings["pypi_secrets_dir"], "passwords/alice.txt").read_text(encoding="utf-8").strip()


@pytest.fixture(scope="session")
def expected(inventory, client_of, servers, put):
    """Return the expected state for one of the two sets of settings."""
    client = client_of(next(iter(servers)))

    def expected(state: str) -> dict:
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

    return expected


def test_check_mode_works_on_fresh_hosts(deploy, servers):
    """A dry run before the first deployment completes and changes nothing."""
    run = deploy("--check")
    assert run.code == 0, run.output
    for host in servers.values():
        assert not host.file("/etc/pypi").exists


def test_interrupted_deployment_is_completed(deployed, deploy, unchanged):
    """After a run was killed at each task, the last run completes the deployment, and a further run changes nothing."""
    tasks, run = deployed
    assert run.code == 0, run.output
    assert len(tasks) >= FEWEST_AT_FIRST, tasks
    again = deploy()
    assert again.hosts == unchanged, again.changes


@pytest.mark.usefixtures("deployed")
def test_deployed_index_works(publish, fetch):
    """Uploads are listed, and reads need a login."""
    assert publish("1.0").status == 200
    assert "acme_demo-1.0" in fetch("/simple/acme-demo/", user="alice").body
    assert fetch("/simple/").status == 401


@pytest.mark.usefixtures("deployed")
def test_interrupted_changes_are_completed(
    servers, deploy, interrupted_deploy, change, observe, expected, unchanged, tmp_path
):
    """A run that was killed at any task is completed by the next one, and all settings are in effect.

    The settings are changed, and the run is killed after the first task that changes something; they are changed back,
    and the run is killed after the second one; and so on, until no such task is left.
    """
    state, other, tasks = "after", "before", tmp_path / "tasks"
    while (run := interrupted_deploy(tasks, *change(state))) is None:
        killed = {server: observe(server) for server in servers}
        # The servers respond with any part of the changes in effect.
        assert {state["health"] for state in killed.values()} == {200}, (tasks.read_text(), killed)
        run = deploy(*change(state))
        assert run.code == 0, run.output
        assert {server: observe(server) for server in servers} == dict.fromkeys(servers, expected(state)), (
            tasks.read_text()
        )
        state, other = other, state
    assert len(tasks.read_text().splitlines()) >= FEWEST_LATER, tasks.read_text()
    assert run.code == 0, run.output
    assert {server: observe(server) for server in servers} == dict.fromkeys(servers, expected(state))
    run = deploy(*change(state))
    assert run.hosts == unchanged, run.changes
    assert deploy().code == 0
