"""HTTP requests that a client machine makes with curl."""

import re
import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """An HTTP response; its headers' names are in small letters."""

    status: int
    headers: dict[str, str]
    body: str


def curl(machine, *arguments: str) -> Answer:
    """Make a request from a machine; whatever curl understands may be said of it."""
    # HTTP/1.1: what a request broken off in the middle gets is easier to tell there.
    command = ["curl", "--http1.1", "--silent", "--show-error", "--include", "--max-time", "30", *arguments]
    result = machine.run(shlex.join(command))
    # Apache may answer before an upload is complete, and then closes the line:
    # curl's 55 (sending failed) and 56 (receiving failed).
    assert result.rc in (0, 55, 56), f"{result.rc}: {result.stderr}"
    output = result.stdout_bytes.decode(errors="replace")
    # An interim response (100) comes before the one that counts.
    text = re.sub(r"\AHTTP/[0-9.]+ 1.*?\r?\n\r?\n", "", output, flags=re.DOTALL).replace("\r\n", "\n")
    assert text.startswith("HTTP/"), f"no answer: {output!r} {result.stderr}"
    head, _, body = text.partition("\n\n")
    status, *headers = head.splitlines()
    fields: dict[str, list[str]] = {}
    for line in headers:
        name, _, value = line.partition(":")
        fields.setdefault(name.lower(), []).extend(filter(None, [value.strip()]))
    # What comes in several lines is one list, and its empty elements do not
    # count (RFC 9110, sections 5.3 and 5.6.1).
    return Answer(int(status.split()[1]), {name: ", ".join(values) for name, values in fields.items()}, body)
