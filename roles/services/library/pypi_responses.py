#!/usr/bin/python
"""Ansible module: check the responses of a web server on the host itself."""

import base64
import http.client
import secrets
import ssl
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: pypi_responses
short_description: Check the responses of a web server on the host itself
description:
  - Sends requests to 127.0.0.1 and compares the status codes of the responses with the expected ones. Repeats requests
    with other responses until the timeout, because a reload takes effect a moment after it is reported.
  - Does not verify the certificate, which is not valid for 127.0.0.1.
options:
  scheme: {type: str, required: true, choices: [http, https], description: The scheme of the URL.}
  port: {type: int, required: true, description: The TCP port.}
  host: {type: str, required: true, description: The server name, sent in the Host header and for TLS (SNI).}
  timeout: {type: int, default: 60, description: Seconds for which requests are repeated.}
  requests:
    description: The requests.
    type: list
    elements: dict
    required: true
    suboptions:
      path: {type: str, required: true, description: The path of the URL.}
      method: {type: str, default: GET, description: The method.}
      wrong_password:
        type: bool
        default: false
        description: Whether to send a login that does not exist.
      status: {type: list, elements: int, required: true, description: The expected status codes.}
"""

REQUEST = {
    "path": {"type": "str", "required": True},
    "method": {"type": "str", "default": "GET"},
    "wrong_password": {"type": "bool", "default": False},
    "status": {"type": "list", "elements": "int", "required": True},
}
SECONDS_BETWEEN = 1
# Maximum number of characters of an unexpected response in the message.
EXCERPT = 300
HINT = "To find the reason, run on the host: journalctl --unit pypi-application, Apache's error log, wheelhouse check"


class ServerConnection(http.client.HTTPSConnection):
    """A TLS connection to 127.0.0.1 with a server name (SNI), without verification of the certificate."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self._server_name = host
        super().__init__("127.0.0.1", port, timeout=timeout, context=self._tls)

    def connect(self) -> None:
        """Connect and start TLS."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)


def respond(scheme: str, port: int, host: str, request: dict[str, Any]) -> tuple[int, str]:
    """Send a request. Return the status code and the body. Raises OSError or http.client.HTTPException."""
    headers = {"Host": host, "Connection": "close"}
    if request["wrong_password"]:
        login = f"{secrets.token_hex(8)}:{secrets.token_hex(8)}"
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    connection: http.client.HTTPConnection
    if scheme == "https":
        connection = ServerConnection(host, port, timeout=30)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(request["method"], request["path"], headers=headers)
        response = connection.getresponse()
        return response.status, response.read(EXCERPT).decode(errors="replace")
    finally:
        connection.close()


def problem(scheme: str, port: int, host: str, request: dict[str, Any]) -> str:
    """Send a request. Return a sentence about an unexpected response; empty if it is as expected."""
    login = " with a wrong password" if request["wrong_password"] else ""
    asked = f"{request['method']} {request['path']}{login}: expected {' or '.join(map(str, request['status']))}"
    try:
        status, body = respond(scheme, port, host, request)
    except (OSError, http.client.HTTPException) as error:
        return f"{asked}, got no response: {error}"
    return "" if status in request["status"] else f"{asked}, got {status}: {' '.join(body.split())}"


def main() -> None:
    """Send all requests, and repeat those with unexpected responses until the timeout."""
    module = AnsibleModule(
        argument_spec={
            "scheme": {"type": "str", "required": True, "choices": ["http", "https"]},
            "port": {"type": "int", "required": True},
            "host": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
            "requests": {"type": "list", "elements": "dict", "required": True, "options": REQUEST},
        },
        supports_check_mode=True,
    )
    scheme, port, host = (module.params[name] for name in ("scheme", "port", "host"))
    left, problems = module.params["requests"], []
    end = time.monotonic() + module.params["timeout"]
    while left:
        found = [(request, problem(scheme, port, host, request)) for request in left]
        left = [request for request, reason in found if reason]
        problems = [reason for _, reason in found if reason]
        if not left or time.monotonic() >= end:
            break
        time.sleep(SECONDS_BETWEEN)
    if problems:
        heading = f"Unexpected responses of the index for {module.params['timeout']} seconds:"
        module.fail_json(msg="\n".join([heading, *problems, HINT]))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
