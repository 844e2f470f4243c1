"""Checks of a provided certificate and its private key."""

import ssl
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

ORDINALS = ("first", "second", "third", "fourth")
# Some companies need weeks to issue a new certificate.
WARN_BEFORE = timedelta(days=30)


def covers(certificate: x509.Certificate, name: str) -> bool:
    """Return whether a certificate is valid for a host name, with wildcards as in RFC 9525, section 6.3."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    parent = "*." + name.lower().partition(".")[2]
    return any(covered.lower() in (name.lower(), parent) for covered in names.get_values_for_type(x509.DNSName))


def public_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def missing_problems(settings: dict[str, Any], texts: dict[str, str]) -> list[str]:
    problems = []
    for setting, text in texts.items():
        if not settings[setting]:
            problems.append(f"{setting}: must be the path of a PEM file, since pypi_tls is 'provided'; it is empty.")
        elif not settings[setting].startswith("/"):
            problems.append(
                f"{setting}: {settings[setting]!r} is not an absolute path. Write {{{{ inventory_dir }}}}/... for it."
            )
        elif not text:
            problems.append(f"{setting}: {settings[setting]} is missing or empty on the control node.")
    return problems


def certificate_problems(settings: dict[str, Any], certificate_text: str, key_text: str) -> list[str]:
    """Return one line for each problem: the setting, what is wrong, and what to do. No line has any part of the key.

    certificate_text, key_text: the contents of the PEM files, empty if there is no such file.
    """
    problems = missing_problems(settings, {"pypi_tls_certificate": certificate_text, "pypi_tls_private_key": key_text})
    if problems:
        return problems
    try:
        certificate = x509.load_pem_x509_certificates(certificate_text.encode())[0]
    except ValueError:
        problems.append(
            f"pypi_tls_certificate: {settings['pypi_tls_certificate']} is not a PEM file with certificates."
        )
    try:
        key = load_pem_private_key(key_text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        problems.append(
            f"pypi_tls_private_key: {settings['pypi_tls_private_key']} is not a PEM file with a private key, or the "
            "key has a passphrase, which Apache cannot ask for. Encrypt it with ansible-vault instead."
        )
    if problems:
        return problems

    if public_bytes(certificate.public_key()) != public_bytes(key.public_key()):
        problems.append(
            "pypi_tls_certificate and pypi_tls_private_key do not match. Name the key that the certificate was "
            "requested with. The server's certificate must come first in its file."
        )
    if certificate.not_valid_after_utc < datetime.now(UTC):
        problems.append(
            f"pypi_tls_certificate: the certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}. Renew it."
        )
    if certificate.not_valid_before_utc > datetime.now(UTC):
        problems.append(
            f"pypi_tls_certificate: the certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}. "
            "Wait, or correct the clock of the control node."
        )
    if "PRIVATE KEY-----" in certificate_text:
        problems.append("pypi_tls_certificate: the file also has a private key. Remove it: clients get the whole file.")
    names = [settings["pypi_server_name"], *settings["pypi_server_aliases"]]
    problems += [
        f"pypi_tls_certificate: the certificate is not valid for {name}. Use one issued for that name, or change "
        "pypi_server_name or pypi_server_aliases."
        for name in names
        if not covers(certificate, name)
    ]
    return problems


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether a certificate names another as its issuer and is signed with its key."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def trusted_authorities() -> list[x509.Certificate]:
    """Return the authorities that the control node trusts."""
    return [x509.load_der_x509_certificate(der) for der in ssl.create_default_context().get_ca_certs(binary_form=True)]


def chain_warnings(chain: list[x509.Certificate]) -> list[str]:
    """Return a warning for the first certificate that does not continue the chain, if any."""
    for number, (certificate, issuer) in enumerate(pairwise(chain), start=1):
        if not is_issued_by(certificate, issuer):
            place = ORDINALS[number] if number < len(ORDINALS) else "next"
            return [
                f"the {place} certificate in the file, {issuer.subject.rfc4514_string()}, did not issue the one before "
                f"it. Put the certificate of {certificate.issuer.rfc4514_string()} in its place."
            ]
    (first, *others) = chain
    if others or first.issuer == first.subject or any(is_issued_by(first, one) for one in trusted_authorities()):
        return []
    return [
        "the file has no intermediate certificate, and the control node does not trust the issuer, "
        f"{first.issuer.rfc4514_string()}. Append the issuer's certificate to the file, unless all clients trust it: "
        "without it they cannot verify the server's certificate."
    ]


def expiry_warnings(chain: list[x509.Certificate]) -> list[str]:
    """Return a warning for each certificate that expires soon. An expired first certificate is an error instead."""
    warnings = []
    for number, certificate in enumerate(chain):
        end = certificate.not_valid_after_utc
        left = end - datetime.now(UTC)
        days = "less than a day" if left.days < 1 else f"{left.days} more day{'s' if left.days > 1 else ''}"
        if number and left < timedelta():
            warnings.append(f"{certificate.subject.rfc4514_string()} in the file expired on {end:%Y-%m-%d}. Renew it.")
        elif timedelta() <= left < WARN_BEFORE:
            warnings.append(
                f"{certificate.subject.rfc4514_string()} is valid for {days}, until {end:%Y-%m-%d}. Renew it."
            )
    return warnings


def certificate_warnings(certificate_text: str) -> list[str]:
    """Return one line for each problem that only some clients have, or that will occur soon.

    certificate_text: as for certificate_problems, which reports invalid files.
    """
    try:
        chain = x509.load_pem_x509_certificates(certificate_text.encode())
    except ValueError:
        return []
    return [f"pypi_tls_certificate: {warning}" for warning in chain_warnings(chain) + expiry_warnings(chain)]


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {
            "pypi_certificate_problems": certificate_problems,
            "pypi_certificate_warnings": certificate_warnings,
        }
