"""Attacks with a login: slow bodies, expensive metadata, the audit log, and reload during an upload."""

import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from attack.result import Attack, Log, Result
from attack.rows.anonymous import MEGABYTE, check_growth, only, statuses_of
from attack.target import Target
from shared.raw_http import RawRequest, request
from shared.uploads import BOUNDARY, form
from shared.wheels import installable
from support.archives import sdist, wheel

# Seconds: pypi_timeout, and one for each pypi_upload_min_rate bytes.
LONGEST = 100
# mod_http2 processes six slow requests of a connection at a time, so 18 streams need three rounds.
LONGEST_HTTP2 = 3 * LONGEST


def slow_bodies(target: Target, *, user: str, longest: int = LONGEST, **options) -> Result:
    """Send slow bodies as a user, while another user at another address works."""
    result, seconds = Result(), longest + 20
    name, password = target.login(user)
    plan = {"url": target.url, "user": name, "password": password, "protocol": "http/1.1", "connections": 16}
    plan |= {"streams": 1, "chunk": 600, "interval": 1, "length": 50_000_000, "first": 0, "seconds": seconds}
    plan |= {"filename": f"{target.new_name()}_*-1.0.tar.gz"} | options
    with (
        target.running(target.client, "slow.py", plan, seconds=seconds + 120, stop=False) as slow,
        target.probes(interval=1) as probed,
    ):
        # The bodies end at the latest when their time is over.
        slow.thread.join()
    ended = [one for one in slow.result if one["status"] is not None]
    last = max(one["seconds"] for one in slow.result)
    statuses = sorted({str(one["status"]) for one in slow.result})
    measured = f"{len(ended)} of {len(slow.result)}, the last after {last:.0f} s, with {', '.join(statuses)}"
    is_in_time = len(ended) == len(slow.result) and last <= longest
    result.check(f"the server ends every body within {longest} s", is_in_time, measured)
    check_probes(result, probed.result)
    return result


def check_probes(result: Result, probed: dict) -> None:
    """Check the responses to other users during an attack."""
    for name, maximum in (("health", 3), ("page", 3), ("upload", 10)):
        outcome = probed[name]
        result.check(f"{name} of others: only 200", only(outcome, "200"), statuses_of(outcome))
        measured = f"p95 {outcome['p95']:.2f} s, at most {outcome['max']:.2f} s"
        result.check(f"{name} of others: 95 % within {maximum} s", outcome["p95"] <= maximum, measured)


def share_of_one_user(target: Target) -> Result:
    """Hold as many uploads open as possible, each fast enough to be legitimate, while another user uploads."""
    options = {"connections": 100, "chunk": 40_000, "interval": 0.5, "longest": 10}
    result = slow_bodies(target, user="publisher", **options)
    # No deadline applies, since these are not slow.
    without = [text for text in result.measured if "ends every body" not in text]
    return Result(without, [text for text in result.failures if text in without])


def rejection_closes_connection(target: Target) -> Result:
    """Send a large body slowly, without the right to upload: the response must not wait for the rest."""
    result = Result()
    name, password = target.login("unprivileged")
    plan = {
        "url": target.url,
        "user": name,
        "password": password,
        "protocol": "http/1.1",
        "connections": 4,
        "streams": 1,
    }
    plan |= {"chunk": 20_000, "interval": 0.2, "length": 100_000_000, "first": 0, "seconds": 30}
    plan |= {"filename": f"{target.new_name()}_*-1.0.tar.gz"}
    outcomes = target.run(target.client, "slow.py", plan)
    statuses = [one["status"] for one in outcomes]
    result.check("each body gets 403", statuses == [403] * 4, statuses)
    longest = max(one["seconds"] for one in outcomes)
    result.check(
        "the response comes within 5 s", longest <= 5, f"{longest:.1f} s, {outcomes[0]['sent'] / MEGABYTE:.1f} MB"
    )
    return result


CLIENTS = {
    "twine": "twine upload --non-interactive --repository-url {url} --username {user} *.whl",
    "uv": "uv publish --publish-url {url} --username {user} *.whl",
    # Not HTTP/2, which uv uses: curl 7.88 (Debian 12) drops a response that is followed by RST_STREAM, contrary to
    # RFC 9113, section 8.1.
    "curl": "curl --http1.1 --silent --show-error --user {user}:$TWINE_PASSWORD --form :action=file_upload "
    "--form content=@$(echo *.whl) {url}",
}
LARGE = """\
import base64, hashlib, random, sys, zipfile
name, project = sys.argv[1:]
info = project + "-1.0.dist-info"
members = {
    project + ".dat": random.Random(1).randbytes(60_000_000),
    info + "/METADATA": ("Metadata-Version: 2.1\\nName: " + project + "\\nVersion: 1.0\\n").encode(),
    info + "/WHEEL": b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}
record = ""
with zipfile.ZipFile(name, "w") as archive:
    for path, content in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += path + ",sha256=" + digest + "," + str(len(content)) + "\\n"
        archive.writestr(path, content)
    archive.writestr(info + "/RECORD", record + info + "/RECORD,,\\n")
"""


def clients_show_rejection(target: Target) -> Result:
    """Upload 60 MB without the right, with common tools: they must print the reason."""
    result = Result()
    project = target.new_name()
    env = target.client_env("unprivileged")
    target.put(target.client, f"{env.home}/make.py", LARGE.encode())
    name = f"{project}-1.0-py3-none-any.whl"
    target.client.check_output("cd %s && python3 make.py %s %s", env.home, name, project)
    for program, command in CLIENTS.items():
        start = time.monotonic()
        run = env.run(f"timeout 120 {command}", TWINE_PASSWORD="{password}", UV_PUBLISH_PASSWORD="{password}")
        output = " ".join((run.stdout + run.stderr).split())
        is_shown = "not allowed" in output.lower() or "403" in output
        result.check(f"{program} shows the rejection", is_shown, f"{time.monotonic() - start:.1f} s: {output[-110:]}")
    target.client.check_output("rm -r %s", env.home)
    return result


# Metadata.


def with_metadata(name: str, metadata: str) -> bytes:
    """Return a compressed wheel with this METADATA in addition to the required fields."""
    return wheel(name.replace("_", "-"), "1.0", metadata, compression=zipfile.ZIP_DEFLATED)


def large_metadata(target: Target) -> Result:
    """Upload wheels of 10 kB with a METADATA of 10 MB, 12 concurrently."""
    result = Result()
    project = target.new_name()
    content = with_metadata(project, "Keywords: a\n" * 870_000)
    bodies = [form(f"{project}-1.0-{tag}-py3-none-any.whl", content) for tag in range(12)]
    with target.memory() as memory:
        start = time.monotonic()
        responses = send_simultaneously(target, bodies)
        seconds = time.monotonic() - start
    statuses = sorted(response.status for response in responses)
    result.check(f"each of 12 wheels of {len(content)} bytes gets 400", statuses == [400] * 12, statuses)
    check_growth(result, memory.result, 150 * MEGABYTE)
    result.check("it takes at most 30 s", seconds <= 30, f"{seconds:.1f} s")
    return result


def send_simultaneously(target: Target, bodies: list[bytes]) -> list:
    """Send uploads as the publisher simultaneously."""
    requests = [request(body, login=target.login("publisher")) for body in bodies]
    return target.send(*(RawRequest((one[:-1], one[-1:])) for one in requests), simultaneous=True)


def largest_metadata(target: Target) -> Result:
    """Upload 12 wheels simultaneously, each with the largest accepted METADATA and as many fields as possible."""
    result = Result()
    project = target.new_name()
    content = with_metadata(project, "Keywords: a\n" * 86_000)
    bodies = [form(f"{project}-1.0-{tag}-py3-none-any.whl", content) for tag in range(12)]
    with target.memory() as memory:
        responses = send_simultaneously(target, bodies)
    statuses = sorted(response.status for response in responses)
    result.check("each gets a response, and none 5xx", all(0 < status < 500 for status in statuses), statuses)
    check_growth(result, memory.result, 300 * MEGABYTE)
    return result


def lost_response(target: Target) -> Result:
    """Close the connection before the response to an upload, and repeat it: it was published, so 200."""
    result = Result()
    project = target.new_name()
    body = form(f"{project}-1.0.tar.gz", sdist(project.replace("_", "-")))
    one = request(body, login=target.login("publisher"))
    # An immediate close would reset the connection and discard what the server has not read.
    target.send(RawRequest((one, b""), pause=3, end="cut"))
    directory = f"{target.settings['pypi_data_dir']}/packages"
    is_stored = (
        target.host.run(f"timeout 10 sh -c 'until [ -e {directory}/{project}-1.0.tar.gz ]; do sleep 0.1; done'").rc == 0
    )
    result.note(f"the file was {'' if is_stored else 'not '}published without a response")
    status = target.send(one)[0].status
    result.check("the same file again gets 200", status == 200, status)
    return result


def requires_python(target: Target) -> Result:
    """Upload files whose Requires-Python is invalid or very long."""
    result = Result()
    bad = {
        "10 MB in a 10 kB wheel": ">=" + "3" * 10_000_000,
        "4 MB of valid clauses": ",".join([">=3.8"] * 700_000),
        "1.1 kB of valid clauses": ",".join([">=3.8"] * 190),
        "not a specifier": "three or later",
        "markup": '>=3"><script>',
    }
    before = derived_bytes(target)
    for what, value in bad.items():
        project = target.new_name()
        response = target.upload(
            f"{project}-1.0-py3-none-any.whl", with_metadata(project, f"Requires-Python: {value}\n")
        )
        result.check(f"{what}: 400", response.status == 400, f"{response.status} {response.body.strip()[:60]}")
    project = target.new_name()
    good = with_metadata(project, "Requires-Python: >=3.8, !=3.9.*, <4\n")
    status = target.upload(f"{project}-1.0-py3-none-any.whl", good).status
    result.check("a valid specifier set: 200", status == 200, status)
    grown = derived_bytes(target) - before
    result.check("pages and metadata grow by at most 100 kB", grown <= 100_000, f"+{grown / 1000:.0f} kB")
    return result


def derived_bytes(target: Target) -> int:
    """Return the size of all pages and metadata files."""
    return int(target.host.check_output(f"du --summarize --bytes {target.settings['pypi_pages_dir']}").split()[0])


def quota_of_derived(target: Target) -> Result:
    """Upload small wheels with large metadata until the quota is exceeded."""
    result = Result()
    limit = 100 * (1 << 20)
    before, statuses = derived_bytes(target), []
    project = target.new_name()
    content = with_metadata(project, f"\n{'a' * 1_000_000}\n")
    for first in range(0, 130, 10):
        names = [f"{project}-1.0-{tag}-py3-none-any.whl" for tag in range(first, first + 10)]
        login = target.login("publisher")
        responses = target.send(*(request(form(name, content), login=login) for name in names))
        statuses += [response.status for response in responses]
        if set(statuses) != {200}:
            break
    grown = derived_bytes(target) - before
    measured = f"{statuses.count(200)} x 200, then {statuses[-1]}; pages and metadata +{grown / MEGABYTE:.0f} MB"
    result.check("507 before they exceed pypi_max_total_size", statuses[-1] == 507 and grown <= limit, measured)
    target.remove(project)
    return result


# The audit log.


SMILE = "\U0001f600"


def many_rejections(target: Target) -> Result:
    """Send 200 uploads and 200 removals that are rejected, with 250 characters that JSON escapes with 12 bytes each."""
    result = Result()
    before = target.log_sizes()
    login = target.login("unprivileged")
    bodies = [form(f"{SMILE * 250}{number}-1.0.tar.gz", b"") for number in range(200)]
    bodies += [removal(f"{SMILE * 250}{number}") for number in range(200)]
    statuses = {response.status for response in target.send(*(request(body, login=login) for body in bodies))}
    result.check("each gets 4xx", all(400 <= status < 500 for status in statuses), sorted(statuses))
    after = target.log_sizes()
    for name, maximum in (("audit", 100_000), ("error", 100_000), ("access", 200_000)):
        grown = after[name] - before[name]
        result.check(
            f"the {name} log grows by at most {maximum // 1000} kB", grown <= maximum, f"+{grown / 1000:.0f} kB"
        )
    verify = target.host.run("wheelhouse audit verify")
    result.check("the audit log verifies", verify.rc == 0, (verify.stdout + verify.stderr).strip()[-80:])
    return result


def removal(project: str) -> bytes:
    """Return the form of a removal."""
    fields = {":action": "remove_pkg", "name": project, "version": "1.0"}
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return "".join([*parts, f"--{BOUNDARY}--\r\n"]).encode()


def early_rejections(target: Target) -> Result:
    """Announce more than is accepted, and abort an upload before its file name: both must be in the audit log."""
    result = Result()
    login = target.login("publisher")
    size = target.log_sizes()["audit"]
    too_large = request(b"x", login=login, length=1 << 40)
    status = target.send(too_large)[0].status
    result.check("Content-Length of 1 TiB: 413", status == 413, status)
    logged = wait_for_line(target, size, login[0])
    result.check("the 413 is in the audit log", bool(logged), logged[:100])
    size = target.log_sizes()["audit"]
    start = f"--{BOUNDARY}\r\nContent-Disp".encode()
    target.send(RawRequest((request(start, login=login, length=5000), b""), pause=2, end="cut"))
    logged = wait_for_line(target, size, login[0])
    result.check("an aborted upload is in the audit log", bool(logged), logged[:100])
    return result


def wait_for_line(target: Target, size: int, user: str) -> str:
    """Wait up to 20 s for a line of a user in the audit log, and return it."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        lines = [line for line in target.log_since("audit", size).splitlines() if f'"{user}"' in line]
        if lines:
            return lines[0]
        time.sleep(0.5)
    return ""


def long_removal(target: Target) -> Result:
    """Remove a project whose name is too long for a file name."""
    result = Result()
    for length in (255, 4000):
        options = [":action=remove_pkg", f"name=acme-{'x' * (length - 5)}", "version=1.0"]
        response = target.fetch("/", *(word for option in options for word in ("--form", option)), user="publisher")
        measured = f"{response.status} {response.body.strip()[:60]}"
        result.check(f"a name of {length} characters gets 4xx", 400 <= response.status < 500, measured)
    return result


# Operation.


def reload_during_upload(target: Target) -> Result:
    """Reload every service during an upload of 30 MB."""
    result = Result()
    project = target.new_name()
    env = target.client_env("publisher")
    target.put(target.client, f"{env.home}/make.py", LARGE.replace("60_000_000", "30_000_000").encode())
    name = f"{project}-1.0-py3-none-any.whl"
    target.client.check_output("cd %s && python3 make.py %s %s", env.home, name, project)
    command = (
        f"curl --silent --limit-rate 2M --user {{user}}:{{password}} --form :action=file_upload --form content=@{name}"
    )
    units = [unit for unit in ("apache2", "pypi-application") if target.main_process(unit)]
    with ThreadPoolExecutor(1) as pool:
        uploading = pool.submit(env.run, f"{command} --write-out %{{{{http_code}}}} --max-time 120 {{url}}")
        for _ in range(2):
            time.sleep(4)
            for unit in units:
                target.host.check_output(f"systemctl reload {unit}")
        output = uploading.result().stdout
    result.check(f"reload of {' and '.join(units)}: the upload gets 200", output.endswith("200"), output[-60:])
    target.client.check_output("rm -r %s", env.home)
    return result


TWINE = """\
for number in $(seq 20); do
    (twine upload --non-interactive --repository-url {url} --username {user} {project}_$number-1.0-py3-none-any.whl \
        >$number.log 2>&1 && touch $number.done) &
done
wait
ls *.done | wc -l
cat *.log | grep -h Error | sort | uniq -c | head -n 3
"""


def concurrent_uploads_and_reads(target: Target) -> Result:
    """Upload 20 files with twine side by side while 510 keep-alive clients read."""
    result = Result()
    project = target.new_name()
    env = target.client_env("publisher")
    for number in range(1, 21):
        name = f"{project}_{number}"
        target.put(target.client, f"{env.home}/{name}-1.0-py3-none-any.whl", installable(name, "1.0"))
    env.write("upload", TWINE.replace("{project}", project))
    name, password = target.login("other_publisher")
    plan = {"url": target.url, "user": name, "password": password, "path": "/simple/", "connections": 510}
    with (
        target.memory() as memory,
        target.running(target.other, "keep_alive.py", plan | {"requests": 1000, "pause": 3}) as reading,
    ):
        run = env.run("sh upload", TWINE_PASSWORD="{password}")
    done = run.stdout.split()[0] if run.stdout.split() else "0"
    result.check("20 of 20 uploads succeed", done == "20", " ".join(run.stdout.split())[:150])
    found = {"statuses": reading.result}
    result.check("510 clients meanwhile: only 200", only(found, "200", "idle"), statuses_of(found))
    check_growth(result, memory.result, 200 * MEGABYTE)
    return result


# The upstream redirect.


def missing_pages(target: Target) -> Result:
    """Remove the pages directory: private names must not be looked for upstream."""
    result = Result()
    project = target.new_name()
    assert target.upload(f"{project}-1.0.tar.gz", sdist(project.replace("_", "-"))).status == 200
    pages = target.settings["pypi_pages_dir"]
    services = "pypi-pages.path pypi-pages.timer"
    for what, hide in {"the pages directory": pages, "its projects": f"{pages}/projects"}.items():
        target.host.check_output(f"systemctl stop {services}; mv {hide} {hide}.lost")
        try:
            response = target.page(project)
            measured = f"{response.status} {response.headers.get('location', '')}"
            result.check(f"without {what}, a private name gets 503", response.status == 503, measured)
            status = target.page("some-public-name").status
            result.check(f"without {what}, a public name gets 503", status == 503, status)
            response = target.fetch("/-/health")
            measured = f"{response.status} {response.body.strip()[:60]}"
            result.check(f"without {what}, health gets 503", response.status == 503, measured)
        finally:
            target.host.check_output(f"rm -rf {hide}; mv {hide}.lost {hide}; systemctl start {services}")
    target.healthy()
    status = target.page(project).status
    result.check("afterwards, it gets 200", status == 200, status)
    return result


ROWS = [
    Attack("F2", "reader", "slow bodies over HTTP/1.1", "16 connections at 600 B/s, without a right",
           "deadline and minimum rate; others are served", partial(slow_bodies, user="unprivileged"),
           Log("access", r'POST / HTTP/1.1" (403|408|429|503)')),
    Attack("F2", "reader", "slow bodies over HTTP/1.1, with 20 kB first", "32 connections at 600 B/s",
           "deadline and minimum rate; others are served",
           partial(slow_bodies, user="unprivileged", first=20_000, connections=32)),
    Attack("F2", "publisher", "slow bodies over HTTP/2", "3 connections with 18 streams, 1 byte per 10 s",
           "deadline and minimum rate; others are served",
           partial(slow_bodies, user="publisher", protocol="h2", connections=3, streams=18, chunk=1, interval=10,
                   longest=LONGEST_HTTP2)),
    Attack("F2", "publisher", "many uploads of one user", "100 uploads at 80 kB/s for 30 s",
           "a share of the capacity; others are served", share_of_one_user),
    Attack("F2", "reader", "rejected bodies are not drained", "4 bodies of 100 MB at 100 kB/s, without a right",
           "403 within 5 s", rejection_closes_connection, Log("audit", '"(denied|refused)"'), quick=True),
    Attack("F2", "reader", "clients show a rejection", "twine, uv and curl with 60 MB, without a right",
           "they print the reason", clients_show_rejection, Log("audit", '"(denied|refused)"')),
    Attack("F3", "publisher", "METADATA of 10 MB", "12 wheels of 10 kB at once",
           "400, bounded memory", large_metadata, Log("audit", '"refused"')),
    Attack("F3", "publisher", "METADATA of 1 MiB", "12 wheels at once", "bounded memory, no 5xx", largest_metadata),
    Attack("F3", "publisher", "lost response", "the connection is closed after the upload",
           "the same file again gets 200", lost_response, Log("audit", '"same"'), quick=True),
    Attack("F10", "publisher", "Requires-Python", "10 MB, 1.1 kB, not a specifier",
           "400, pages stay small", requires_python, Log("audit", '"refused"'), quick=True),
    Attack("F10", "publisher", "quota of derived files", "wheels of 3 kB with a METADATA of 1 MB",
           "507 at the quota", quota_of_derived),
    Attack("F11", "reader", "many rejections", "400 uploads and removals with long names",
           "aggregated in the audit log", many_rejections, Log("audit", '"(denied|refused)"'), quick=True),
    Attack("F14", "publisher", "early rejections", "413, and an aborted body",
           "in the audit log", early_rejections, Log("audit", '"refused"'), quick=True),
    Attack("F13", "publisher", "removal of a long name", "255 and 4,000 characters",
           "4xx", long_removal, quick=True),
    Attack("F9", "reader", "missing pages directory", "pypi_upstream: redirect, without the pages",
           "503 for reads, redirects and health", missing_pages),
    Attack("reload", "operation", "reload during an upload", "30 MB in 15 s, two reloads of each service",
           "200", reload_during_upload),
    Attack("clients", "operation", "concurrent uploads and reads", "20 x twine beside 510 keep-alive clients",
           "no failed upload, no closed connection", concurrent_uploads_and_reads),
]  # fmt: skip
