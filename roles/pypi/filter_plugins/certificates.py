"""What can be wrong with a certificate and its private key."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


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


class FilterModule:
    def filters(self) -> dict:
        return {"pypi_certificate_problems": certificate_problems}
