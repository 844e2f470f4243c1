"""Preflight checks of CA files."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from support import ansible_templates, load

problems = load("roles/pypi/filter_plugins/authorities.py").authority_problems

SETTINGS = ansible_templates.settings(pypi_tls="provided", pypi_tls_ca="/control-node/ca.pem")
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("company", "intermediate", "server", "other")}


def certificate(subject: str, issuer: str) -> str:
    """Return the certificate of a subject, signed by an issuer, in PEM form."""
    now = datetime.now(UTC)
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(KEYS[subject].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=subject != "server", path_length=None), critical=True)
    )
    return builder.sign(KEYS[issuer], hashes.SHA256()).public_bytes(Encoding.PEM).decode()


ROOT = certificate("company", "company")
OTHER = certificate("other", "other")
SIGNED = certificate("server", "company")
CHAIN = certificate("server", "intermediate") + certificate("intermediate", "company")


@pytest.mark.parametrize(
    ("certificates", "authority"),
    [
        (SIGNED, ROOT),
        (CHAIN, ROOT),
        (CHAIN + ROOT, ROOT),
        (SIGNED, OTHER + ROOT),
        (SIGNED, "Root of the company\n" + ROOT),
        (ROOT, ROOT),
    ],
    ids=["direct", "intermediate", "whole chain", "several", "with text", "self-signed"],
)
def test_accepts_valid_authority(certificates: str, authority: str) -> None:
    """Clients can verify the certificate with the CA file."""
    assert problems(SETTINGS, certificates, {"pypi_tls_ca": authority}) == []


@pytest.mark.parametrize(
    ("certificates", "authority", "expected"),
    [
        (SIGNED, OTHER, ["has signed none of the certificates in", "Name the file of the authority"]),
        (certificate("server", "intermediate"), ROOT, ["has signed none", "intermediate"]),
        (SIGNED, "garbage", ["/control-node/ca.pem", "not a PEM file with certificates"]),
        (SIGNED, "", ["/control-node/ca.pem is missing or empty"]),
    ],
    ids=["another", "no intermediate", "garbage", "missing"],
)
def test_rejects_invalid_authority(certificates: str, authority: str, expected: list[str]) -> None:
    """No client could connect with this CA file."""
    (problem,) = problems(SETTINGS, certificates, {"pypi_tls_ca": authority})
    assert problem.startswith("pypi_tls_ca: ")
    assert [part for part in expected if part not in problem] == []


def test_rejects_relative_path() -> None:
    """A relative path would depend on the working directory."""
    settings = SETTINGS | {"pypi_tls_ca": "ca.pem"}
    (problem,) = problems(settings, SIGNED, {"pypi_tls_ca": ROOT})
    assert "'ca.pem' is not an absolute path" in problem


@pytest.mark.parametrize(("text", "expected"), [("", "is missing or empty"), ("garbage", "not a PEM file")])
def test_rejects_invalid_public_ca_file(text: str, expected: str) -> None:
    """The file must contain certificates, which need not have signed the server's."""
    settings = SETTINGS | {"pypi_public_ca_file": "/control-node/public.pem"}
    (problem,) = problems(settings, SIGNED, {"pypi_tls_ca": ROOT, "pypi_public_ca_file": text})
    assert problem.startswith("pypi_public_ca_file: ")
    assert expected in problem
    assert problems(settings, SIGNED, {"pypi_tls_ca": ROOT, "pypi_public_ca_file": OTHER}) == []


@pytest.mark.parametrize("tls", ["self_signed", "none"])
def test_ignores_setting_without_provided_certificate(tls: str) -> None:
    """Other values of pypi_tls ignore the CA file."""
    assert problems(SETTINGS | {"pypi_tls": tls}, "", {"pypi_tls_ca": ""}) == []


def test_unreadable_certificate_is_not_reported_twice() -> None:
    """Another check reports an invalid certificate."""
    assert problems(SETTINGS, "garbage", {"pypi_tls_ca": ROOT}) == []
