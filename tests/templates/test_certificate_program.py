"""The program that creates and renews the self-signed certificate, run with the real openssl."""

import re
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from support import ansible_templates


class Server:
    """A server's directory for keys, and its program."""

    def __init__(self, home: Path):
        self.home = home
        (home / "tls").mkdir()

    def run(self, name: str = "pypi.example.com", **settings: object) -> str:
        """Run the program of a server. Returns its output."""
        settings |= {"pypi_config_dir": str(self.home), "pypi_server_name": name}
        text = ansible_templates.render("templates/usr/local/sbin/pypi-certificate.j2", **settings)
        done = subprocess.run(["sh"], input=text, text=True, capture_output=True, check=True)
        assert done.stderr == ""
        return done.stdout

    def certificate(self, name: str) -> x509.Certificate:
        """Read a certificate."""
        return x509.load_pem_x509_certificate((self.home / f"tls/{name}.crt").read_bytes())

    def names(self) -> list[str]:
        """Return the names in the certificate."""
        found = self.certificate("server").extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
        return found.value.get_values_for_type(x509.DNSName)

    def permitted(self) -> list[str]:
        """Return the domains in the CA's name constraints."""
        found = self.certificate("ca").extensions.get_extension_for_oid(ExtensionOID.NAME_CONSTRAINTS)
        return [name.value for name in found.value.permitted_subtrees]

    def is_valid(self) -> bool:
        """Return whether openssl accepts the certificate and its name."""
        command = ["openssl", "verify", "-CAfile", "tls/ca.crt", "-verify_hostname", self.names()[0], "tls/server.crt"]
        return subprocess.run(command, cwd=self.home, capture_output=True, check=False).returncode == 0


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """Return a server without a certificate."""
    return Server(tmp_path)


def test_creates_constrained_ca_and_certificate(server: Server) -> None:
    """The CA is constrained to the server's names. A second run changes nothing."""
    output = server.run(pypi_server_aliases=["other.example.org"])
    assert re.match(
        r"Created a certificate authority and a certificate for pypi.example.com other.example.org,", output
    )
    assert server.names() == server.permitted() == ["pypi.example.com", "other.example.org"]
    assert server.is_valid()
    assert server.run(pypi_server_aliases=["other.example.org"]) == ""
    assert sorted(path.name for path in (server.home / "tls").iterdir()) == sorted(
        ["ca.crt", "ca.key", "server.crt", "server.key"]
    )


def test_new_name_needs_new_ca(server: Server) -> None:
    """A name outside the CA's constraints needs a new CA."""
    server.run()
    before = server.certificate("ca")
    assert "authority" in server.run("index.example.com")
    assert server.certificate("ca") != before
    assert server.names() == ["index.example.com"]
    assert server.is_valid()


def test_new_name_in_permitted_domain_keeps_ca(server: Server) -> None:
    """With pypi_tls_domains, the CA is kept if the server is renamed."""
    domains = {"pypi_tls_domains": ["example.com"]}
    server.run(**domains)
    before = server.certificate("ca")
    assert server.permitted() == ["example.com"]
    output = server.run("Index.Example.com", **domains)
    assert output.startswith("Created a certificate for Index.Example.com")
    assert server.certificate("ca") == before
    assert server.is_valid()
    assert server.run("Index.Example.com", **domains) == ""


def test_keeps_ca_that_covers_names(server: Server) -> None:
    """A CA whose constraints cover the names is kept."""
    server.run(pypi_tls_domains=["example.com"])
    assert server.run() == ""


@pytest.mark.parametrize("lost", ["ca.key", "ca.crt", "server.key", "server.crt"])
def test_recreates_lost_file(server: Server, lost: str) -> None:
    """After the loss of any file, the certificate is valid again."""
    server.run()
    (server.home / "tls" / lost).unlink()
    assert ("authority" in server.run()) is lost.startswith("ca")
    assert server.is_valid()
    assert server.run() == ""


@pytest.mark.parametrize("replaced", [["ca.key"], ["ca.key", "ca.crt"], ["ca.key", "ca.crt", "server.key"]])
def test_recovers_from_interruption(
    server: Server, tmp_path_factory: pytest.TempPathFactory, replaced: list[str]
) -> None:
    """The files are replaced one by one. After an interruption, the next run creates a valid certificate."""
    server.run()
    other = Server(tmp_path_factory.mktemp("other"))
    other.run()
    for name in replaced:
        (server.home / "tls" / name).write_bytes((other.home / "tls" / name).read_bytes())
    assert server.run() != ""
    assert server.is_valid()
    assert server.run() == ""


def test_uses_restored_ca(server: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A new host with a restored CA creates a certificate signed by it."""
    server.run()
    new = Server(tmp_path_factory.mktemp("new"))
    for name in ("ca.key", "ca.crt"):
        (new.home / "tls" / name).write_bytes((server.home / "tls" / name).read_bytes())
    assert new.run().startswith("Created a certificate for")
    assert new.certificate("ca") == server.certificate("ca")
    assert new.is_valid()
