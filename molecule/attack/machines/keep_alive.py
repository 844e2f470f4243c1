"""Make requests on many keep-alive connections, until all of them have been open at the same time for a while.

Runs on a client container with the standard library only. Usage: keep_alive.py PLAN, a JSON file: url, user, password,
path, connections, requests (on each connection, after all are open), pause (seconds: all connections send their
requests together at multiples of it). Ends earlier with the stop file. Prints JSON: {status: count}; "closed" and names
of errors count connections closed before the response, and "idle" those that this program had left idle for so long
that a server may close them.
"""

import json
import threading
import time
from collections import Counter
from pathlib import Path

from connection import basic, connect, is_stopped, read_plan, read_response, request

# Seconds; a little less than Apache's KeepAliveTimeout.
IDLE = 4


class Clients:
    """All connections."""

    def __init__(self, plan):
        self._plan = plan
        login = ("Authorization", basic(plan["user"], plan["password"]))
        self._head = request(plan["url"], "GET", plan["path"], [login])
        self._opened = 0
        self._lock = threading.Lock()
        self.statuses = Counter()

    def run(self):
        """Make the requests of one connection."""
        plan, connection, answered, left = self._plan, None, None, self._plan["requests"]
        while left and not is_stopped(plan):
            is_fresh = connection is None
            try:
                connection = connection or connect(plan["url"], seconds=60)
                status = self._once(connection)
            except OSError as error:
                status = type(error).__name__
            if not status.isdigit():
                connection = None
            if not status.isdigit() and not is_fresh and time.monotonic() - answered >= IDLE:
                status = "idle"
            with self._lock:
                self.statuses[status] += 1
                self._opened += answered is None
            left -= self._opened == plan["connections"]
            answered = time.monotonic()
            # All at the same moments, which occupies the most threads of a server.
            time.sleep(plan["pause"] - time.time() % plan["pause"])

    def _once(self, connection):
        """Make one request. Return its status, or "closed"."""
        connection.sendall(self._head)
        status = read_response(connection)[0]
        return "closed" if status is None else str(status)


def main():
    """Run all connections."""
    plan = read_plan()
    clients = Clients(plan)
    threads = [threading.Thread(target=clients.run) for _ in range(plan["connections"])]
    for thread in threads:
        thread.start()
    Path(plan["ready"]).touch()
    for thread in threads:
        thread.join()
    print(json.dumps(clients.statuses))


main()
