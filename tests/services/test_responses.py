"""The module that checks the index's responses at the end of a run, with a server on this machine."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from support import load

module = load("roles/services/library/pypi_responses.py")


class Server(ThreadingHTTPServer):
    """A server with configured responses. received: its requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.responses: dict[str, list[int]] = {}
        self.received: list[tuple[str, str, str, bool]] = []


class Handler(BaseHTTPRequestHandler):
    """Responds with the next status for a path; the last one is repeated."""

    server: Server

    def do_GET(self) -> None:
        host, login = self.headers["Host"], "Authorization" in self.headers
        self.server.received.append((self.command, self.path, host, login))
        remaining = self.server.responses[self.path]
        self.send_response(remaining.pop(0) if len(remaining) > 1 else remaining[0])
        self.end_headers()
        self.wfile.write(b"The reason\n")

    do_POST = do_GET  # noqa: N815  (the name is that of the method)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a running server."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(port: int, capsys: pytest.CaptureFixture, *requests: dict, **options: Any) -> dict:
    """Run the module as Ansible does. Returns its result."""
    arguments = {"scheme": "http", "port": port, "host": "pypi.example.com", "timeout": 0, "requests": list(requests)}
    with patch_module_args(arguments | options), pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out)


def test_accepts_expected_responses(server: Server, capsys: pytest.CaptureFixture) -> None:
    """Each request contains the server name, and a login if required."""
    server.responses = {"/-/health": [200], "/": [401]}
    requests = [
        {"path": "/-/health", "status": [200]},
        {"path": "/", "method": "POST", "wrong_password": True, "status": [401, 403]},
    ]
    result = run(server.server_port, capsys, *requests)
    assert not result["changed"]
    assert not result.get("failed")
    assert server.received == [
        ("GET", "/-/health", "pypi.example.com", False),
        ("POST", "/", "pypi.example.com", True),
    ]


def test_reports_unexpected_responses(server: Server, capsys: pytest.CaptureFixture) -> None:
    """The message contains every unexpected response with its body, and the command for more details."""
    server.responses = {"/-/health": [503], "/simple/": [200], "/fine": [200]}
    requests = [{"path": path, "status": [200]} for path in ("/-/health", "/fine")]
    result = run(server.server_port, capsys, *requests, {"path": "/simple/", "status": [401, 403]})
    assert result["failed"]
    assert result["msg"].splitlines()[1:3] == [
        "GET /-/health: expected 200, got 503: The reason",
        "GET /simple/: expected 401 or 403, got 200: The reason",
    ]
    assert "journalctl" in result["msg"].splitlines()[3]


def test_repeats_failed_requests(
    server: Server, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New processes start after a reload is reported. Only requests with unexpected responses are repeated."""
    monkeypatch.setattr(module, "SECONDS_BETWEEN", 0)
    server.responses = {"/simple/": [200, 200, 401], "/-/health": [200]}
    requests = [{"path": "/simple/", "status": [401]}, {"path": "/-/health", "status": [200]}]
    assert not run(server.server_port, capsys, *requests, timeout=60).get("failed")
    assert [path for _, path, _, _ in server.received] == ["/simple/", "/-/health", "/simple/", "/simple/"]


def test_reports_refused_connection(capsys: pytest.CaptureFixture) -> None:
    """A refused connection is an unexpected response, not a traceback."""
    with Server() as stopped:
        port = stopped.server_port
    result = run(port, capsys, {"path": "/", "status": [200]})
    assert result["msg"].splitlines()[1].startswith("GET /: expected 200, got no response: ")


def test_reports_server_without_tls(server: Server, capsys: pytest.CaptureFixture) -> None:
    """A server without TLS is an unexpected response."""
    server.responses = {"/": [200]}
    result = run(server.server_port, capsys, {"path": "/", "status": [200]}, scheme="https")
    assert "got no response" in result["msg"].splitlines()[1]
