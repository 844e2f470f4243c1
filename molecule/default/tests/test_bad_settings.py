"""Invalid settings: the run fails with a helpful message, and the servers are unchanged."""

import json

import pytest
from shared import snapshot
from shared.http import curl

# Settings with many faults, and a text in the message for each: the setting with its value, the correction.
BAD = {
    "pypi_allowed_networks": ["10.0.0.300/8", "10.1.0.0/8"],
    "pypi_allowed_network": ["10.0.0.0/8"],
    "pypi_users": [{"name": "alice", "groups": ["admins", "publishers"]}, {"name": "alice"}, {"name": "al:ice"}],
    "pypi_rights": [{"groups": ["publisher"], "may": ["upload"], "projects": ["*"]}],
    "pypi_server_name": "pypi_example.test",
    "pypi_tls": "provided",
    "pypi_tls_certificate": "/nowhere.crt",
    "pypi_tls_private_key": "/nowhere.key",
}
MESSAGES = [
    "pypi_allowed_networks: '10.0.0.300/8'",
    "write an address or a network such as",
    "pypi_allowed_networks: 10.1.0.0/8",
    "write 10.0.0.0/8",
    "pypi_allowed_network is not a setting",
    "Did you mean pypi_allowed_networks?",
    "pypi_users: the user 'alice' is listed twice",
    "Remove one of the entries",
    "pypi_users: the user name 'al:ice' has a colon",
    "users.yml",
    "pypi_rights, entry 1: the group 'publisher' has no members",
    "have admins, publishers",
    "pypi_server_name: 'pypi_example.test' is not a valid host name",
    "Write the name that clients use",
    "pypi_tls_certificate: /nowhere.crt is missing",
]


@pytest.fixture
def servers_unchanged(servers, all_settings, client_of):
    """Check after the test that the servers have not changed and respond."""
    before = {
        server: (snapshot.files(host, all_settings[server]), snapshot.service(host)) for server, host in servers.items()
    }
    yield
    for server, host in servers.items():
        assert (snapshot.files(host, all_settings[server]), snapshot.service(host)) == before[server]
        assert curl(client_of(server), all_settings[server]["pypi_url"] + "-/health").status == 200


@pytest.fixture
def deploy_fails(deploy, servers, servers_unchanged):  # noqa: ARG001
    """Deploy settings that each server must reject. Returns the run."""

    def deploy_fails(settings: dict, *options: str):
        run = deploy("--extra-vars", json.dumps(settings), *options)
        assert run.code != 0
        assert {server: counts["failed"] for server, counts in run.hosts.items()} == dict.fromkeys(servers, 1)
        return run

    return deploy_fails


def test_rejects_settings(deploy_fails, servers):
    """The run fails before any change, and lists all faults with the names of the settings and corrections."""
    run = deploy_fails(BAD)
    assert "Nothing was changed" in run.normalized_output
    assert not any(run.changes[server] for server in servers)
    assert [text for text in MESSAGES if text not in run.normalized_output] == []


def test_rejects_key_of_another_certificate(deploy_fails, servers, tmp_path, certificate_for):
    """Apache would not start with it, and would report that only after it has stopped."""
    names = list(servers)
    certificate, _ = certificate_for(names, tmp_path / "one")
    _, key = certificate_for(names, tmp_path / "other")
    run = deploy_fails({"pypi_tls": "provided", "pypi_tls_certificate": certificate, "pypi_tls_private_key": key})
    assert "pypi_tls_certificate and pypi_tls_private_key do not match" in run.normalized_output
    assert "Name the key that the certificate was requested with" in run.normalized_output


@pytest.fixture
def _listener_on_8444(servers):
    listen = "import socket, time; s = socket.create_server(('', 8444)); time.sleep(600)"
    for host in servers.values():
        host.check_output("setsid python3 -c %s >/dev/null 2>&1 & echo $! >/run/listener", listen)
        host.check_output("sleep 0.5; ss -Hltn 'sport = 8444' | grep -q 8444")
    yield
    for host in servers.values():
        host.check_output("kill $(cat /run/listener)")


@pytest.mark.usefixtures("_listener_on_8444")
def test_rejects_occupied_port(deploy_fails):
    """A port of another program is detected."""
    run = deploy_fails({"pypi_https_port": 8444})
    assert "Nothing was changed. Port 8444" in run.normalized_output
    assert "is in use by python3" in run.normalized_output
    assert "choose another port with pypi_http_port and pypi_https_port" in run.normalized_output


def test_rejects_data_directory_that_is_not_a_mount(deploy_fails):
    """Files written there would be hidden below the mount later."""
    run = deploy_fails({"pypi_data_is_mount": True})
    assert "pypi_data_is_mount is true, and /srv/pypi" in run.normalized_output
    assert "Mount its file system, or set pypi_data_is_mount to false" in run.normalized_output


@pytest.mark.usefixtures("servers_unchanged")
def test_tag_accounts_ignores_other_settings(deploy, servers):
    """Users can be removed even if a certificate is missing or a disk is not mounted."""
    settings = {name: value for name, value in BAD.items() if name.startswith("pypi_tls")}
    run = deploy("--tags", "accounts", "--extra-vars", json.dumps(settings | {"pypi_data_is_mount": True}))
    assert run.code == 0, run.output
    assert run.hosts == {server: {"changed": 0, "failed": 0} for server in servers}


@pytest.mark.parametrize(
    ("directives", "reason"),
    [
        ("Nonsense On", "Invalid command 'Nonsense'"),
        ("SSLCACertificateFile /nowhere.crt", "/nowhere.crt"),
        ("SSLCertificateKeyFile /etc/ssl/private/none.key", "none.key"),
    ],
)
def test_rejects_invalid_apache_directives(deploy_fails, directives, reason):
    """Only Apache can check these: it starts a separate process with them before the running one is changed."""
    run = deploy_fails({"pypi_apache_directives": directives}, "--tags", "apache")
    assert (
        "Apache does not start with the new site configuration; the existing one was left unchanged."
        in run.normalized_output
    )
    assert reason in run.normalized_output
