"""Make requests on many keep-alive connections, all of them open at the same time.

Runs on a client machine with the standard library only. Usage: keep_alive.py PLAN, a JSON file: url, user,
password, path, connections, requests (on each connection), pause (seconds between them). Prints JSON: a list with an
object for each round of requests, {status: how many}; "closed" is a connection that ended before the answer.
"""

import json
import threading
import time
from collections import Counter
from pathlib import Path

from connection import basic, connect, is_stopped, read_plan, read_response, request


def run(plan, rounds, barrier):
    """Make the requests of one connection."""
    login = ("Authorization", basic(plan["user"], plan["password"]))
    head = request(plan["url"], "GET", plan["path"], [login])
    try:
        connection = connect(plan["url"], seconds=60)
    except OSError as error:
        rounds[0][type(error).__name__] += 1
        barrier.wait()
        return
    for number, outcome in enumerate(rounds):
        try:
            connection.sendall(head)
            status = read_response(connection)[0]
        except OSError as error:
            status = type(error).__name__
        outcome["closed" if status is None else str(status)] += 1
        if number == 0:
            barrier.wait()  # every connection is open
        if not isinstance(status, int) or is_stopped(plan):
            break
        time.sleep(plan["pause"])
    connection.close()


def main():
    """Run all connections."""
    plan = read_plan()
    rounds = [Counter() for _ in range(plan["requests"])]
    barrier = threading.Barrier(plan["connections"])
    threads = [threading.Thread(target=run, args=(plan, rounds, barrier)) for _ in range(plan["connections"])]
    for thread in threads:
        thread.start()
    Path(plan["ready"]).touch()
    for thread in threads:
        thread.join()
    print(json.dumps(rounds))


main()
