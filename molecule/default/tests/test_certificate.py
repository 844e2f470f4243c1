"""The certificate that the server makes for itself."""

import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

DIRECTORY = "/etc/pypi/tls"
PROGRAM = "/usr/local/sbin/pypi-certificate"


@pytest.fixture
def certificate(host):
    """A way to read a certificate of the server's."""
    return lambda name: x509.load_pem_x509_certificate(host.file(f"{DIRECTORY}/{name}.crt").content)


@pytest.fixture
def served(client, server):
    """A way to the certificate that clients get to see."""

    def served():
        command = f"openssl s_client -connect {server}:443 -servername {server} </dev/null 2>/dev/null"
        return x509.load_pem_x509_certificate(client.check_output(command).encode())

    return served


def test_made_for_the_server(certificate, served, server):
    """Clients compare the name that they asked for with the certificate's alternative names, and nothing else."""
    names = certificate("server").extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert names.get_values_for_type(x509.DNSName) == [server]
    assert served() == certificate("server")
    certificate("server").verify_directly_issued_by(certificate("ca"))


def test_no_other_name(host, certificate, server):
    """Clients trust this authority for this one server: whoever steals its key cannot pose as another."""
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
    refused = host.run(forge.format(name="other.test"))
    assert refused.rc != 0
    assert "permitted subtree violation" in refused.stderr


def test_the_authority_comes_back(host, settings, server):
    """It is what people hand to their clients."""
    kept = Path(settings["pypi_ca_dir"], f"{server}.crt").read_bytes()
    assert kept == host.file(f"{DIRECTORY}/ca.crt").content


def test_the_authority_says_whose_it_is(certificate, server):
    """It will stand in lists of authorities for twenty years."""
    name = certificate("ca").subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert name == f"Private package index at {server}"


def test_kept_while_it_holds(host, certificate):
    """A run of the timer, like that of the playbook, leaves a good certificate alone."""
    before = certificate("server")
    host.check_output("systemctl start pypi-certificate.service")
    assert host.check_output(PROGRAM) == ""
    assert certificate("server") == before


def test_renewed_in_time(host, certificate, served, ask):
    """In two years nobody thinks of it: the server renews it, and clients that trust the authority notice nothing."""
    before, authority = certificate("server"), certificate("ca")
    days = int(re.search(r"^days=(\d+)$", host.file(PROGRAM).content_string, re.MULTILINE)[1])
    host.check_output(f"sed 's/^renew_days=.*/renew_days={days + 1}/' {PROGRAM} >/run/soon && sh /run/soon --reload")
    after = certificate("server")
    assert after.serial_number != before.serial_number
    assert after.public_key() == before.public_key()
    assert certificate("ca") == authority
    assert served() == after
    assert ask("/-/health").status == 200
