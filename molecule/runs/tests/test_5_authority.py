"""The certificate authority of a server is kept, so that clients continue to trust it."""

import pytest

TLS = "/etc/pypi/tls"


@pytest.fixture(scope="session")
def deploy_with(deployed, deploy, tmp_path_factory):
    """Deploy with a value of pypi_tls, and with a separate directory for CA certificates."""
    assert deployed[1].code == 0
    directory = tmp_path_factory.mktemp("ca")

    def deploy_with(kind: str):
        run = deploy("--extra-vars", f"pypi_ca_dir={directory}", "--extra-vars", f"pypi_tls={kind}")
        assert run.code == 0, run.output
        return run

    return deploy_with


def test_authority_survives_changes_of_pypi_tls(deploy_with, servers):
    """The CA is restored after other values of pypi_tls, and after the loss of the server's TLS directory."""
    deploy_with("self_signed")
    before = {server: host.file(f"{TLS}/ca.crt").content for server, host in servers.items()}
    deploy_with("none")
    for host in servers.values():
        # Unused keys are deleted.
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
