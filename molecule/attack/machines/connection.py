"""Connections to an HTTP server without an HTTP library: attacks send what a library would reject.

Runs on a client container with the standard library only. The other programs in this directory import it.
"""

import base64
import json
import select
import socket
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

BOUNDARY = "5f3c8d0e"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def connect(url, protocol="http/1.1", seconds=40):
    """Open a TLS connection to the host and port of a URL. protocol: the ALPN name; seconds: timeout of each call."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port or 443), timeout=seconds)
    context = ssl.create_default_context()
    context.set_alpn_protocols([protocol])
    return context.wrap_socket(connection, server_hostname=parts.hostname)


def basic(user, password):
    """Return the value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def request(url, method, path, headers):
    """Encode the head of a request. headers: (name, value) pairs."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", *map(": ".join, headers), "", ""]
    return "\r\n".join(lines).encode()


def form_start(filename):
    """Encode the start of an upload form, up to the file's content."""
    fields = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name=":action"\r\n\r\nfile_upload\r\n--{BOUNDARY}\r\n'
    return (
        f'{fields}Content-Disposition: form-data; name="content"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()


def form(filename, content):
    """Encode a complete upload form."""
    return form_start(filename) + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def received(connection, seconds):
    """Wait for bytes and return them; b"" if the connection is closed, None after a timeout."""
    until = time.monotonic() + seconds
    # TLS may buffer bytes that select() does not see, and select() may report bytes that contain no data.
    while not connection.pending():
        left = until - time.monotonic()
        if left <= 0 or not select.select([connection], [], [], left)[0]:
            return None
        timeout = connection.gettimeout()
        connection.settimeout(0)
        try:
            return connection.recv(65536)
        except ssl.SSLWantReadError:
            continue
        finally:
            connection.settimeout(timeout)
    return connection.recv(65536)


def status_in(content):
    """Return the status of the first final response in the received bytes; None if there is none yet."""
    for line in content.split(b"\r\n"):
        if line.startswith(b"HTTP/1.1 ") and not line.startswith(b"HTTP/1.1 1"):
            return int(line.split()[1])
    return None


def read_response(connection):
    """Read one response. Return (status, headers, body); status is None if the connection is closed before."""
    content = b""
    while b"\r\n\r\n" not in content:
        chunk = connection.recv(65536)
        if not chunk:
            return None, {}, b""
        content += chunk
    head, _, body = content.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    status = int(status_line.split()[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if status == 100:
        return read_response(connection)
    length = headers.get("content-length")
    while length is None or len(body) < int(length):
        chunk = connection.recv(65536)
        if not chunk:
            break
        body += chunk
    return status, headers, body


def read_plan():
    """Return the plan in the JSON file given as the first argument."""
    return json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))


def is_stopped(plan):
    """Return whether the test has stopped this program by creating its stop file."""
    return Path(plan["stop"]).exists()


def percentile(values, share):
    """Return the value that this share of the values does not exceed; 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0
