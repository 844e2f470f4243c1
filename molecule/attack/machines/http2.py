"""A minimal HTTP/2 client (RFC 9113): many concurrent request bodies on one connection, each at its own rate.

Runs on a client container with the standard library only. The header table size is 0, so of HPACK (RFC 7541) only the
literal fields and the static status codes are needed. Flow control is not implemented: bodies must stay small.
"""

import struct
import time

from connection import received

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
# HEADER_TABLE_SIZE 0, ENABLE_PUSH 0.
OUR_SETTINGS = struct.pack(">HIHI", 1, 0, 2, 0)
STATIC_STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
# The Huffman codes of the digits (RFC 7541, appendix B).
DIGITS = {"00000": "0", "00001": "1", "00010": "2"} | {f"{25 + n:06b}": str(3 + n) for n in range(7)}


def integer(value, prefix_bits, pattern=0):
    """Encode an HPACK integer."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes([pattern | value])
    encoded, value = bytearray([pattern | limit]), value - limit
    while value >= 128:
        encoded.append(value % 128 + 128)
        value //= 128
    return bytes([*encoded, value])


def header_block(headers):
    """Encode header fields as literals without indexing and without Huffman codes."""
    block = b""
    for name, value in headers:
        for text in (name.encode(), value.encode()):
            block += (b"\0" if text == name.encode() else b"") + integer(len(text), 7) + text
    return block


def status_of(block):
    """Return the status in a response's header block: its first field."""
    at = 0
    while block[at] & 0xE0 == 0x20:  # a table size update; ours is 0, so it has one byte
        at += 1
    if block[at] & 0x80:
        return STATIC_STATUS.get(block[at] & 0x7F, 0)
    length = block[at + 1] & 0x7F
    text = block[at + 2 : at + 2 + length]
    if not block[at + 1] & 0x80:
        return int(text)
    bits, digits = "".join(f"{byte:08b}" for byte in text), ""
    while len(digits) < 3:
        code = next(code for code in DIGITS if bits.startswith(code))
        digits, bits = digits + DIGITS[code], bits[len(code) :]
    return int(digits)


class Connection:
    """One connection. statuses: {stream: status}; ended: {stream: monotonic time of its end}."""

    def __init__(self, connection):
        self._connection = connection
        self._received = b""
        self.statuses, self.ended, self.open = {}, {}, set()
        self.closed = None
        connection.sendall(PREFACE)
        self._send(SETTINGS, 0, 0, OUR_SETTINGS)

    def start(self, stream, headers):
        """Send a request's header fields. The body follows."""
        self.open.add(stream)
        self._send(HEADERS, END_HEADERS, stream, header_block(headers))

    def data(self, stream, content, last=False):
        """Send a piece of a request's body."""
        self._send(DATA, END_STREAM if last else 0, stream, content)

    def _send(self, kind, flags, stream, payload):
        head = struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream)
        self._connection.sendall(head + payload)

    def receive(self, seconds):
        """Handle what the server sends, for at most the given number of seconds."""
        try:
            chunk = received(self._connection, seconds)
        except OSError:
            chunk = b""
        if chunk == b"":
            self.closed = time.monotonic()
        self._received += chunk or b""
        while len(self._received) >= 9:
            size = 9 + int.from_bytes(self._received[:3], "big")
            if len(self._received) < size:
                break
            head, payload = self._received[:9], self._received[9:size]
            self._received = self._received[size:]
            self._handle(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF, payload)

    def _handle(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            self._send(SETTINGS, ACK, 0, b"")
        elif kind == PING and not flags & ACK:
            self._send(PING, ACK, 0, payload)
        elif kind == HEADERS and (status := status_of(payload)) >= 200:
            self.statuses.setdefault(stream, status)
        if stream and (kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM)):
            self.ended.setdefault(stream, time.monotonic())
            self.open.discard(stream)
