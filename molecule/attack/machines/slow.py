"""Send upload bodies slowly, on many connections or HTTP/2 streams, and record how and when the server ends each.

Runs on a client container with the standard library only. Usage: slow.py PLAN, a JSON file: url, user, password,
protocol ("http/1.1" or "h2"), connections, streams (on each), chunk (bytes), interval (seconds between chunks), seconds
(the bodies end after this time), length (Content-Length), first (bytes of content that are sent at once), filename (*
is replaced). Prints JSON: a list of {status, seconds, sent}; status is null while the server is still waiting, and
"closed" if it closed the connection without a response.
"""

import json
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import http2
from connection import FORM, basic, connect, form_start, is_stopped, read_plan, received, request, status_in


def has_ended(plan, begin):
    """Return whether the time is over or the stop file exists."""
    return time.monotonic() - begin > plan["seconds"] or is_stopped(plan)


def over_http1(plan, number, outcomes):
    """Send one body on a connection of its own."""
    begin, sent, status = time.monotonic(), 0, None
    try:
        connection = connect(plan["url"])
        headers = [("Authorization", basic(plan["user"], plan["password"])), ("Content-Type", FORM)]
        headers.append(("Content-Length", str(plan["length"])))
        start = form_start(plan["filename"].replace("*", str(number))) + bytes(plan["first"])
        connection.sendall(request(plan["url"], "POST", "/", headers) + start)
        sent, begin = len(start), time.monotonic()
        content = b""
        while status is None and not has_ended(plan, begin):
            due = time.monotonic() + plan["interval"]
            while (left := due - time.monotonic()) > 0 and status is None:
                chunk = received(connection, left)
                content += chunk or b""
                status = status_in(content) or ("closed" if chunk == b"" else None)
            if status is None:
                connection.sendall(bytes(plan["chunk"]))
                sent += plan["chunk"]
    except OSError:
        status = status or "closed"
    outcomes.append({"status": status, "seconds": time.monotonic() - begin, "sent": sent})


def over_http2(plan, number, outcomes):
    """Send several bodies on one connection."""
    connection = connect(plan["url"], "h2", seconds=None)
    assert connection.selected_alpn_protocol() == "h2", "the server does not offer HTTP/2"
    client = http2.Connection(connection)
    streams = [2 * index + 1 for index in range(plan["streams"])]
    begin, sent = time.monotonic(), 0
    try:
        for stream in streams:
            start = form_start(plan["filename"].replace("*", f"{number}x{stream}")) + bytes(plan["first"])
            fields = [
                (":method", "POST"),
                (":scheme", "https"),
                (":path", "/"),
                (":authority", urlsplit(plan["url"]).netloc),
            ]
            fields += [("authorization", basic(plan["user"], plan["password"])), ("content-type", FORM)]
            client.start(stream, [*fields, ("content-length", str(plan["length"]))])
            client.data(stream, start)
        while not has_ended(plan, begin) and client.open and not client.closed:
            due = time.monotonic() + plan["interval"]
            while (left := due - time.monotonic()) > 0 and client.open and not client.closed:
                client.receive(left)
            for stream in list(client.open):
                client.data(stream, bytes(plan["chunk"]))
            sent += plan["chunk"]
    except OSError:
        pass
    for stream in streams:
        end = client.ended.get(stream, client.closed)
        status = client.statuses.get(stream, "closed" if end else None)
        outcomes.append({"status": status, "seconds": (end or time.monotonic()) - begin, "sent": sent})


def main():
    """Send all bodies."""
    plan, outcomes = read_plan(), []
    send = over_http2 if plan["protocol"] == "h2" else over_http1
    threads = [threading.Thread(target=send, args=(plan, number, outcomes)) for number in range(plan["connections"])]
    for thread in threads:
        thread.start()
    Path(plan["ready"]).touch()
    for thread in threads:
        thread.join()
    print(json.dumps(outcomes))


main()
