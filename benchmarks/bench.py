"""Measure the kit and other set-ups on test hosts, and write the report.

Usage: bench.py [--quick] | --render. The results are in .cache/bench/; docs/performance.md and .svg are rendered from
them. --quick takes fewer measurements, prints the report and does not change docs/. --render only renders the report.
"""

import base64
import datetime
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import report
from setups import ACCEPT, FULL, LOGIN, MEASURES, QUICK, SETUPS, Plan, Setup

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = ROOT / ".cache" / "bench"
HOST, KIT_HOST, SHELL_HOST = "wheelhouse-bench", "wheelhouse-bench-kit", "wheelhouse-bench-shell"
IMAGE = "wheelhouse-host:trixie"
DOCKER = shutil.which("docker") or "docker"
BENCH_USER_HASH_COST = 12
PATHS = "/srv/bench/paths"

# The files that the kit writes to a host, without those that its programs create there.
RENDERED = """
etc/apache2/conf-available/pypi-processes.conf etc/apache2/ports.conf etc/apache2/sites-available/pypi.conf
etc/logrotate.d/pypi etc/tmpfiles.d/pypi.conf
etc/pypi/application.conf etc/pypi/groups etc/pypi/rights.json etc/pypi/settings.json etc/pypi/yanked.json
etc/systemd/system/apache2.service.d etc/systemd/system/pypi-*
opt/pypi/current opt/pypi/$(readlink opt/pypi/current)/requirements.txt
opt/pypi/$(readlink opt/pypi/current)/bin/wheelhouse opt/pypi/$(readlink opt/pypi/current)/settings.json
opt/pypi/$(readlink opt/pypi/current)/application
opt/pypi/$(readlink opt/pypi/current)/lib/python*/site-packages/wheelhouse.pth
srv/pypi/.wheelhouse
usr/local/bin/wheelhouse usr/local/lib/pypi usr/local/sbin/pypi-certificate usr/local/sbin/pypi-state
usr/local/sbin/pypi-try-site usr/local/share/pypi
"""


class MeasurementError(Exception):
    """A measurement failed."""


def command(*words: str | Path, limit: float, given: bytes | None = None, quiet: bool = True) -> bytes:
    """Run a program with a time limit in seconds, and return its output. Raises MeasurementError."""
    try:
        done = subprocess.run(words, input=given, capture_output=quiet, timeout=limit, check=False, cwd=ROOT)
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"no answer within {limit:.0f} s") from None
    if done.returncode:
        text = (done.stderr or b"").decode(errors="replace").strip() or (done.stdout or b"").decode(errors="replace")
        raise MeasurementError(
            text.strip().splitlines()[-1][:300] if text.strip() else f"exit status {done.returncode}"
        )
    return done.stdout or b""


def on(host: str, *words: str, limit: float = 60, given: bytes | None = None) -> str:
    """Run a program on a host as root, and return its output."""
    bounded = ("timeout", str(int(limit)), *words)
    return command(DOCKER, "exec", "-i", host, *bounded, limit=limit + 10, given=given).decode()


def play(playbook: str, host: str, *words: str, limit: float = 600) -> float:
    """Run a playbook for one host. Return the seconds."""
    began = time.monotonic()
    inventory = HERE / "inventory.yml"
    try:
        command("ansible-playbook", playbook, "-i", inventory, "--limit", host, *words, limit=limit)
    except MeasurementError as error:
        raise MeasurementError(f"{playbook}: {error}") from None
    return time.monotonic() - began


class Bench:
    """A run of the benchmark."""

    def __init__(self, plan: Plan):
        """Create a run without results."""
        self.plan = plan
        self.began = time.monotonic()
        self.results: dict[str, Any] = {"plan": asdict(plan), "loads": [], "failed": [], "kit": {}, "fills": []}
        self.results |= {"probes": [], "installs": [], "clients": [], "uploads": [], "memory": {}}

    def say(self, text: str) -> None:
        """Print progress, with the seconds since the start."""
        print(f"[{time.monotonic() - self.began:6.0f} s] {text}", file=sys.stderr, flush=True)

    @contextmanager
    def trying(self, what: str, **about: object) -> Iterator[None]:
        """Record an error in this block, and continue with the next measurement."""
        try:
            yield
        except (MeasurementError, ValueError, LookupError) as error:
            self.say(f"failed: {what}: {error}")
            self.results["failed"].append({"what": what, "why": str(error)} | about)

    # The kit itself

    def create(self, host: str) -> None:
        """Create a fresh host, after removing an existing one."""
        self.destroy(host)
        play("containers/create.yml", host)

    def destroy(self, host: str) -> None:
        """Remove a host, if there is one."""
        command(DOCKER, "rm", "--force", "--volumes", host, limit=60)

    def deploy(self, host: str) -> None:
        """Measure the first deployment of the kit to a fresh host."""
        self.say(f"first deploy of the kit, on {host}")
        self.create(host)
        self.note("deploy", play("site.yml", host))

    def note(self, what: str, seconds: float) -> None:
        """Record the duration of a run of the kit in seconds."""
        self.say(f"  {what}: {seconds:.1f} s")
        self.results["kit"].setdefault(what, []).append(seconds)

    def shell_deploy(self) -> None:
        """Measure the same steps by a shell script on a fresh host, with the rendered files of HOST."""
        self.say(f"the same steps by a shell script, on {SHELL_HOST}")
        self.create(SHELL_HOST)
        pack = f"cd / && tar -c -f - --exclude=__pycache__ {' '.join(RENDERED.split())}"
        archive = command(DOCKER, "exec", HOST, "sh", "-c", pack, limit=60)
        command(DOCKER, "cp", HERE / "shell_deploy.sh", f"{SHELL_HOST}:/root/", limit=30)
        began = time.monotonic()
        on(SHELL_HOST, "sh", "/root/shell_deploy.sh", limit=600, given=archive)
        self.note("shell", time.monotonic() - began)

    def deploys(self) -> None:
        """Measure first deployments on fresh hosts, alternating: kit, script, script, kit."""
        self.deploy(HOST)
        for number in range(self.plan.deploys):
            with self.trying("first deploy by a shell script"):
                self.shell_deploy()
            if number:
                with self.trying("first deploy"):
                    self.deploy(KIT_HOST)
        for host in (SHELL_HOST, KIT_HOST):
            self.destroy(host)

    def runs(self) -> None:
        """Measure runs without changes, and accounts runs with few and with many users."""
        for _ in range(self.plan.kit_rounds):
            with self.trying("second run"):
                self.note("second", play("site.yml", HOST))
                self.note("facts", play("benchmarks/facts.yml", HOST))
        import bcrypt

        salt = bcrypt.gensalt(BENCH_USER_HASH_COST)
        password_hash = "$2y$" + bcrypt.hashpw(b"a password", salt).decode()[4:]
        users = {"password_hash": password_hash, "groups": ["team"]}
        for number in self.plan.users:
            people = [{"name": f"user{i:04d}"} | users for i in range(number)]
            (CACHE / f"users-{number}.json").write_text(json.dumps({"pypi_users": people, "pypi_rights": []}))
        for _ in range(self.plan.kit_rounds):
            for number in self.plan.users:
                given = ("--tags", "accounts", "-e", f"@{CACHE / f'users-{number}.json'}")
                with self.trying(f"accounts run with {number} users"):
                    self.note(f"accounts {number}, first", play("site.yml", HOST, *given))
                    self.note(f"accounts {number}, unchanged", play("site.yml", HOST, *given))
        play("site.yml", HOST, "--tags", "accounts")

    # The set-ups side by side

    def prepare_host(self) -> None:
        """Install the other set-ups and the tools on the kit's host, and create the files."""
        self.say("the other set-ups")
        on(HOST, "mkdir", "-p", "/opt/bench")
        command(DOCKER, "cp", HERE / "host", f"{HOST}:/opt/bench/", limit=30)
        on(HOST, "sh", "/opt/bench/host/setup.sh", limit=600)
        self.say(f"{max(self.plan.sizes):,} files")
        self.data("make", max(self.plan.sizes), limit=300)
        lines = on(HOST, "sh", "/opt/bench/host/versions.sh").splitlines()
        self.results["versions"] = [line for line in lines if " " in line.strip()]
        memory = on(HOST, "sed", "-n", "s/^MemTotal: *//p", "/proc/meminfo").split()
        model = on(HOST, "sed", "-n", "s/^model name[^:]*: *//p", "/proc/cpuinfo").splitlines()
        self.results["machine"] = {
            "cores": int(on(HOST, "nproc")),
            "memory_bytes": int(memory[0]) * 1024,
            "processor": model[0] if model else "",
        }

    def data(self, *words: object, limit: float) -> Any:
        """Run data.py on the host."""
        return json.loads(on(HOST, "python3", "/opt/bench/host/data.py", *map(str, words), limit=limit))

    def web(self, what: str, setup: Setup, limit: float, **more: object) -> dict[str, Any]:
        """Run web.py on the host, for a set-up."""
        given = json.dumps(asdict(setup) | {"accept": ACCEPT} | more).encode()
        output = on(HOST, "python3", "/opt/bench/host/web.py", what, limit=limit, given=given)
        result: dict[str, Any] = json.loads(output)
        return result

    def wait_idle(self) -> None:
        """Wait until the host is idle, so that earlier work does not affect the next measurement."""
        waited = on(HOST, "python3", "/opt/bench/host/wait_idle.py", str(self.plan.idle_timeout), limit=90).strip()
        self.say(f"  waited {waited} s until the host was idle")

    def systemctl(self, action: str, *units: str) -> None:
        """Start or stop services with systemctl."""
        on(HOST, "systemctl", action, *units, limit=120)

    def clear_password_cache(self) -> None:
        """Clear the password cache of the kit: the shared one, and those of Apache's processes."""
        on(HOST, "sh", "-c", "rm -f /run/pypi-passwords/*", limit=60)
        self.systemctl("restart", "apache2")

    def fill(self, size: int) -> list[str]:
        """Fill the index of each set-up to a size. Return the names of the set-ups that can be measured."""
        self.say(f"{size:,} files: filling the set-ups")
        others = sorted({setup.unit for setup in SETUPS.values()} - {"apache2"})
        self.systemctl("stop", *others)
        seconds = {"size": size} | self.data("fill", size, limit=600)
        names = list(SETUPS)
        imported = self.data("devpi", size, self.plan.import_limit, limit=self.plan.import_limit + 60)
        if "failed" in imported:
            names.remove("devpi")
            others.remove("bench-devpi")
            self.results["failed"].append({"what": "devpi-server", "size": size, "why": imported["failed"]})
        self.results["fills"].append(seconds | imported)
        self.say(f"  {seconds | imported}")
        self.systemctl("start", *others)
        self.same = {}
        for name in list(names):
            sample = 2 if name == "tutorial" else 100
            before = len(self.results["failed"])
            with self.trying("set-up", setup=name, size=size):
                probe = self.web("prepare", SETUPS[name], 200, files=size, sample=sample)
                self.same[name] = probe["same"]
                self.results["probes"].append({"setup": name, "size": size} | probe)
            if len(self.results["failed"]) > before:
                names.remove(name)
        return names

    def load(self, setup: Setup, measure: str, connections: int, seconds: int) -> dict[str, Any]:
        """Request the paths of a measure with wrk, over a number of connections, for a number of seconds."""
        headers = ["Accept: text/html" if measure == "page-html" else f"Accept: {ACCEPT}"]
        headers.append("Accept-Encoding: gzip, deflate")
        if setup.login:
            headers.append("Authorization: Basic " + base64.b64encode(setup.login.encode()).decode())
        if measure == "same":
            headers += self.same[setup.name]
        wrk = ("wrk", "--threads", "2", "--connections", str(connections), "--duration", f"{seconds}s")
        script = ("--timeout", "60s", "--script", "/opt/bench/host/load.lua", setup.url)
        paths = f"{PATHS}/{setup.name}/{measure}"
        output = on(HOST, *wrk, *script, "--", paths, *headers, limit=seconds + 90)
        result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
        if result["errors"]:
            raise MeasurementError(f"{result['errors']} of {result['requests']} requests failed")
        return result

    def loads_of(self, size: int, names: list[str]) -> list[tuple[str, str, int, int, int]]:
        """Return the loads at a size: (set-up, measure, connections, rounds, seconds)."""
        plan, main = self.plan, size == self.plan.main
        seconds = plan.seconds if main else plan.seconds_elsewhere
        jobs = []
        for name in names:
            if name == "tutorial":
                slow = plan.slowest_seconds if size > 10_000 else plan.slow_seconds if size > 1_000 else seconds
                jobs.append((name, "page", 8, plan.rounds if size <= plan.main else 1, slow))
                if main:
                    jobs += [
                        (name, measure, 8, 1, slow)
                        for measure in ("root", "file", "big")
                        if measure in ("root", *plan.also)
                    ]
            elif name == "bare-tls":
                if main:
                    jobs += [(name, measure, 8, plan.rounds, seconds) for measure in ("page", "big")]
            else:
                jobs += [(name, measure, 8, plan.rounds, seconds) for measure in ("page", "root")]
                if main:
                    measures = [measure for measure in plan.also if measure != "same" or self.same[name]]
                    jobs += [(name, measure, 8, plan.rounds, seconds) for measure in measures]
                    jobs += [(name, measure, 256, plan.rounds, seconds) for measure in plan.many]
        return jobs

    def reads(self, size: int, names: list[str]) -> None:
        """Run all loads of a size: by round, by measure, by set-up."""
        jobs = self.loads_of(size, names)
        jobs.sort(key=lambda job: (list(MEASURES).index(job[1]), job[2]))
        for number in range(max(job[3] for job in jobs)):
            due = [job for job in jobs if job[3] > number]
            self.say(f"{size:,} files: reading, round {number + 1}, {len(due)} loads")
            for name, measure, connections, _rounds, seconds in due:
                about = {"setup": name, "size": size, "measure": measure, "connections": connections}
                with self.trying(f"{MEASURES[measure]}, {connections} connections", **about):
                    # Warm up: Apache starts processes on demand, and each has a password cache.
                    if connections > 8 or (number == 0 and name in ("kit", "devpi")):
                        self.load(SETUPS[name], measure, connections, 2 if connections > 8 else 1)
                    result = self.load(SETUPS[name], measure, connections, seconds)
                    self.results["loads"].append(about | {"round": number} | result)

    def many_clients(self, size: int, names: list[str]) -> None:
        """Measure hundreds of concurrent clients, for the kit with a cold password cache."""
        for number in range(self.plan.rounds):
            for name in ("kit", "bare", "nginx", "devpi"):
                if name not in names:
                    continue
                with self.trying(f"{self.plan.clients} clients at once", setup=name, size=size):
                    if name == "kit":
                        self.clear_password_cache()
                    more = {"files": size, "clients": self.plan.clients, "timeout": 60}
                    result = self.web("clients", SETUPS[name], 90, **more)
                    self.results["clients"].append({"setup": name, "size": size, "round": number} | result)
                    self.say(
                        f"  {name}: {self.plan.clients} clients, {result['seconds']:.1f} s, {result['errors']} errors"
                    )

    def installs(self, size: int, names: list[str]) -> None:
        """Measure installs of the tree of 30 projects without a cache, with pip and with uv."""
        python = "/opt/bench/tutorial/bin/python"
        for number in range(self.plan.rounds):
            for name in names:
                setup = SETUPS[name]
                if name == "bare-tls" or (number and name == "tutorial"):
                    continue
                url = setup.url.replace("://", f"://{LOGIN}@") if setup.login else setup.url
                wanted = ("--target", "/tmp/installed", "tree-00")  # noqa: S108
                options = (
                    "--isolated",
                    "install",
                    "--quiet",
                    "--no-cache-dir",
                    "--no-input",
                    "--disable-pip-version-check",
                )
                pip = (python, "-m", "pip", *options, "--cert", "/etc/pypi/tls/ca.crt")
                program = ("env", "SSL_CERT_FILE=/etc/pypi/tls/ca.crt", "/opt/bench/devpi/bin/uv")
                uv = (*program, "pip", "install", "--quiet", "--no-cache", "--no-config", "--python", python)
                for client, words in (("pip", (*pip, "--index-url")), ("uv", (*uv, "--default-index"))):
                    with self.trying(f"cold install with {client}", setup=name, size=size):
                        on(HOST, "rm", "-rf", "/tmp/installed")  # noqa: S108
                        began = time.monotonic()
                        on(HOST, *words, url + setup.index, *wanted, limit=120)
                        seconds = time.monotonic() - began
                        there = on(HOST, "sh", "-c", "ls -d /tmp/installed/*.dist-info | wc -l")
                        if int(there) != 30:
                            raise MeasurementError(f"{there.strip()} of 30 projects were installed")
                        about = {"client": client, "setup": name, "size": size, "round": number}
                        self.results["installs"].append(about | {"seconds": seconds})

    def uploads(self, size: int, names: list[str]) -> None:
        """Measure uploads of small wheels, and at the main size of large ones."""
        for name in names:
            setup = SETUPS[name]
            if setup.upload is None:
                continue
            count = min(3, self.plan.uploads) if name == "tutorial" else self.plan.uploads
            large = self.plan.large if size == self.plan.main else 0
            with self.trying("uploads", setup=name, size=size):
                result = self.web("upload", setup, 300, files=size, count=count, large=large)
                self.results["uploads"].append({"setup": name, "size": size} | result)

    def pss(self, seconds: float) -> tuple[float, float]:
        """Return the median and the maximum memory of all servers over a number of seconds, in bytes."""
        beside = ("--pid", f"container:{HOST}", "--cap-add", "SYS_PTRACE", "--label", "wheelhouse=test-host")
        words = (DOCKER, "run", "--rm", "--interactive", "--network", "none", *beside, IMAGE, "python3", "-")
        program = (HERE / "host" / "memory.py").read_bytes()
        median, most = command(*words, str(seconds), limit=seconds + 60, given=program).split()
        return float(median), float(most)

    def memory(self, size: int, names: list[str]) -> None:
        """Measure the memory of each set-up alone on the host: idle, and with 256 connections."""
        units = sorted({setup.unit for setup in SETUPS.values()})
        for name in names:
            if name not in self.plan.memory:
                continue
            setup = SETUPS[name]
            with self.trying("memory", setup=name, size=size):
                self.systemctl("stop", *units, "pypi-pages.timer", "pypi-pages.path")
                self.systemctl("start", setup.unit)
                self.web("prepare", setup, 200, files=size, sample=2)
                if setup.upload is not None and name != "tutorial":
                    self.web("upload", setup, 60, files=size, count=1, large=0)
                time.sleep(2)
                idle, _most = self.pss(3)
                seconds = 5
                words = (
                    "wrk",
                    "--threads",
                    "2",
                    "--connections",
                    "256",
                    "--duration",
                    f"{seconds + 6}s",
                    "--timeout",
                    "60s",
                )
                headers = ["-H", f"Accept: {ACCEPT}"]
                if setup.login:
                    headers += ["-H", "Authorization: Basic " + base64.b64encode(setup.login.encode()).decode()]
                page = on(HOST, "head", "-n", "1", f"{PATHS}/{name}/page").strip().lstrip("/")
                load = subprocess.Popen(
                    [DOCKER, "exec", HOST, "timeout", "60", *words, *headers, setup.url + page],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                try:
                    _median, loaded = self.pss(seconds)
                finally:
                    load.wait(timeout=90)
                self.results["memory"][name] = {"size": size, "idle_bytes": idle, "loaded_bytes": loaded}
                self.say(f"  memory of {name}: {idle / 1e6:.0f} MB idle, {loaded / 1e6:.0f} MB loaded")
        self.systemctl("start", *units, "pypi-pages.timer", "pypi-pages.path")

    def run(self) -> dict[str, Any]:
        """Run all measurements. Return the results."""
        self.results["date"] = datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%d")
        self.deploys()
        self.runs()
        self.prepare_host()
        for size in self.plan.sizes:
            names = self.fill(size)
            self.wait_idle()
            self.reads(size, names)
            if size == self.plan.main:
                self.say("installs, clients, memory")
                self.installs(size, names)
                self.many_clients(size, names)
                self.memory(size, names)
            self.wait_idle()
            self.say(f"{size:,} files: uploads")
            self.uploads(size, names)
            self.save()
        self.results["seconds"] = time.monotonic() - self.began
        self.save()
        return self.results

    def save(self) -> None:
        """Save the results so far."""
        name = "quick.json" if self.plan is QUICK else "full.json"
        (CACHE / name).write_text(json.dumps(self.results, indent=1))


def main() -> int:
    """Run the command line."""
    CACHE.mkdir(parents=True, exist_ok=True)
    os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    quick = "--quick" in sys.argv[1:]
    if "--render" in sys.argv[1:]:
        results = json.loads((CACHE / ("quick.json" if quick else "full.json")).read_text())
    else:
        results = Bench(QUICK if quick else FULL).run()
    markdown, plot = report.render(results)
    folder = CACHE if quick else ROOT / "docs"
    folder.mkdir(exist_ok=True)
    (folder / "performance.md").write_text(markdown)
    (folder / "performance.svg").write_text(plot)
    print(report.targets(results) if not quick else markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
