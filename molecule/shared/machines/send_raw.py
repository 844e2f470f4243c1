"""Send raw bytes to an HTTP server, on many connections at once.

Runs on a client container with only the standard library. Usage: send_raw.py FILE. The file is gzipped JSON (see
shared/raw_http.py); the responses go to standard output in the same format.
"""

import base64
import gzip
import json
import re
import socket
import ssl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

SECONDS = 40


def connect(url):
    """Open a connection to the host and port of a URL, with TLS for https."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = socket.create_connection((parts.hostname, port), timeout=SECONDS)
    if parts.scheme == "https":
        return ssl.create_default_context().wrap_socket(connection, server_hostname=parts.hostname)
    return connection


def send(connection, request, ready):
    """Send the pieces of a request with its pauses. ready: called before the last one is sent."""
    *pieces, last = map(base64.b64decode, request["pieces"])
    for piece in pieces:
        connection.sendall(piece)
        time.sleep(request["pause"])
    ready()
    connection.sendall(last)


def receive(connection):
    """Return all bytes until the server closes the connection."""
    received = b""
    while True:
        try:
            chunk = connection.recv(65536)
        except OSError:
            return received
        if not chunk:
            return received
        received += chunk


def parse_responses(received):
    """Return the responses in the received bytes: several if the server interpreted a part as a second request."""
    found = []
    for text in re.split(r"(?=^HTTP/1\.[01] )", received.decode(errors="replace"), flags=re.MULTILINE):
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        status = re.match(r"HTTP/1\.[01] (\d+)", head)
        if status and status[1] != "100":
            headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
            found.append({"status": int(status[1]), "headers": headers, "body": body, "head": head})
    return found


def exchange(url, request, ready):
    """Send one request. Returns the responses in order; none if the server closed the connection without any."""
    received = b""
    connection = connect(url)
    # The server may respond before it has read everything, and close.
    with suppress(OSError):
        send(connection, request, ready)
    try:
        if request["end"] == "half":
            # Shut down the TCP connection only: a TLS shutdown would close the receiving side as well.
            socket.socket.shutdown(connection, socket.SHUT_WR)
        if request["end"] != "cut":
            received = receive(connection)
    except OSError:
        pass
    finally:
        connection.close()
    return parse_responses(received)


def main(path):
    """Send all requests in a file."""
    with gzip.open(path) as file:
        plan = json.load(file)
    requests, url = plan["requests"], plan["url"]
    barrier = threading.Barrier(len(requests)) if plan["simultaneous"] else None
    concurrency = len(requests) if plan["simultaneous"] else plan["concurrency"]
    with ThreadPoolExecutor(concurrency) as pool:
        ready = barrier.wait if barrier else lambda: None
        responses = list(pool.map(lambda request: exchange(url, request, ready), requests))
    sys.stdout.write(base64.b64encode(gzip.compress(json.dumps(responses).encode())).decode())


main(sys.argv[1])
