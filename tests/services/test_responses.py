"""The module that checks how the index responds at the end of a run, against a server of this machine."""

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
    """A server that gives the answers it was told. seen: the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, list[int]] = {}
        self.seen: list[tuple[str, str, str, bool]] = []


class Handler(BaseHTTPRequestHandler):
    """Answers with the next status code for a path; the last one stays."""

    server: Server

    def do_GET(self) -> None:
        host, login = self.headers["Host"], "Authorization" in self.headers
        self.server.seen.append((self.command, self.path, host, login))
        left = self.server.answers[self.path]
        self.send_response(left.pop(0) if len(left) > 1 else left[0])
        self.end_headers()
        self.wfile.write(b"The reason\n")

    do_POST = do_GET  # noqa: N815  (the name is that of the method)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A running server."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(port: int, capsys: pytest.CaptureFixture, *requests: dict, **how: Any) -> dict:
    """Run the module as Ansible does. Returns its result."""
    arguments = {"scheme": "http", "port": port, "host": "pypi.example.com", "timeout": 0, "requests": list(requests)}
    with patch_module_args(arguments | how), pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out)


def test_as_expected(server: Server, capsys: pytest.CaptureFixture) -> None:
    """Each request names the server, and has the login that it should have."""
    server.answers = {"/-/health": [200], "/": [401]}
    requests = [
        {"path": "/-/health", "status": [200]},
        {"path": "/", "method": "POST", "wrong_password": True, "status": [401, 403]},
    ]
    result = run(server.server_port, capsys, *requests)
    assert not result["changed"]
    assert not result.get("failed")
    assert server.seen == [
        ("GET", "/-/health", "pypi.example.com", False),
        ("POST", "/", "pypi.example.com", True),
    ]


def test_otherwise(server: Server, capsys: pytest.CaptureFixture) -> None:
    """The message has every response that differs, with its reason, and where to look for more."""
    server.answers = {"/-/health": [503], "/simple/": [200], "/fine": [200]}
    requests = [{"path": path, "status": [200]} for path in ("/-/health", "/fine")]
    result = run(server.server_port, capsys, *requests, {"path": "/simple/", "status": [401, 403]})
    assert result["failed"]
    assert result["msg"].splitlines()[1:3] == [
        "GET /-/health: expected 200, got 503: The reason",
        "GET /simple/: expected 401 or 403, got 200: The reason",
    ]
    assert "journalctl" in result["msg"].splitlines()[3]


def test_takes_effect_later(server: Server, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload is reported before the new processes answer. Only what was not as expected is sent again."""
    monkeypatch.setattr(module, "SECONDS_BETWEEN", 0)
    server.answers = {"/simple/": [200, 200, 401], "/-/health": [200]}
    requests = [{"path": "/simple/", "status": [401]}, {"path": "/-/health", "status": [200]}]
    assert not run(server.server_port, capsys, *requests, timeout=60).get("failed")
    assert [path for _, path, _, _ in server.seen] == ["/simple/", "/-/health", "/simple/", "/simple/"]


def test_nobody_listens(capsys: pytest.CaptureFixture) -> None:
    """That is a response that differs, and not a traceback."""
    with Server() as stopped:
        port = stopped.server_port
    result = run(port, capsys, {"path": "/", "status": [200]})
    assert result["msg"].splitlines()[1].startswith("GET /: expected 200, got no response: ")


def test_no_tls(server: Server, capsys: pytest.CaptureFixture) -> None:
    """A server that does not speak TLS is found out."""
    server.answers = {"/": [200]}
    result = run(server.server_port, capsys, {"path": "/", "status": [200]}, scheme="https")
    assert "got no response" in result["msg"].splitlines()[1]
