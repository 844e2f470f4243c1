"""Make requests on many keep-alive connections, all of them open at the same time.

Runs on a client machine with the standard library only. Usage: keep_alive.py PLAN, a JSON file: url, user,
password, path, connections, requests (on each connection), pause (seconds between them). Prints JSON: a list with an
object for each round of requests, {status: how many}; "closed" is a connection that ended before the answer, though
it was not idle for long.
"""

import json
import threading
import time
from collections import Counter
from pathlib import Path

from connection import basic, connect, is_stopped, read_plan, read_response, request

# Seconds; a little less than Apache's KeepAliveTimeout.
IDLE = 4


def once(connection, head):
    """Make one request. Return its status, "closed", or the name of the error."""
    try:
        connection.sendall(head)
        status = read_response(connection)[0]
    except OSError as error:
        return type(error).__name__
    return "closed" if status is None else str(status)


def run(plan, rounds):
    """Make the requests of one connection."""
    login = ("Authorization", basic(plan["user"], plan["password"]))
    head = request(plan["url"], "GET", plan["path"], [login])
    connection = answered = None
    for outcome in rounds:
        try:
            connection = connection or connect(plan["url"], seconds=60)
            status = once(connection, head)
            # A server may close an idle connection; a client that is itself too slow opens a new one.
            if not status.isdigit() and answered and time.monotonic() - answered > IDLE:
                connection = connect(plan["url"], seconds=60)
                status = f"{once(connection, head)} on a new connection"
        except OSError as error:
            status = type(error).__name__
        outcome[status] += 1
        answered = time.monotonic()
        if not status[0].isdigit() or is_stopped(plan):
            break
        time.sleep(plan["pause"])


def main():
    """Run all connections."""
    plan = read_plan()
    rounds = [Counter() for _ in range(plan["requests"])]
    threads = [threading.Thread(target=run, args=(plan, rounds)) for _ in range(plan["connections"])]
    for thread in threads:
        thread.start()
    Path(plan["ready"]).touch()
    for thread in threads:
        thread.join()
    print(json.dumps(rounds))


main()
