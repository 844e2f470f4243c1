"""Say things to an HTTP server that no library would say, on many connections at once.

Runs on a client machine, with Python alone. Usage: talk.py FILE. The file is gzipped JSON, see shared/talks.py, and so
are the answers, which go to standard output.
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
    """A connection to a server: its host, port and encryption are those of a URL."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = socket.create_connection((parts.hostname, port), timeout=SECONDS)
    if parts.scheme == "https":
        return ssl.create_default_context().wrap_socket(connection, server_hostname=parts.hostname)
    return connection


def say(connection, talk, ready):
    """Send the pieces of a talk, with its pauses. ready: is waited for before the last one."""
    *pieces, last = map(base64.b64decode, talk["pieces"])
    for piece in pieces:
        connection.sendall(piece)
        time.sleep(talk["pause"])
    ready()
    connection.sendall(last)


def hear(connection):
    """All that comes until the server is done."""
    heard = b""
    while True:
        try:
            chunk = connection.recv(65536)
        except OSError:
            return heard
        if not chunk:
            return heard
        heard += chunk


def answers_in(heard):
    """The answers in what came: there is more than one where the server took something for a second request."""
    found = []
    for text in re.split(r"(?=^HTTP/1\.[01] )", heard.decode(errors="replace"), flags=re.MULTILINE):
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        status = re.match(r"HTTP/1\.[01] (\d+)", head)
        if status and status[1] != "100":
            headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
            found.append({"status": int(status[1]), "headers": headers, "body": body, "head": head})
    return found


def exchange(url, talk, ready):
    """Have one talk. Returns the answers, oldest first; none where the server just went away."""
    heard = b""
    connection = connect(url)
    # It may answer before it has heard all, and close.
    with suppress(OSError):
        say(connection, talk, ready)
    try:
        if talk["end"] == "half":
            # The line's own: that of TLS would make it deaf as well.
            socket.socket.shutdown(connection, socket.SHUT_WR)
        if talk["end"] != "cut":
            heard = hear(connection)
    except OSError:
        pass
    finally:
        connection.close()
    return answers_in(heard)


def main(path):
    """Have all talks in a file."""
    with gzip.open(path) as file:
        told = json.load(file)
    talks, url = told["talks"], told["url"]
    barrier = threading.Barrier(len(talks)) if told["together"] else None
    at_once = len(talks) if told["together"] else told["at_once"]
    with ThreadPoolExecutor(at_once) as pool:
        ready = barrier.wait if barrier else lambda: None
        answers = list(pool.map(lambda talk: exchange(url, talk, ready), talks))
    sys.stdout.write(base64.b64encode(gzip.compress(json.dumps(answers).encode())).decode())


main(sys.argv[1])
