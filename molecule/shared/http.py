"""HTTP requests made with curl on a client container."""

import re
import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class Response:
    """An HTTP response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: str


def curl(machine, *arguments: str) -> Response:
    """Make a request from a host; `arguments` are passed to curl."""
    # HTTP/1.1 makes the result of an aborted request easier to interpret.
    command = ["curl", "--http1.1", "--silent", "--show-error", "--include", "--max-time", "30", *arguments]
    result = machine.run(shlex.join(command))
    # Apache may respond before an upload is complete and then close the connection:
    # curl's 55 (sending failed) and 56 (receiving failed).
    assert result.rc in (0, 55, 56), f"{result.rc}: {result.stderr}"
    output = result.stdout_bytes.decode(errors="replace")
    # Skip an interim response (100).
    text = re.sub(r"\AHTTP/[0-9.]+ 1.*?\r?\n\r?\n", "", output, flags=re.DOTALL).replace("\r\n", "\n")
    assert text.startswith("HTTP/"), f"no response: {output!r} {result.stderr}"
    head, _, body = text.partition("\n\n")
    status, *headers = head.splitlines()
    fields: dict[str, list[str]] = {}
    for line in headers:
        name, _, value = line.partition(":")
        fields.setdefault(name.lower(), []).extend(filter(None, [value.strip()]))
    # Repeated headers form one list, whose empty elements are ignored
    # (RFC 9110, sections 5.3 and 5.6.1).
    return Response(int(status.split()[1]), {name: ", ".join(values) for name, values in fields.items()}, body)
