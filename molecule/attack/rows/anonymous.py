"""Attacks without a login: memory, password checks, connections, reflected and malformed requests, TLS."""

import json
import re
import time

from attack.result import Attack, Log, Result
from attack.target import Target
from shared.raw_http import request
from shared.uploads import form
from support.archives import sdist

MEGABYTE = 1_000_000
ACCEPT = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"

# Accept, the status and the media type of the response (RFC 9110, section 12.5.1; PEP 691).
NEGOTIATIONS = [
    (ACCEPT, 200, ACCEPT),
    ("application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01", 200, ACCEPT),
    ("APPLICATION/VND.PyPI.Simple.V1+JSON", 200, ACCEPT),
    ("Text/HTML", 200, "text/html"),
    ("text/html ; q=0.5 , application/vnd.pypi.simple.v1+json ; q=0.9", 200, ACCEPT),
    ("text/html;level=1", 200, "text/html"),
    ("text/html;charset=utf-8;q=0.5", 200, "text/html"),
    ("text/html;q=0, */*;q=0.1", 200, (ACCEPT, HTML)),
    ("application/vnd.pypi.simple.v1+json;q=0, text/html", 200, "text/html"),
    ("application/vnd.pypi.simple.v1+json;Q=0.1, text/html;Q=0.9", 200, "text/html"),
    ("*/*", 200, "text/html"),
    ("image/png", 406, "text/plain"),
    ("text/html;q=0", 406, "text/plain"),
]
# Accept-Encoding, and the Content-Encoding of the response.
ENCODINGS = {
    "gzip": "gzip",
    "gzip; q=0": "identity",
    "gzip;q=0": "identity",
    "gzip;q=0.000": "identity",
    "identity, gzip ;q=0.0": "identity",
    "xgzip": "identity",
    "deflate, gzip;q=1.0, *;q=0.5": "gzip",
}


def check_growth(result: Result, memory: dict, maximum: int) -> None:
    """Check the memory growth during an attack."""
    grown = memory["peak"] - memory["before"]
    measured = f"+{grown / MEGABYTE:.0f} MB (from {memory['before'] / MEGABYTE:.0f} MB)"
    result.check(f"memory grows by at most {maximum // MEGABYTE} MB", grown <= maximum, measured)


def flood(target: Target, **plan) -> dict:
    """Run flood.py on the client. plan: options that differ from one request on one connection."""
    plan = {
        "url": target.url,
        "connections": 1,
        "requests": 1,
        "seconds": 60,
        "path": "/simple/",
        "headers": [],
        "repeat": 1,
    } | plan
    return target.run(target.client, "flood.py", {"wrong_passwords_of": None} | plan)


def statuses_of(found: dict) -> str:
    """Return the counted statuses as text."""
    return ", ".join(f"{count} x {status}" for status, count in sorted(found["statuses"].items())) or "none"


def long_accept(target: Target) -> Result:
    """Send a header of 8 kB on 100 connections."""
    return accept_flood(target, "a," * 4080, lines=1)


def many_accept_lines(target: Target) -> Result:
    """Send 90 lines of 8 kB on 100 connections."""
    return accept_flood(target, "a," * 4050, lines=90)


def accept_flood(target: Target, value: str, lines: int) -> Result:
    """Send Accept headers on 100 connections, and, for comparison, as many bytes in a header without a function."""
    result = Result()
    others = flood(target, connections=100, headers=[["X-Other", value]], repeat=lines)
    with target.memory() as memory:
        found = flood(target, connections=100, headers=[["Accept", value]], repeat=lines)
    check_growth(result, memory.result, 64 * MEGABYTE)
    result.check("every request is answered with 4xx", only(found, "400", "401", "406", "431"), statuses_of(found))
    measured = f"{found['max']:.1f} s, {others['max']:.1f} s"
    # Below a second, the difference may have other causes on a busy machine.
    is_fast = found["max"] <= 5 * max(others["max"], 1)
    result.check("the slowest response takes at most 5 times as long as with another header", is_fast, measured)
    return result


def only(found: dict, *statuses: str) -> bool:
    """Return whether there were responses, and only with these statuses."""
    return bool(found["statuses"]) and found["statuses"].keys() <= set(statuses)


def negotiation(target: Target) -> Result:
    """Request the project list with unusual but valid headers."""
    result = Result()
    wrong = []
    for accept, status, kinds in NEGOTIATIONS:
        response = target.fetch("/simple/", "--header", f"Accept: {accept}", user="reader")
        kind = response.headers.get("content-type", "").partition(";")[0]
        if response.status != status or kind not in ((kinds,) if isinstance(kinds, str) else kinds):
            wrong.append(f"Accept: {accept} -> {response.status} {kind}")
    result.check(f"{len(NEGOTIATIONS)} Accept headers are understood", not wrong, "; ".join(wrong))
    wrong = []
    for encoding, expected in ENCODINGS.items():
        response = target.fetch("/simple/", "--header", f"Accept-Encoding: {encoding}", user="reader")
        if (found := response.headers.get("content-encoding", "identity")) != expected:
            wrong.append(f"{encoding} -> {found}")
    result.check(f"{len(ENCODINGS)} Accept-Encoding headers are understood", not wrong, "; ".join(wrong))
    return result


def foreign_host(target: Target) -> Result:
    """Request URLs that are redirected, with a Host header of another host."""
    result = Result()
    http = re.sub(r"^https://([^:/]+).*$", r"http://\1/simple/", target.url)
    for path in ("/simple", "/simple/Acme.X", http):
        for user in (None, "reader"):
            response = target.fetch(path, "--header", "Host: evil.test", user=None if path == http else user)
            text = f"{response.headers.get('location', '')} {response.body}"
            where = f"{'port 80' if path == http else path} as {user or 'anonymous'}"
            result.check(f"{where}: no evil.test", "evil" not in text, f"{response.status} {text.strip()[:70]}")
    return result


def many_separators(target: Target) -> Result:
    """Request names with so many separators that a rewrite loop could reach its limit."""
    result = Result()
    for name in ("a" + "." * 150 + "b", ".".join("a" * 150), "-_." * 60, "a" * 300 + "._" * 100):
        response = target.fetch(f"/simple/{name}/")
        shown = f"{name[:6]}... ({len(name)} characters)"
        result.check(f"{shown}: not a server error", response.status < 500, response.status)
    return result


def wrong_passwords(target: Target) -> Result:
    """Send distinct wrong passwords on 100 connections while users with cached passwords work."""
    result = Result()
    target.fetch("/simple/", user="other_publisher", machine=target.other)
    before = target.log_sizes()
    target.fetch("/simple/", user="publisher", machine=target.other)
    # The user whose password is guessed, and another one.
    probes = {user: login_probe(target, user) for user in ("publisher", "other_publisher")}
    plan = {"url": target.url, "seconds": 40, "interval": 0.2, "timeout": 20, "probes": probes}
    with target.running(target.other, "probe.py", plan) as probed:
        name = target.users["publisher"]
        found = flood(target, connections=100, requests=10_000, seconds=25, wrong_passwords_of=name)
    for user, page in probed.result.items():
        result.check(f"{user}, whose password is cached, gets only 200", only(page, "200"), statuses_of(page))
        result.check(f"95 % of the {user}'s requests take less than 1 s", page["p95"] < 1, f"p95 {page['p95']:.2f} s")
    result.check("no wrong password is answered with 500", "500" not in found["statuses"], statuses_of(found))
    limited = sum(found["statuses"].get(status, 0) for status in ("429", "503"))
    retry_after = f"{found['retry_after']} of {limited}"
    result.check("failures are limited, with Retry-After", 0 < limited <= found["retry_after"], retry_after)
    grown = target.log_sizes()["error"] - before["error"]
    result.check("the error log grows by at most 500 kB", grown <= 500_000, f"+{grown / 1000:.0f} kB")
    return result


def login_probe(target: Target, user: str) -> dict:
    """Return a probe that requests the project list."""
    name, password = target.login(user)
    return {"method": "GET", "path": "/simple/", "user": name, "password": password}


def shared_address(target: Target) -> Result:
    """Repeat one wrong password, as a misconfigured CI job does, while other users log in from the same address."""
    result = Result()
    # Empty the password caches of all processes.
    target.host.check_output("systemctl reload apache2")
    wrong = {"requests": 100, "connections": 2, "seconds": 12, "pause": 0.1, "password": "a typing error"}
    with target.running(target.client, "probe.py", nat_plan(target)) as probed:
        found = flood(target, wrong_passwords_of=target.users["publisher"], **wrong)
    for user, outcome in probed.result.items():
        result.check(f"{user}, from the same address, gets only 200", only(outcome, "200"), statuses_of(outcome))
    result.check("the wrong password gets 401, or 429/503", only(found, "401", "429", "503"), statuses_of(found))
    return result


def nat_plan(target: Target) -> dict:
    """Return the plan of users who log in from the attacker's address."""
    probes = {user: login_probe(target, user) for user in ("reader", "other_publisher")}
    return {"url": target.url, "seconds": 60, "interval": 1, "timeout": 20, "probes": probes}


def keep_alive(target: Target) -> Result:
    """Open 510 keep-alive connections and use each of them four times."""
    result = Result()
    name, password = target.login("reader")
    plan = {"url": target.url, "user": name, "password": password, "path": "/simple/", "pause": 3}
    with target.memory() as memory:
        statuses = target.run(target.client, "keep_alive.py", plan | {"connections": 510, "requests": 4})
    found = {"statuses": statuses}
    result.check("every request gets 200", only(found, "200", "idle"), statuses_of(found))
    check_growth(result, memory.result, 200 * MEGABYTE)
    return result


def tls(target: Target) -> Result:
    """Offer outdated curves; check the certificate's lifetime and the type of error bodies."""
    result = Result()
    host = re.sub(r"^https?://([^:/]+).*$", r"\1", target.url)
    for curve, expected in (("X25519", True), ("prime256v1", True), ("X448", False), ("secp521r1", False)):
        command = f"timeout 10 openssl s_client -connect {host}:443 -servername {host} -groups {curve} </dev/null"
        accepted = target.client.run(command).rc == 0
        result.check(
            f"{curve} is {'accepted' if expected else 'rejected'}", accepted == expected, "accepted" * accepted
        )
    certificate = (
        f"openssl s_client -connect {host}:443 -servername {host} </dev/null 2>/dev/null | openssl x509 -noout"
    )
    dates = target.client.check_output(f"{certificate} -dates").splitlines()
    seconds = [target.client.check_output(f"date --date '{line.partition('=')[2]}' +%s") for line in dates]
    days = (int(seconds[1]) - int(seconds[0])) / 86400
    result.check("the certificate is valid for at most 366 days", days <= 366, f"{days:.0f}")
    for path, user in (("/simple/", None), ("/nothing", "reader"), ("/simple/acme-none-such/x", "reader")):
        kind = target.fetch(path, user=user).headers.get("content-type", "")
        is_text = kind.replace(" ", "").lower() == "text/plain;charset=utf-8"
        result.check(f"the error body of {path} is text/plain; charset=utf-8", is_text, kind)
    return result


# The headers with which the front end could pass the user, the address and the request ID to the application.
IDENTITY = ("X-Forwarded-User", "x-forwarded-user", "X_Forwarded_User", "X-Forwarded-User ", "X-Wheelhouse-User")


def forged_identity(target: Target) -> Result:
    """Send the headers with which the front end could pass the authenticated user to the application."""
    result = Result()
    name = target.new_name()
    victim = target.users["publisher"]
    body = form(f"{name}-1.0.tar.gz", sdist(name.replace("_", "-")))
    users = {None: {400, 401}, "unprivileged": {400, 403}}
    attempts = [(user, f"{header}: {victim}") for header in IDENTITY for user in users]
    responses = target.send(
        *(request(body, header, login=target.login(user) if user else None) for user, header in attempts)
    )
    for (user, header), response in zip(attempts, responses, strict=True):
        result.check(
            f"'{header}' as {user or 'anonymous'} is rejected", response.status in users[user], response.status
        )
    found = target.host.check_output(f"find {target.settings['pypi_data_dir']}/packages -name '{name}*'")
    result.check("nothing is published", not found, found)
    return result


def hop_by_hop(target: Target) -> Result:
    """Make the front end remove its own headers by listing them in Connection (RFC 9110, section 7.6.1)."""
    result = Result()
    size = target.log_sizes()["audit"]
    user = target.login("unprivileged")
    name = target.new_name()
    body = form(f"{name}-1.0.tar.gz", sdist(name.replace("_", "-")))
    names = (
        "X-Forwarded-User",
        "X-Forwarded-For",
        "X-Request-Id",
        "Authorization",
        "X-Forwarded-User, X-Forwarded-For",
    )
    forged = ("X-Forwarded-For: 192.0.2.66", "X-Request-Id: ../../../tmp/evil", "Forwarded: for=192.0.2.66")
    requests = [request(body, f"Connection: {header}", *forged, login=user) for header in names]
    for header, response in zip(names, target.send(*requests), strict=True):
        result.check(f"Connection: {header} is rejected", response.status in (400, 401, 403), response.status)
    lines = [json.loads(line) for line in target.log_since("audit", size).splitlines()]
    address = target.client.check_output("hostname -i").split()[0]
    expected = {"user": user[0], "address": address}
    # A line that counts further rejections has no address.
    wrong = [line for line in lines if any(line.get(key, value) != value for key, value in expected.items())]
    measured = "; ".join(f"{line.get('user')} from {line.get('address')}" for line in wrong)
    result.check("the audit log has the correct user and address", not wrong, measured)
    found = target.host.check_output(f"find {target.settings['pypi_data_dir']}/packages -name '{name}*'")
    result.check("nothing is published", not found, found)
    return result


def killed(target: Target) -> Result:
    """Kill the main process of each service once a second."""
    result = Result()
    units = [unit for unit in ("apache2", "pypi-application") if target.main_process(unit)]
    for unit in units:
        target.host.check_output(
            f"for n in 1 2 3 4 5 6 7 8 9 10; do process=$(systemctl show --property MainPID --value {unit}); "
            'if [ "$process" -gt 0 ]; then kill -9 "$process"; fi; sleep 1; done'
        )
        start = time.monotonic()
        is_back = target.healthy(60)
        result.check(f"{unit}: is restarted automatically", is_back, f"after {time.monotonic() - start:.1f} s")
        if not is_back:
            target.recover()
    return result


ROWS = [
    Attack("F1", "anonymous", "long Accept header", '"a," * 4080 on 100 connections',
           "memory flat, 4xx", long_accept, Log("access", r'GET /simple/ HTTP/1.1" 4\d\d'), quick=True),
    Attack("F1", "anonymous", "many Accept headers", "90 lines of 8 kB on 100 connections",
           "memory flat, 4xx", many_accept_lines, Log("access", r'GET /simple/ HTTP/1.1" 4\d\d')),
    Attack("F14", "reader", "content negotiation", "valid headers in unusual forms",
           "as RFC 9110 says", negotiation, quick=True),
    Attack("F12", "anonymous", "foreign Host header", "Host: evil.test on redirects",
           "evil.test is not reflected", foreign_host, quick=True),
    Attack("F13", "anonymous", "many separators in a name", "names of 150 to 500 characters",
           "4xx or a redirect, not 500", many_separators, Log("access", r"GET /simple/a\.\.\."), quick=True),
    Attack("F4", "anonymous", "flood of wrong passwords", "100 connections for 25 s",
           "users with cached passwords are served; 503 with Retry-After; bounded log", wrong_passwords,
           Log("access", r'" (401|429|503) ')),
    Attack("F4", "anonymous", "wrong password behind a NAT", "one wrong password, 200 times",
           "others with that address are served", shared_address, Log("access", r'" 401 ')),
    Attack("clients", "anonymous", "510 keep-alive clients", "four requests on each, while all are open",
           "no closed connection, bounded memory", keep_alive),
    Attack("TLS", "anonymous", "outdated TLS", "X448, secp521r1", "Mozilla's intermediate", tls, quick=True),
    Attack("F6", "anonymous", "forged identity", "X-Forwarded-User from a client",
           "401 or 403", forged_identity, Log("access", r'POST / HTTP/1.1" 401'), quick=True),
    Attack("F6", "reader", "hop-by-hop headers", "Connection: X-Forwarded-User and others",
           "rejected; correct user and address", hop_by_hop, Log("access", r'POST / HTTP/1.1" 40[013]'), quick=True),
    Attack("crash loop", "operation", "killed once a second", "kill -9 of the main process, 10 times",
           "it is restarted automatically", killed),
]  # fmt: skip
