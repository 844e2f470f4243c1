"""Warnings about provided certificates that do not work for all clients, or expire soon. The run continues."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support import control, load
from support.preflight import found

plugin = load("roles/pypi/filter_plugins/certificates.py")

NAMES = ("server", "other", "intermediate", "root", "company")
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in NAMES}


def name_of(subject: str) -> x509.Name:
    """Return a distinguished name."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])


def issued(subject: str, issuer: str, days: float = 365, key: str | None = None) -> str:
    """Return the certificate of a subject in PEM form. days: remaining validity; key: name of the signing key."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(subject))
        .issuer_name(name_of(issuer))
        .public_key(KEYS[subject].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("pypi.example.com")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=subject != "server", path_length=None), critical=True)
    )
    return builder.sign(KEYS[key or issuer], hashes.SHA256()).public_bytes(Encoding.PEM).decode()


ROOT = issued("root", "root")
INTERMEDIATE = issued("intermediate", "root")
SERVER = issued("server", "intermediate")

# The file's content, and texts in the warning.
WARNED = [
    (SERVER, ["no intermediate", "CN=intermediate", "Append the issuer's certificate"]),
    (SERVER + ROOT, ["second certificate", "CN=root", "CN=intermediate"]),
    (SERVER + INTERMEDIATE + issued("company", "company"), ["third certificate", "CN=company", "CN=root"]),
    # The same name, but another key.
    (SERVER + issued("intermediate", "root", key="other") + ROOT, ["third certificate", "CN=root"]),
    (issued("server", "root", key="company"), ["no intermediate", "CN=root"]),
    (issued("server", "company"), ["no intermediate", "CN=company"]),
    (issued("server", "intermediate", days=29.9) + INTERMEDIATE, ["CN=server", "29 more days", "Renew it"]),
    (issued("server", "intermediate", days=1.5) + INTERMEDIATE, ["CN=server", "1 more day,"]),
    (issued("server", "intermediate", days=0.5) + INTERMEDIATE, ["CN=server", "less than a day"]),
    (SERVER + issued("intermediate", "root", days=7.5), ["CN=intermediate", "7 more days"]),
    (SERVER + issued("intermediate", "root", days=-1), ["CN=intermediate", "expired on"]),
]

FINE = {
    "chain": SERVER + INTERMEDIATE,
    "chain with its root": SERVER + INTERMEDIATE + ROOT,
    "a root that this machine trusts": issued("server", "root"),
    "self-signed": issued("server", "server"),
    "30 days": issued("server", "server", days=30.1),
    # These are reported as errors.
    "expired": issued("server", "server", days=-1),
    "garbage": "garbage",
    "empty": "",
}


@pytest.fixture(autouse=True)
def _trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one CA trusted on this machine."""
    (tmp_path / "trusted.pem").write_text(ROOT)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))


@pytest.mark.parametrize(("text", "expected"), WARNED)
def test_warns_of_incomplete_chain_or_expiry(text: str, expected: list[str]) -> None:
    """The message contains the certificate, the problem and the correction."""
    (line,) = plugin.certificate_warnings(text)
    assert line.startswith("pypi_tls_certificate: ")
    assert [part for part in expected if part not in line] == []


@pytest.mark.parametrize("text", FINE.values(), ids=FINE.keys())
def test_valid_certificates_cause_no_warning(text: str) -> None:
    """Certificates without a problem are not reported."""
    assert plugin.certificate_warnings(text) == []


def given(tmp_path: Path, certificate: str) -> dict[str, str]:
    """Write a certificate and a key. Returns the settings for them."""
    key = KEYS["server"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "server.pem").write_text(certificate)
    (tmp_path / "server.key").write_bytes(key)
    return {
        "pypi_tls": "provided",
        "pypi_tls_certificate": str(tmp_path / "server.pem"),
        "pypi_tls_private_key": str(tmp_path / "server.key"),
    }


@pytest.mark.parametrize(("tags", "count"), [(["all"], 1), (["tls"], 1), (["accounts"], 0)])
def test_role_shows_warning_by_tag(tmp_path: Path, tags: list[str], count: int) -> None:
    """The warning appears only with tags that apply the certificate."""
    assert len(found("__pypi_warnings", **given(tmp_path, SERVER), ansible_run_tags=tags)) == count


def test_warns_of_disabled_tls() -> None:
    """Each run warns that TLS is disabled."""
    (line,) = found("__pypi_warnings", pypi_tls="none")
    assert "passwords and packages are sent without encryption" in line
    assert found("__pypi_warnings") == []


def test_run_continues_after_warning(tmp_path: Path) -> None:
    """The run shows the warning and continues."""
    settings = given(tmp_path, issued("server", "intermediate", days=3.5))
    text = "".join(f"{name}: {value}\n" for name, value in settings.items()) + "pypi_users: [{name: alice}]\n"
    inventory = control.inventory(tmp_path / "inventory", text)
    run = control.playbook(control.checks(tmp_path, "settings"), "-i", inventory, "--tags", "tls")
    assert "WARNING: pypi_tls_certificate: the file has no intermediate" in run.normalized_output
    assert "3 more days" in run.normalized_output
    assert control.PASSED in run.output
