"""The certificate authority of a server: clients that trust it go on doing so."""

import pytest

TLS = "/etc/pypi/tls"


@pytest.fixture(scope="session")
def deploy_with(deployed, deploy, tmp_path_factory):
    """A way to deploy with another kind of certificate. Authorities for clients go to a directory of its own."""
    assert deployed[1].code == 0
    directory = tmp_path_factory.mktemp("ca")

    def deploy_with(kind: str):
        run = deploy("--extra-vars", f"pypi_ca_dir={directory}", "--extra-vars", f"pypi_tls={kind}")
        assert run.code == 0, run.output
        return run

    yield deploy_with
    assert deploy().code == 0


def test_the_authority_survives(deploy_with, servers, unchanged):
    """Another kind of certificate, and a new host: the server then has the authority that it had."""
    deploy_with("self_signed")
    before = {server: host.file(f"{TLS}/ca.crt").content for server, host in servers.items()}
    again = deploy_with("self_signed")
    assert again.hosts == unchanged, again.changes
    deploy_with("none")
    for host in servers.values():
        # No key is left that nothing uses.
        assert host.file(TLS).listdir() == []
    run = deploy_with("self_signed")
    assert {server: host.file(f"{TLS}/ca.crt").content for server, host in servers.items()} == before
    assert "PRIVATE KEY" not in run.output
    for host in servers.values():
        host.check_output(f"rm -r {TLS}")
    deploy_with("self_signed")
    for server, host in servers.items():
        assert host.file(f"{TLS}/ca.crt").content == before[server]
        assert host.file(f"{TLS}/ca.key").mode == 0o600
        host.check_output(f"openssl verify -CAfile {TLS}/ca.crt -verify_hostname {server} {TLS}/server.crt")
