"""Counts requests in Apache's access log. Its format is the LogFormat of the site's template."""

import re

from wheelhouse_monitoring.counters import Counters
from wheelhouse_monitoring.definitions import OTHER_REASON, REASONS

# Text in which quotes and backslashes are escaped.
TEXT = rb'[^"\\]*(?:\\.[^"\\]*)*'
# Address, user, time, request, status, bytes, microseconds, program. Apache escapes quotes and control characters in
# values of clients (ap_escape_logitem), and writes "" for an empty user. The time has a fixed length, so that a
# user name with many brackets costs no backtracking.
LINE = re.compile(
    rb'[^ "]+ - (?P<user>""|%(text)b) \[[^\]\["]{26}\] "(?P<request>%(text)b)" '
    rb'(?P<status>[1-5][0-9]{2}) (?:[0-9]+|-) [0-9]+ "%(text)b"' % {b"text": TEXT}
)
NO_USER = b"-"
# An upload or a removal.
CHANGE = re.compile(rb"POST /(?:legacy/?)?(?:\?[^ ]*)? HTTP/")


def count(line: bytes, counters: Counters) -> None:
    """Count a line. Values of clients in it only choose among fixed labels."""
    found = LINE.fullmatch(line)
    if not found:
        counters.add("wheelhouse_log_lines_invalid_total", "access")
        return
    status = int(found["status"])
    counters.add("wheelhouse_http_requests_total", f"{status // 100}xx")
    if status == 401:
        counters.add("wheelhouse_authentication_failures_total", "missing" if found["user"] == NO_USER else "wrong")
    if status >= 400 and CHANGE.match(found["request"]):
        counters.add("wheelhouse_rejections_total", REASONS.get(status, OTHER_REASON))
