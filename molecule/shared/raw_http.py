"""Raw HTTP requests over sockets, optionally concurrent."""

import base64
import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shared.http import Response
from shared.uploads import TYPE

PROGRAM = Path(__file__).parent / "machines" / "send_raw.py"


@dataclass(frozen=True)
class RawRequest:
    """The bytes that a client sends on a connection of its own.

    pause: seconds after each piece except the last; end: what the client does after the last one: "wait" for the
    response, "half" (close the sending side, and wait), or "cut" (close the connection).
    """

    pieces: tuple[bytes, ...]
    pause: float = 0
    end: str = "wait"


def request(
    body: bytes = b"",
    *headers: str,
    login: tuple[str, str] | None = None,
    line: str = "POST / HTTP/1.1",
    host: str = "index.test",
    content_type: str | None = TYPE,
    length: int | str | None = -1,
) -> bytes:
    """Encode a request. content_type: a complete header line; length: the Content-Length, None for no such header."""
    lines = [line, f"Host: {host}", "Connection: close"]
    if login:
        lines.append("Authorization: Basic " + base64.b64encode(":".join(login).encode()).decode())
    if content_type:
        lines.append(content_type)
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length == -1 else length}")
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def send_all(
    machine, put, url: str, requests: Iterable[RawRequest], *, simultaneous: bool = False, concurrency: int = 4
):
    """Send raw requests to a server from a host. Returns the responses to each one in order: a list of Response.

    simultaneous: open all connections at once, and send no last piece before all others are sent.
    """
    plan = {
        "url": url,
        "simultaneous": simultaneous,
        "concurrency": concurrency,
        "requests": [
            {
                "pieces": [base64.b64encode(piece).decode() for piece in request.pieces],
                "pause": request.pause,
                "end": request.end,
            }
            for request in requests
        ],
    }
    program = put(machine, "/root/send_raw.py", PROGRAM.read_bytes())
    file = put(machine, "/root/requests.json.gz", gzip.compress(json.dumps(plan).encode()))
    output = machine.check_output("python3 %s %s", program, file)
    responses = json.loads(gzip.decompress(base64.b64decode(output)))
    return [[Response(one["status"], one["headers"], one["body"]) for one in connection] for connection in responses]
