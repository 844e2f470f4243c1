"""Send the same request on many connections concurrently, or one with a new wrong password each time.

Runs on a client container with the standard library only. Usage: flood.py PLAN, a JSON file: url, connections
(concurrent), requests (sequential, on each connection), seconds, pause, path, headers, repeat (how often each header is
sent), wrong_passwords_of (a user name or null), and password (one wrong password; without it, each request has a new
one). Prints JSON: statuses, retry_after (number of responses with this header), requests, p95 and max (durations in
seconds).
"""

import json
import threading
import time
import uuid
from collections import Counter

from connection import basic, connect, is_stopped, percentile, read_plan, read_response, request


class Flood:
    """All threads, and the statuses and durations of their requests."""

    def __init__(self, plan):
        self._plan = plan
        self._end = time.monotonic() + plan["seconds"]
        self.statuses, self.durations, self.retry_after = Counter(), [], 0

    def run(self):
        """Send requests in one of the threads."""
        plan = self._plan
        for _ in range(plan["requests"]):
            if time.monotonic() > self._end or is_stopped(plan):
                return
            self._once([tuple(header) for header in plan["headers"] * plan["repeat"]])
            time.sleep(plan.get("pause", 0))

    def _once(self, headers):
        if user := self._plan["wrong_passwords_of"]:
            headers.append(("Authorization", basic(user, self._plan.get("password") or uuid.uuid4().hex)))
        start, response_headers = time.monotonic(), {}
        try:
            connection = connect(self._plan["url"])
            try:
                head = request(self._plan["url"], "GET", self._plan["path"], [*headers, ("Connection", "close")])
                connection.sendall(head)
                status, response_headers, _body = read_response_or_none(connection)
            finally:
                connection.close()
        except OSError as error:
            status = type(error).__name__
        self.statuses[str(status)] += 1
        self.retry_after += "retry-after" in response_headers
        self.durations.append(time.monotonic() - start)


def read_response_or_none(connection):
    """Read a response; the status is "closed" if the connection was closed without one."""
    status, headers, body = read_response(connection)
    return "closed" if status is None else status, headers, body


def main():
    """Run the flood."""
    plan = read_plan()
    flood = Flood(plan)
    threads = [threading.Thread(target=flood.run) for _ in range(plan["connections"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    durations = flood.durations
    print(
        json.dumps(
            {
                "statuses": flood.statuses,
                "retry_after": flood.retry_after,
                "requests": len(durations),
                "p95": percentile(durations, 0.95),
                "max": max(durations, default=0),
            }
        )
    )


main()
