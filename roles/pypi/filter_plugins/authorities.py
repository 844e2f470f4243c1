"""Checks of the files with certificate authorities for clients."""

from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature


def certificates_in(text: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM file; none if it has none, or an invalid one."""
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return []


def has_signed(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Return whether an authority has issued a certificate, or is that certificate."""
    if authority == certificate:
        return True
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def file_problem(path: str, text: str) -> str | None:
    """Return the problem with a PEM file of authorities, or None. text: its content, empty if it is missing."""
    if not path.startswith("/"):
        return f"{path!r} is not an absolute path. Write {{{{ inventory_dir }}}}/... for it"
    if not text:
        return f"{path} is missing or empty on the control node"
    if not certificates_in(text):
        return f"{path} is not a PEM file with certificates"
    return None


def signature_problem(settings: dict[str, Any], certificate_text: str, authority_text: str) -> str | None:
    """Return a problem if the authority has issued none of the provided certificates, or None."""
    provided = certificates_in(certificate_text)
    authorities = certificates_in(authority_text)
    if not provided or any(has_signed(authority, one) for authority in authorities for one in provided):
        return None
    return (
        f"{settings['pypi_tls_ca']} has signed none of the certificates in {settings['pypi_tls_certificate']}, so "
        "clients cannot verify them. Name the file of the authority, or append the intermediate certificate to the "
        "server's"
    )


def authority_problems(settings: dict[str, Any], certificate_text: str, texts: dict[str, str]) -> list[str]:
    """Return one line for each problem: the setting, what is wrong, and what to do.

    settings: all settings of the kit by name; certificate_text: the content of pypi_tls_certificate; texts: the
    content of the files that the settings name, by setting, empty if there is no such file.
    """
    named = ["pypi_public_ca_file"] + (["pypi_tls_ca"] if settings["pypi_tls"] == "provided" else [])
    found = {setting: file_problem(settings[setting], texts.get(setting, "")) for setting in named if settings[setting]}
    if "pypi_tls_ca" in found and found["pypi_tls_ca"] is None:
        found["pypi_tls_ca"] = signature_problem(settings, certificate_text, texts["pypi_tls_ca"])
    return [f"{setting}: {problem}." for setting, problem in found.items() if problem]


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"pypi_authority_problems": authority_problems}
