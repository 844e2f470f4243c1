"""The self-signed certificate and its renewal."""

import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

DIRECTORY = "/etc/pypi/tls"
PROGRAM = "/usr/local/sbin/pypi-certificate"


@pytest.fixture
def certificate(host):
    """Read a certificate from the server by name."""
    return lambda name: x509.load_pem_x509_certificate(host.file(f"{DIRECTORY}/{name}.crt").content)


@pytest.fixture
def served(client, server):
    """Return the certificate that clients receive."""

    def served():
        command = f"openssl s_client -connect {server}:443 -servername {server} </dev/null 2>/dev/null"
        return x509.load_pem_x509_certificate(client.check_output(command).encode())

    return served


def test_certificate_is_valid_for_server_name(certificate, served, server):
    """Clients compare the requested name with the subject alternative names only."""
    names = certificate("server").extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert names.get_values_for_type(x509.DNSName) == [server]
    assert served() == certificate("server")
    certificate("server").verify_directly_issued_by(certificate("ca"))


def test_authority_is_constrained_to_server_name(host, certificate, server):
    """The name constraint prevents a stolen CA key from issuing certificates for other servers."""
    constraints = certificate("ca").extensions.get_extension_for_oid(ExtensionOID.NAME_CONSTRAINTS)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [x509.DNSName(server)]
    forge = (
        "cd $(mktemp -d) && openssl req -newkey rsa:2048 -nodes -keyout key -subj /CN=other.test -out request &&"
        " echo subjectAltName=DNS:{name} >names &&"
        f" openssl x509 -req -in request -CA {DIRECTORY}/ca.crt -CAkey {DIRECTORY}/ca.key -extfile names -out forged &&"
        f" openssl verify -CAfile {DIRECTORY}/ca.crt forged"
    )
    assert host.run(forge.format(name=server)).rc == 0
    result = host.run(forge.format(name="other.test"))
    assert result.rc != 0
    assert "permitted subtree violation" in result.stderr


def test_fetches_ca_certificate(host, settings, server):
    """The CA certificate is copied to the control node, for distribution to clients."""
    fetched = Path(settings["pypi_ca_dir"], f"{server}.crt").read_bytes()
    assert fetched == host.file(f"{DIRECTORY}/ca.crt").content


def test_authority_name_contains_server(certificate, server):
    """Users can identify the certificate authority in their trust stores."""
    name = certificate("ca").subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert name == f"Private package index at {server}"


def test_keeps_valid_certificate(host, certificate):
    """A run of the timer, like that of the playbook, does not replace a valid certificate."""
    before = certificate("server")
    host.check_output("systemctl start pypi-certificate.service")
    assert host.check_output(PROGRAM) == ""
    assert certificate("server") == before


def test_renews_expiring_certificate(host, certificate, served, fetch):
    """The server renews its certificate with the same CA, so clients continue to trust it."""
    before, authority = certificate("server"), certificate("ca")
    days = int(re.search(r"^days=(\d+)$", host.file(PROGRAM).content_string, re.MULTILINE)[1])
    host.check_output(f"sed 's/^renew_days=.*/renew_days={days + 1}/' {PROGRAM} >/run/soon && sh /run/soon --reload")
    after = certificate("server")
    assert after.serial_number != before.serial_number
    assert after.public_key() == before.public_key()
    assert certificate("ca") == authority
    assert served() == after
    assert fetch("/-/health").status == 200
