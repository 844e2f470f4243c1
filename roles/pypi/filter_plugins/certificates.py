"""What can be wrong with a certificate and its private key."""

import ssl
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

ORDINALS = ("first", "second", "third", "fourth")
# A new certificate takes some companies weeks.
WARN_BEFORE = timedelta(days=30)


def covers(certificate: x509.Certificate, name: str) -> bool:
    """Whether a certificate is made for a host name, wildcards as in RFC 9525, section 6.3."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    parent = "*." + name.lower().partition(".")[2]
    return any(covered.lower() in (name.lower(), parent) for covered in names.get_values_for_type(x509.DNSName))


def public_bytes(key) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def missing_problems(settings: dict, texts: dict[str, str]) -> list[str]:
    problems = []
    for setting, text in texts.items():
        if not settings[setting]:
            problems.append(f"{setting}: pypi_tls is 'provided', and this names no file. Write the path of a PEM file.")
        elif not settings[setting].startswith("/"):
            problems.append(
                f"{setting}: {settings[setting]!r} is no absolute path. Write {{{{ inventory_dir }}}}/... for it."
            )
        elif not text:
            problems.append(f"{setting}: {settings[setting]} is not there, or is empty, on the controller.")
    return problems


def certificate_problems(settings: dict, certificate_text: str, key_text: str) -> list[str]:
    """One line for each thing that is wrong: which setting, why, and what to do. Nothing of the key.

    certificate_text, key_text: the PEM files' contents, empty where there is no such file.
    """
    problems = missing_problems(settings, {"pypi_tls_certificate": certificate_text, "pypi_tls_private_key": key_text})
    if problems:
        return problems
    try:
        certificate = x509.load_pem_x509_certificates(certificate_text.encode())[0]
    except ValueError:
        problems.append(f"pypi_tls_certificate: {settings['pypi_tls_certificate']} holds no certificate in PEM form.")
    try:
        key = load_pem_private_key(key_text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        problems.append(
            f"pypi_tls_private_key: {settings['pypi_tls_private_key']} holds no private key in PEM form, or one with "
            "a passphrase, which Apache could not ask for. Encrypt it with ansible-vault instead."
        )
    if problems:
        return problems

    if public_bytes(certificate.public_key()) != public_bytes(key.public_key()):
        problems.append(
            "pypi_tls_certificate and pypi_tls_private_key do not belong together. Name the key that the certificate "
            "was requested with; the server's certificate must come first in its file."
        )
    if certificate.not_valid_after_utc < datetime.now(UTC):
        problems.append(f"pypi_tls_certificate: it expired on {certificate.not_valid_after_utc:%Y-%m-%d}. Renew it.")
    if certificate.not_valid_before_utc > datetime.now(UTC):
        problems.append(
            f"pypi_tls_certificate: it holds from {certificate.not_valid_before_utc:%Y-%m-%d} on, and not before. "
            "Wait, or look at this machine's clock."
        )
    if "PRIVATE KEY-----" in certificate_text:
        problems.append("pypi_tls_certificate: the file has the private key in it, too. Keep certificates alone in it.")
    names = [settings["pypi_server_name"], *settings["pypi_server_aliases"]]
    problems += [
        f"pypi_tls_certificate: it is not made for {name}. Have it issued for that name, or change pypi_server_name "
        "or pypi_server_aliases."
        for name in names
        if not covers(certificate, name)
    ]
    return problems


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether a certificate names another as its issuer and is signed with its key."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def trusted_authorities() -> list[x509.Certificate]:
    """Return the authorities that this machine trusts."""
    return [x509.load_der_x509_certificate(der) for der in ssl.create_default_context().get_ca_certs(binary_form=True)]


def chain_warnings(chain: list[x509.Certificate]) -> list[str]:
    """Return the first place where a chain of certificates breaks, if any."""
    for number, (certificate, issuer) in enumerate(pairwise(chain), start=1):
        if not is_issued_by(certificate, issuer):
            place = ORDINALS[number] if number < len(ORDINALS) else "next"
            return [
                f"the {place} certificate in the file, {issuer.subject.rfc4514_string()}, did not issue the one before "
                f"it. Clients need that of {certificate.issuer.rfc4514_string()} there, and others after it."
            ]
    (first, *others) = chain
    if others or first.issuer == first.subject or any(is_issued_by(first, one) for one in trusted_authorities()):
        return []
    return [
        f"it comes with no intermediate, and this machine does not trust its issuer, {first.issuer.rfc4514_string()}. "
        "Unless all clients do, append that certificate to the file: without it they cannot verify the server's."
    ]


def expiry_warnings(chain: list[x509.Certificate]) -> list[str]:
    """Return which certificates of a chain end soon. That the first one has ended is an error, and no warning."""
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
    """Return one line for each thing that works, but not for all clients or not for long.

    certificate_text: as for certificate_problems, which reports what is no certificate at all.
    """
    try:
        chain = x509.load_pem_x509_certificates(certificate_text.encode())
    except ValueError:
        return []
    return [f"pypi_tls_certificate: {warning}" for warning in chain_warnings(chain) + expiry_warnings(chain)]


class FilterModule:
    def filters(self) -> dict:
        return {
            "pypi_certificate_problems": certificate_problems,
            "pypi_certificate_warnings": certificate_warnings,
        }
