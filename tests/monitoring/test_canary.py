"""The canary against a server with TLS on this machine."""

import hashlib
import http.server
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from wheelhouse_monitoring import canary
from wheelhouse_monitoring.canary import Canary, Result
from wheelhouse_monitoring.settings import CanarySettings

NAME = "pypi.example.com"
LOGIN = ("canary", "pass: wörd")
CONTENT = b"content of a file"
FORBIDDEN = [["POST", "/"], ["GET", "/simple/"]]


def certificate(directory: Path, name: str, days: int = 30) -> Path:
    """Write a self-signed certificate and its key. Returns the file with both."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = directory / f"{name}-{days}.pem"
    path.write_bytes(key.private_bytes(*private) + built.public_bytes(serialization.Encoding.PEM))
    return path


class Index:
    """A server of /simple/ and /packages/ that tests change. anonymous: whether it answers without a login."""

    def __init__(self, pem: Path | None) -> None:
        self.anonymous = False
        self.requests: list[tuple[str, str, str | None]] = []
        digest = hashlib.sha256(CONTENT).hexdigest()
        self.files = [{"url": "../../packages/acme-1.0.tar.gz", "size": len(CONTENT), "hashes": {"sha256": digest}}]
        self.projects = ["acme"]
        self.content = CONTENT
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.requests.append((self.command, self.path, self.headers["Authorization"]))
                body = index.answer(self.command, self.path, self.headers["Authorization"])
                self.send_response(200 if body is not None else 404 if self.headers["Authorization"] else 401)
                self.end_headers()
                self.wfile.write(body or b"")

            do_POST = do_GET  # noqa: N815  (the name is that of the base class)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        if pem:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(pem)
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, method: str, path: str, login: str | None) -> bytes | None:
        """Return the body of a response with status 200, or None."""
        if not login and not self.anonymous:
            return None
        pages = {
            "/": b"" if method == "POST" else None,
            "/simple/": json.dumps({"projects": [{"name": name} for name in self.projects]}).encode(),
            "/simple/acme/": json.dumps({"files": self.files}).encode(),
            "/packages/acme-1.0.tar.gz": self.content,
        }
        return pages.get(path)

    def run(self, authority: Path | None) -> Result:
        """Run the canary against this server."""
        port = self.server.server_address[1]
        settings = CanarySettings(NAME, port, authority is not None, private_ca=True, forbidden=FORBIDDEN)
        return Canary(settings, LOGIN, authority).run()


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """Return a valid certificate with its key."""
    return certificate(tmp_path, NAME)


@pytest.fixture
def index(pem: Path) -> Iterator[Index]:
    """Return a working index."""
    found = Index(pem)
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_working_index(index: Index, pem: Path) -> None:
    """All steps succeed; the login is only in the requests that need it."""
    result = index.run(pem)
    assert result.steps == dict.fromkeys(("connect", "list", "download", "forbidden"), True), result.reports
    assert result.success
    assert result.certificate_expiry == pytest.approx((datetime.now(UTC) + timedelta(days=30)).timestamp(), abs=60)
    assert [(method, path) for method, path, login in index.requests if not login] == [tuple(one) for one in FORBIDDEN]
    assert {path for _, path, login in index.requests if login} == {
        "/simple/",
        "/simple/acme/",
        "/packages/acme-1.0.tar.gz",
    }


def test_index_without_encryption() -> None:
    """With pypi_tls: none, the steps are the same."""
    index = Index(None)
    result = index.run(None)
    assert (result.success, result.certificate_expiry) == (True, None)
    assert result.steps["download"]
    index.server.shutdown()


@pytest.mark.parametrize("projects", [[], ["wheelhouse-verify-abc"]])
def test_empty_index(index: Index, pem: Path, projects: list[str]) -> None:
    """Without a file, the step has no result; that is no fault of its own."""
    index.projects = projects
    result = index.run(pem)
    assert result.success
    assert "download" not in result.steps


def test_large_files_are_not_downloaded(index: Index, pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run has a limited cost."""
    monkeypatch.setattr(canary, "MAX_FILE", 5)
    result = index.run(pem)
    assert result.success
    assert "download" not in result.steps


@pytest.mark.parametrize("content", [CONTENT + b"x", CONTENT[:-1], b"Content of a file", b""])
def test_damaged_file_is_a_fault(index: Index, pem: Path, content: bytes) -> None:
    """The size and the digest must be those of the page."""
    index.content = content
    result = index.run(pem)
    assert result.steps == {"connect": True, "list": True, "download": False, "forbidden": True}
    assert not result.success


def test_missing_file_is_a_fault(index: Index, pem: Path) -> None:
    """A file on a page must exist, after a second attempt."""
    index.files[0]["url"] = "../../packages/other-1.0.tar.gz"
    result = index.run(pem)
    assert not result.steps["download"]
    assert "expected 200, got 404" in " ".join(result.reports)
    assert len([path for _, path, _ in index.requests if "other" in path]) == 2


def test_removed_project_is_tried_again(index: Index, pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project may be removed between two requests."""
    answers = iter([None])
    real = index.answer

    def answer(method: str, path: str, login: str | None) -> bytes | None:
        return next(answers, real(method, path, login)) if path == "/simple/acme/" else real(method, path, login)

    monkeypatch.setattr(index, "answer", answer)
    assert index.run(pem).success


def test_allowed_anonymous_request_is_a_fault(index: Index, pem: Path) -> None:
    """A request without a login must be rejected."""
    index.anonymous = True
    result = index.run(pem)
    assert (result.success, result.steps["forbidden"]) == (False, False)
    assert "POST / without a login: expected 401 or 403, got 200" in " ".join(result.reports)


@pytest.mark.parametrize("page", [{}, [], {"projects": [{}]}, {"projects": 7}, None])
def test_invalid_page_is_a_fault(index: Index, pem: Path, monkeypatch: pytest.MonkeyPatch, page: object) -> None:
    """An invalid page is a fault, not an error of the program."""
    monkeypatch.setattr(Index, "answer", lambda *_: json.dumps(page).encode())
    assert not index.run(pem).steps["list"]


def test_large_page_is_a_fault(index: Index, pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is limited."""
    monkeypatch.setattr(canary, "MAX_PAGE", 10)
    assert not index.run(pem).steps["list"]


def test_slow_response_is_a_fault(index: Index, pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run has a deadline, so that it has a result."""
    monkeypatch.setattr(canary, "MAX_DURATION", -1)
    result = index.run(pem)
    assert "takes longer than" in " ".join(result.reports)


@pytest.mark.parametrize(("name", "days"), [("other.example.com", 30), (NAME, -1)])
def test_invalid_certificate_is_a_fault(tmp_path: Path, name: str, days: int) -> None:
    """A certificate for another name, or an expired one; no password is sent."""
    pem = certificate(tmp_path, name, days)
    index = Index(pem)
    result = index.run(pem)
    assert result.steps == {"connect": False}
    assert "certificate verify failed" in result.reports[0]
    assert index.requests == []
    index.server.shutdown()


def test_untrusted_certificate_is_a_fault(index: Index, tmp_path: Path) -> None:
    """Only the given authority is trusted."""
    (tmp_path / "other").mkdir()
    assert index.run(certificate(tmp_path / "other", NAME)).steps == {"connect": False}


def test_no_server_is_a_fault(index: Index, pem: Path) -> None:
    """A refused connection is a result."""
    index.server.shutdown()
    index.server.server_close()
    result = index.run(pem)
    assert result.steps == {"connect": False}
    assert "ConnectionRefusedError" in result.reports[0]


def test_reports_have_no_password(index: Index, pem: Path) -> None:
    """The journal has neither the password nor its encoded form."""
    index.content = b""
    for login in (LOGIN, (LOGIN[0], "")):
        text = " ".join(index.run(pem).reports)
        assert login[1] not in text or not login[1]
        assert "Basic" not in text


def test_status_keeps_the_known_expiry(tmp_path: Path) -> None:
    """Without a connection, the expiry of the certificate that was received last is still known."""
    path = tmp_path / "canary.json"
    canary.write_result(path, Result(steps={"connect": True}, certificate_expiry=5.0), 0.1)
    canary.write_result(path, Result(steps={"connect": False}), 0.1)
    found = json.loads(path.read_text())
    assert (found["success"], found["certificate_expiry"]) == (False, 5.0)
    path.write_text("{")
    canary.write_result(path, Result(steps={"connect": False}), 0.1)
    assert json.loads(path.read_text())["certificate_expiry"] is None


def test_program_reads_credentials(
    index: Index, pem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The program reads login and authority in the directory of its unit, and writes the result."""
    (tmp_path / "login").write_text(json.dumps({"user": LOGIN[0], "password": LOGIN[1]}))
    (tmp_path / "ca.crt").write_bytes(pem.read_bytes())
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))

    class Given:
        canary = CanarySettings(NAME, index.server.server_address[1], True, private_ca=True, forbidden=FORBIDDEN)
        canary_file = tmp_path / "canary.json"

    from wheelhouse_monitoring.canary import run

    assert run(Given()) == 0
    assert capsys.readouterr().out.startswith("canary: no fault: connect: certificate is valid; list: 1 projects; ")
    assert json.loads(Given.canary_file.read_text())["success"] is True
    assert Given.canary_file.stat().st_mode & 0o777 == 0o600
    index.anonymous = True
    assert run(Given()) == 1
    assert capsys.readouterr().err.startswith("canary: FAULT: ")
