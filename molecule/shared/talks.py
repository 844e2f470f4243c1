"""Requests byte by byte, as no client would send them, and many at once."""

import base64
import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shared.http import Answer
from shared.uploads import TYPE

PROGRAM = Path(__file__).parent / "machines" / "talk.py"


@dataclass(frozen=True)
class Talk:
    """What a client says on a connection of its own.

    pause: seconds after each piece but the last; end: what the client does then: "wait" for the answer, "half" (say
    that nothing more will come, and wait), or "cut" (go away).
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
    kind: str | None = TYPE,
    length: int | str | None = -1,
) -> bytes:
    """Make a request. kind: its Content-Type's line; length: what its Content-Length says, None for none."""
    lines = [line, f"Host: {host}", "Connection: close"]
    if login:
        lines.append("Authorization: Basic " + base64.b64encode(":".join(login).encode()).decode())
    if kind:
        lines.append(kind)
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length == -1 else length}")
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def written(talk: Talk) -> dict:
    """A talk as JSON can have it."""
    pieces = [base64.b64encode(piece).decode() for piece in talk.pieces]
    return {"pieces": pieces, "pause": talk.pause, "end": talk.end}


def have(machine, put, url: str, talks: Iterable[Talk], *, together: bool = False, at_once: int = 4):
    """Have talks with a server, from a machine. Returns each one's answers, oldest first: a list of Answer.

    together: all at once, and nobody says the last piece before all have said the others.
    """
    told = {
        "url": url,
        "together": together,
        "at_once": at_once,
        "talks": [
            {
                "pieces": [base64.b64encode(piece).decode() for piece in talk.pieces],
                "pause": talk.pause,
                "end": talk.end,
            }
            for talk in talks
        ],
    }
    program = put(machine, "/root/talk.py", PROGRAM.read_bytes())
    file = put(machine, "/root/talks.json.gz", gzip.compress(json.dumps(told).encode()))
    output = machine.check_output("python3 %s %s", program, file)
    answers = json.loads(gzip.decompress(base64.b64decode(output)))
    return [[Answer(one["status"], one["headers"], one["body"]) for one in talk] for talk in answers]
