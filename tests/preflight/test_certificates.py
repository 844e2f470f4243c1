"""Preflight checks of provided certificates and keys."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from support import ansible_templates, load

problems = load("roles/pypi/filter_plugins/certificates.py").certificate_problems

SETTINGS = ansible_templates.settings(
    pypi_server_name="pypi.example.com",
    pypi_tls="provided",
    pypi_tls_certificate="/control-node/server.pem",
    pypi_tls_private_key="/control-node/server.key",
)
KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def key_text(key: object = KEY, passphrase: bytes | None = None) -> str:
    """Return a key in PEM form."""
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def unsupported_key() -> str:
    """Return a key on an unsupported curve: P-256's key, named as prime239v3 (OID 1.2.840.10045.3.1.6)."""
    der = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    renamed = der.replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030106"))
    markers = [f"-----{word} PRIVATE KEY-----" for word in ("BEGIN", "END")]
    return f"{markers[0]}\n{base64.encodebytes(renamed).decode()}{markers[1]}\n"


def certificate(*names: str, key: object = KEY, days: int = 30, since: int = 100) -> str:
    """Return a certificate for some names in PEM form. days: remaining validity; since: days since its start."""
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pypi.example.com")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=since))
        .not_valid_after(now + timedelta(days=days))
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM).decode()


GOOD = certificate("pypi.example.com")
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED_KEY = ed25519.Ed25519PrivateKey.generate()

# Certificate, key, and texts in the message: the setting, the fault, the correction.
WRONG = [
    (GOOD, key_text(OTHER_KEY), ["pypi_tls_certificate and pypi_tls_private_key", "do not match", "Name"]),
    (GOOD, key_text(RSA_KEY), ["do not match"]),
    (
        certificate("ca.example.com", key=OTHER_KEY) + GOOD,
        key_text(),
        ["do not match", "must come first"],
    ),
    (certificate("pypi.example.com", days=-1), key_text(), ["pypi_tls_certificate", "expired on", "Renew"]),
    (certificate("www.example.com"), key_text(), ["pypi_tls_certificate", "pypi.example.com", "issued for that name"]),
    (certificate("*.com"), key_text(), ["not valid for pypi.example.com"]),
    (certificate("*.pypi.example.com"), key_text(), ["not valid for pypi.example.com"]),
    # Clients ignore common names (RFC 9525, section 6.3).
    (certificate(), key_text(), ["not valid for pypi.example.com"]),
    ("garbage", key_text(), ["pypi_tls_certificate", "/control-node/server.pem", "not a PEM file with certificates"]),
    (GOOD[:200], key_text(), ["pypi_tls_certificate", "not a PEM file with certificates"]),
    (GOOD, "garbage", ["pypi_tls_private_key", "/control-node/server.key", "not a PEM file with a private key"]),
    (GOOD, key_text(passphrase=b"canary"), ["pypi_tls_private_key", "a passphrase", "ansible-vault"]),
    (GOOD, GOOD, ["pypi_tls_private_key", "not a PEM file with a private key"]),
    (GOOD, unsupported_key(), ["pypi_tls_private_key"]),
    (certificate("pypi.example.com", since=-5), key_text(), ["pypi_tls_certificate"]),
    (GOOD + key_text(), key_text(), ["pypi_tls_certificate"]),
    ("", key_text(), ["pypi_tls_certificate", "/control-node/server.pem is missing or empty"]),
    (GOOD, "", ["pypi_tls_private_key", "/control-node/server.key is missing or empty"]),
]


@pytest.mark.parametrize(("certificate_text", "private_key", "expected"), WRONG)
def test_rejects_invalid_files(certificate_text: str, private_key: str, expected: list[str]) -> None:
    """The message contains the setting, the fault and a correction."""
    found = problems(SETTINGS, certificate_text, private_key)
    fitting = [line for line in found if all(part in line for part in expected)]
    assert len(fitting) == 1, found


@pytest.mark.parametrize(
    ("certificate_text", "private_key"),
    [
        (GOOD, key_text()),
        (GOOD + certificate("ca.example.com", key=OTHER_KEY), key_text()),
        (certificate("*.example.com"), key_text()),
        (certificate("PyPI.Example.com", "other.example.com"), key_text()),
        (certificate("pypi.example.com", key=RSA_KEY), key_text(RSA_KEY)),
        (certificate("pypi.example.com", key=ED_KEY), key_text(ED_KEY)),
    ],
    ids=["plain", "chain", "wildcard", "case", "RSA", "Ed25519"],
)
def test_accepts_valid_files(certificate_text: str, private_key: str) -> None:
    """Certificates that clients accept are not reported."""
    assert problems(SETTINGS, certificate_text, private_key) == []


def test_checks_all_aliases() -> None:
    """The certificate must be valid for the server name and all aliases."""
    settings = SETTINGS | {"pypi_server_aliases": ["packages.example.com", "*.no"]}
    found = problems(settings, certificate("pypi.example.com", "packages.example.com"), key_text())
    assert len(found) == 1
    assert "*.no" in found[0]


def test_requires_both_settings() -> None:
    """pypi_tls: provided needs a certificate and a key."""
    found = problems(SETTINGS | {"pypi_tls_certificate": "", "pypi_tls_private_key": ""}, "", "")
    assert [line.split(":")[0] for line in found] == ["pypi_tls_certificate", "pypi_tls_private_key"]
    assert all("must be the path of a PEM file" in line for line in found)


def test_rejects_relative_path() -> None:
    """A relative path would be looked up in the role."""
    (problem,) = problems(SETTINGS | {"pypi_tls_certificate": "server.pem"}, "", key_text())
    assert "'server.pem' is not an absolute path" in problem
    assert "{{ inventory_dir }}/" in problem


@pytest.mark.parametrize("private_key", [key_text(), key_text(OTHER_KEY), key_text()[:150], "canary"])
def test_messages_contain_no_key(private_key: str) -> None:
    """Messages are logged, so they must not contain parts of the private key."""
    found = " ".join(problems(SETTINGS, certificate("www.example.com", days=-1), private_key))
    assert found
    assert [line for line in private_key.splitlines()[1:-1] or [private_key] if line in found] == []
