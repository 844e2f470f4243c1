"""Settings that cannot work: the run says what to mend, and the servers go on as before."""

import json

import pytest
from shared import snapshot
from shared.http import curl

# What is wrong, the settings, what the message says. {tmp} is a directory with keys and certificates.
BAD = {
    "network": (
        {"pypi_allowed_networks": ["10.0.0.300/8"]},
        ["pypi_allowed_networks: '10.0.0.300/8'", "write an address or a network such as"],
    ),
    "host bits": ({"pypi_allowed_networks": ["10.1.0.0/8"]}, ["pypi_allowed_networks: 10.1.0.0/8", "write 10.0.0.0/8"]),
    "misspelt setting": (
        {"pypi_allowed_network": ["10.0.0.0/8"]},
        ["pypi_allowed_network is not a setting", "Did you mean pypi_allowed_networks?"],
    ),
    "two users of one name": (
        {"pypi_users": [{"name": "alice"}, {"name": "alice"}], "pypi_rights": []},
        ["pypi_users: the user 'alice' is listed twice", "Remove one of the entries"],
    ),
    "user with a colon": (
        {"pypi_users": [{"name": "al:ice"}], "pypi_rights": []},
        ["pypi_users: the user name 'al:ice' has a colon", "users.yml"],
    ),
    "nobody at all": (
        {"pypi_users": [], "pypi_rights": []},
        ["the list is empty, and reading needs a login", "Add a user"],
    ),
    "unknown group": (
        {"pypi_rights": [{"groups": ["publisher"], "may": ["upload"], "projects": ["*"]}]},
        ["pypi_rights, entry 1: the group 'publisher' has no members", "have admins, publishers"],
    ),
    "host name": (
        {"pypi_server_name": "pypi_example.test"},
        ["pypi_server_name: 'pypi_example.test' is not a valid host name", "Write the name that clients use"],
    ),
    "missing certificate": (
        {"pypi_tls": "provided", "pypi_tls_certificate": "/nowhere.crt", "pypi_tls_private_key": "/nowhere.key"},
        ["pypi_tls_certificate: /nowhere.crt is missing"],
    ),
}


@pytest.fixture
def unharmed(servers, all_settings, client_of):
    """Fails afterwards if a server is not exactly what it was, or does not answer."""
    before = {
        server: (snapshot.files(host, all_settings[server]), snapshot.service(host)) for server, host in servers.items()
    }
    yield
    for server, host in servers.items():
        assert (snapshot.files(host, all_settings[server]), snapshot.service(host)) == before[server]
        assert curl(client_of(server), all_settings[server]["pypi_url"] + "-/health").status == 200


@pytest.fixture
def refused(deploy, servers, unharmed):  # noqa: ARG001
    """A way to deploy settings that each server must refuse. Returns the run."""

    def refused(settings: dict, *options: str):
        run = deploy("--extra-vars", json.dumps(settings), *options)
        assert run.code != 0
        assert {server: counts["failed"] for server, counts in run.hosts.items()} == dict.fromkeys(servers, 1)
        return run

    return refused


@pytest.mark.parametrize("what", BAD)
def test_refused(refused, servers, what):
    """Before anything is touched, with the setting's name and the way out."""
    settings, words = BAD[what]
    run = refused(settings)
    assert "Nothing was changed" in run.words
    assert not any(run.changes[server] for server in servers)
    assert [text for text in words if text not in run.words] == []


def test_key_of_another_certificate(refused, servers, tmp_path, certificate_for):
    """Apache would not start with it, and would say so only after it has stopped."""
    names = list(servers)
    certificate, _ = certificate_for(names, tmp_path / "one")
    _, key = certificate_for(names, tmp_path / "other")
    run = refused({"pypi_tls": "provided", "pypi_tls_certificate": certificate, "pypi_tls_private_key": key})
    assert "pypi_tls_certificate and pypi_tls_private_key do not match" in run.words
    assert "Name the key that the certificate was requested with" in run.words


@pytest.fixture
def _somebody_on_8444(servers):
    listen = "import socket, time; s = socket.create_server(('', 8444)); time.sleep(600)"
    for host in servers.values():
        host.check_output("setsid python3 -c %s >/dev/null 2>&1 & echo $! >/run/listener", listen)
        host.check_output("sleep 0.5; ss -Hltn 'sport = 8444' | grep -q 8444")
    yield
    for host in servers.values():
        host.check_output("kill $(cat /run/listener)")


@pytest.mark.usefixtures("_somebody_on_8444")
def test_taken_port(refused):
    """Another program's port is not taken away from it."""
    run = refused({"pypi_https_port": 8444})
    assert "Nothing was changed. Port 8444" in run.words
    assert "is in use by python3" in run.words
    assert "choose another port with pypi_http_port and pypi_https_port" in run.words


def test_data_that_is_not_mounted(refused):
    """What is put there would be below the mount, where nobody sees it again."""
    run = refused({"pypi_data_is_mount": True})
    assert "pypi_data_is_mount is true, and /srv/pypi" in run.words
    assert "Mount its file system, or set pypi_data_is_mount to false" in run.words


@pytest.mark.usefixtures("unharmed")
def test_accounts_need_none_of_it(deploy, servers):
    """People are locked out at once, and not when a certificate is renewed or a disk is back."""
    settings, _ = BAD["missing certificate"]
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
def test_broken_apache_directives(refused, directives, reason):
    """Nobody can check these but Apache itself: it is started with them, aside, before the running one sees them."""
    run = refused({"pypi_apache_directives": directives}, "--tags", "apache")
    assert "Apache does not start with the new site configuration; the existing one was left unchanged." in run.words
    assert reason in run.words
