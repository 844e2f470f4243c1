"""Use the index like legitimate clients, repeatedly, and measure response times.

Runs on a client container with the standard library only. Usage: probe.py PLAN, a JSON file: url, seconds, interval,
timeout, and probes: {name: {method, path, user, password, upload (a file name), content (in base64)}}. Each probe has a
thread, and each request a connection. Ends after the given seconds or with the stop file. Prints JSON: {name:
{statuses, count, p50, p95, max}}, with durations in seconds.
"""

import base64
import json
import threading
import time
from collections import Counter
from pathlib import Path

from connection import FORM, basic, connect, form, is_stopped, percentile, read_plan, read_response, request


def once(plan, probe, number):
    """Make one request. Return its status, or the name of the error."""
    headers = [("Connection", "close")]
    if probe.get("user"):
        headers.append(("Authorization", basic(probe["user"], probe["password"])))
    body = b""
    if probe.get("upload"):
        content = base64.b64decode(probe["content"])
        body = form(probe["upload"].replace("*", str(number)), content)
        headers += [("Content-Type", FORM), ("Content-Length", str(len(body)))]
    try:
        connection = connect(plan["url"], seconds=plan["timeout"])
        try:
            connection.sendall(request(plan["url"], probe["method"], probe["path"], headers) + body)
            status, _headers, _body = read_response(connection)
            return "closed" if status is None else status
        finally:
            connection.close()
    except OSError as error:
        return type(error).__name__


def run(plan, probe, outcome):
    """Make requests until the time is over or the stop file exists."""
    end, number = time.monotonic() + plan["seconds"], 0
    while time.monotonic() < end and not is_stopped(plan):
        start = time.monotonic()
        outcome["statuses"][str(once(plan, probe, number))] += 1
        outcome["durations"].append(time.monotonic() - start)
        number += 1
        time.sleep(max(0, plan["interval"] - (time.monotonic() - start)))


def main():
    """Run all probes."""
    plan = read_plan()
    outcomes = {name: {"statuses": Counter(), "durations": []} for name in plan["probes"]}
    threads = [
        threading.Thread(target=run, args=(plan, probe, outcomes[name])) for name, probe in plan["probes"].items()
    ]
    for thread in threads:
        thread.start()
    Path(plan["ready"]).touch()
    for thread in threads:
        thread.join()
    result = {}
    for name, outcome in outcomes.items():
        durations = outcome["durations"]
        result[name] = {
            "statuses": outcome["statuses"],
            "count": len(durations),
            "p50": percentile(durations, 0.5),
            "p95": percentile(durations, 0.95),
            "max": max(durations, default=0),
        }
    print(json.dumps(result))


main()
