"""Files of certificate authorities: what the preflight refuses, and what it lets through."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from support import ansible_templates, load

problems = load("roles/pypi/filter_plugins/authorities.py").authority_problems

SETTINGS = ansible_templates.settings(pypi_tls="provided", pypi_tls_ca="/controller/ca.pem")
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
def test_accepted(certificates: str, authority: str) -> None:
    """An authority that clients can check the certificate with."""
    assert problems(SETTINGS, certificates, {"pypi_tls_ca": authority}) == []


@pytest.mark.parametrize(
    ("certificates", "authority", "said"),
    [
        (SIGNED, OTHER, ["has signed none of the certificates in", "Name the file of the authority"]),
        (certificate("server", "intermediate"), ROOT, ["has signed none", "intermediate"]),
        (SIGNED, "garbage", ["/controller/ca.pem", "not a PEM file with certificates"]),
        (SIGNED, "", ["/controller/ca.pem is missing or empty"]),
    ],
    ids=["another", "no intermediate", "garbage", "missing"],
)
def test_refused(certificates: str, authority: str, said: list[str]) -> None:
    """With it, no client could connect."""
    (problem,) = problems(SETTINGS, certificates, {"pypi_tls_ca": authority})
    assert problem.startswith("pypi_tls_ca: ")
    assert [words for words in said if words not in problem] == []


def test_a_relative_path() -> None:
    """It would be looked for in another directory by each who runs this."""
    settings = SETTINGS | {"pypi_tls_ca": "ca.pem"}
    (problem,) = problems(settings, SIGNED, {"pypi_tls_ca": ROOT})
    assert "'ca.pem' is not an absolute path" in problem


@pytest.mark.parametrize(("text", "said"), [("", "is missing or empty"), ("garbage", "not a PEM file")])
def test_public_authorities(text: str, said: str) -> None:
    """The public authorities need not have signed anything here, but there must be some."""
    settings = SETTINGS | {"pypi_public_ca_file": "/controller/public.pem"}
    (problem,) = problems(settings, SIGNED, {"pypi_tls_ca": ROOT, "pypi_public_ca_file": text})
    assert problem.startswith("pypi_public_ca_file: ")
    assert said in problem
    assert problems(settings, SIGNED, {"pypi_tls_ca": ROOT, "pypi_public_ca_file": OTHER}) == []


@pytest.mark.parametrize("tls", ["self_signed", "none"])
def test_only_where_a_certificate_is_provided(tls: str) -> None:
    """Switching pypi_tls to and fro, nobody has to take the other settings out."""
    assert problems(SETTINGS | {"pypi_tls": tls}, "", {"pypi_tls_ca": ""}) == []


def test_an_unreadable_certificate_is_reported_once() -> None:
    """That the certificate itself is broken, another check says."""
    assert problems(SETTINGS, "garbage", {"pypi_tls_ca": ROOT}) == []
