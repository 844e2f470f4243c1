"""The program that makes and renews the server's own certificate, run by the shell with the real openssl."""

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
        """Run the program of a server. Returns what it says."""
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
        """Return the domains for which the authority may vouch."""
        found = self.certificate("ca").extensions.get_extension_for_oid(ExtensionOID.NAME_CONSTRAINTS)
        return [name.value for name in found.value.permitted_subtrees]

    def is_valid(self) -> bool:
        """Tell whether openssl accepts the certificate, its name included."""
        command = ["openssl", "verify", "-CAfile", "tls/ca.crt", "-verify_hostname", self.names()[0], "tls/server.crt"]
        return subprocess.run(command, cwd=self.home, capture_output=True, check=False).returncode == 0


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A server that has no certificate yet."""
    return Server(tmp_path)


def test_first(server: Server) -> None:
    """The authority may vouch for the server's names alone. What is good is left alone."""
    said = server.run(pypi_server_aliases=["other.example.org"])
    assert re.match(r"Created a certificate authority and a certificate for pypi.example.com other.example.org,", said)
    assert server.names() == server.permitted() == ["pypi.example.com", "other.example.org"]
    assert server.is_valid()
    assert server.run(pypi_server_aliases=["other.example.org"]) == ""
    assert sorted(path.name for path in (server.home / "tls").iterdir()) == sorted(
        ["ca.crt", "ca.key", "server.crt", "server.key"]
    )


def test_new_name(server: Server) -> None:
    """Another name needs another authority, unless this one may vouch for it."""
    server.run()
    before = server.certificate("ca")
    assert "authority" in server.run("index.example.com")
    assert server.certificate("ca") != before
    assert server.names() == ["index.example.com"]
    assert server.is_valid()


def test_new_name_in_the_domain(server: Server) -> None:
    """With a domain of its own, clients go on trusting the authority when the server is renamed."""
    domains = {"pypi_tls_domains": ["example.com"]}
    server.run(**domains)
    before = server.certificate("ca")
    assert server.permitted() == ["example.com"]
    said = server.run("Index.Example.com", **domains)
    assert said.startswith("Created a certificate for Index.Example.com")
    assert server.certificate("ca") == before
    assert server.is_valid()
    assert server.run("Index.Example.com", **domains) == ""


def test_narrower_domains(server: Server) -> None:
    """An authority that covers the names is kept, so that clients need no other one."""
    server.run(pypi_tls_domains=["example.com"])
    assert server.run() == ""


@pytest.mark.parametrize("lost", ["ca.key", "ca.crt", "server.key", "server.crt"])
def test_lost_file(server: Server, lost: str) -> None:
    """Whatever is lost is made again, and the certificate is valid."""
    server.run()
    (server.home / "tls" / lost).unlink()
    assert ("authority" in server.run()) is lost.startswith("ca")
    assert server.is_valid()
    assert server.run() == ""


@pytest.mark.parametrize("replaced", [["ca.key"], ["ca.key", "ca.crt"], ["ca.key", "ca.crt", "server.key"]])
def test_interrupted(server: Server, tmp_path_factory: pytest.TempPathFactory, replaced: list[str]) -> None:
    """The files are replaced one after the other. Wherever that ends, the next run makes a valid certificate."""
    server.run()
    other = Server(tmp_path_factory.mktemp("other"))
    other.run()
    for name in replaced:
        (server.home / "tls" / name).write_bytes((other.home / "tls" / name).read_bytes())
    assert server.run() != ""
    assert server.is_valid()
    assert server.run() == ""


def test_restored_authority(server: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    """On a new host, a certificate is made with the authority that clients trust already."""
    server.run()
    new = Server(tmp_path_factory.mktemp("new"))
    for name in ("ca.key", "ca.crt"):
        (new.home / "tls" / name).write_bytes((server.home / "tls" / name).read_bytes())
    assert new.run().startswith("Created a certificate for")
    assert new.certificate("ca") == server.certificate("ca")
    assert new.is_valid()
