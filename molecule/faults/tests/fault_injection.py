"""Fault injection under load, with a full consistency check afterwards."""

import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from shared.load import Load, in_background

# Random numbers of this run: make faults SEED=1 repeats them.
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))

MACHINES = Path(__file__).resolve().parents[1] / "machines"

# Sizes of files in bytes, and their relative frequency.
SIZES = {2_000: 60, 100_000: 25, 2_000_000: 12, 20_000_000: 3}
# Maximum duration of a fault's repetitions. A busy machine injects it less often.
SECONDS = 300

SMALL = {2_000: 60, 100_000: 30, 1_500_000: 10}

# No response at all, and responses after which clients retry.
INTERRUPTED = {None, 500, 502, 503, 504}
NO_SPACE = {503, 507}

HEADING = ("fault", "injected", "accepted", "corrupt", "lost", "wrong hash", "blocked", "stale", "reader errors")


@dataclass
class Outcome:
    """The outcome of one fault on one server.

    injected: how often the fault was injected; accepted: the number of uploads with status 200. The other attributes
    are lists of violations. corrupt: stored files that no client has sent; lost: accepted files that are not stored;
    wrong_hash: files whose page entry is missing or differs from the stored file; blocked: files that could not be
    published afterwards; stale: stale temporary files; errors: failed reads; other: others; notes: measurements.
    """

    fault: str
    injected: int
    accepted: int = 0
    corrupt: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong_hash: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    statuses: Counter = field(default_factory=Counter)

    @property
    def faults(self) -> dict[str, list[str]]:
        """Return some violations of each kind; empty if there are none."""
        kinds = ("corrupt", "lost", "wrong_hash", "blocked", "stale", "errors", "other")
        return {kind: getattr(self, kind)[:5] for kind in kinds if getattr(self, kind)}

    @property
    def row(self) -> list:
        """Return the columns of HEADING. Other violations are counted as stale files."""
        counts = [
            len(kind) for kind in (self.corrupt, self.lost, self.wrong_hash, self.blocked, self.stale + self.other)
        ]
        return [self.injected, self.accepted, *counts, len(self.errors)]


class FaultRun:
    """One server with its client container."""

    def __init__(self, server: str, host, client, settings: dict, password: str, put: Callable, seed: int):
        self.server, self.host, self.client, self.settings = server, host, client, settings
        self.chance = random.Random(f"{seed} {server}")
        self.password = password
        self.data = settings["pypi_data_dir"]
        self.misplaced: list[str] = []
        for name in ("inject.py", "inspect_files.py"):
            put(host, f"/root/{name}", (MACHINES / name).read_bytes())
        self._load = Load(client, put, settings["pypi_url"], "alice", password)

    # Clients.

    def files(self, projects: str, count: int, sizes: dict[int, int] = SIZES, over: int = 8) -> list[dict]:
        """Return files to publish, distributed over the given number of projects."""
        drawn = self.chance.choices(list(sizes), list(sizes.values()), k=count)
        names = (f"{projects}_{number % over}-1.{number}-py3-none-any.whl" for number in range(count))
        return [{"name": name, "size": size} for name, size in zip(names, drawn, strict=True)]

    def load(self, *arguments, **options) -> dict:
        """Publish and read: see Load.run()."""
        return self._load.run(*arguments, **options)

    def stop(self) -> None:
        """Make the clients finish their current requests and start no new ones."""
        self._load.stop()

    @property
    def stop_file(self) -> str:
        """The path on the client container that exists after stop()."""
        return self._load.stop_file

    # Faults.

    def inject(self, fault: str, times: int) -> int:
        """Inject a fault repeatedly, at moments that the seed determines, but at most for SECONDS.

        Return how often it was injected.
        """
        seed = self.chance.randrange(1 << 32)
        result = json.loads(self.host.check_output(f"python3 /root/inject.py {fault} {times} {SECONDS} {seed}"))
        self.misplaced += result["misplaced"]
        return result["times"]

    def recover(self) -> None:
        """Trigger the automatic recovery at once: services restart, and the timer elapses."""
        self.host.check_output("systemctl restart apache2")
        self.wait_until_healthy()
        self.host.run("systemctl start pypi-pages.service")

    def wait_until_healthy(self, seconds: int = 300) -> None:
        """Wait until the health check succeeds."""
        url = f"{self.settings['pypi_url']}-/health"
        for _ in range(seconds * 2):
            if self.client.run("curl --silent --fail --max-time 5 %s", url).rc == 0:
                return
            time.sleep(0.5)
        raise AssertionError(f"{self.server} does not recover: " + self.client.run("curl --silent %s", url).stdout)

    # Consistency checks.

    def inspect_files(self) -> dict:
        """Return the files on the server: see inspect_files.py."""
        settings = self.settings
        directories = [self.data, settings["pypi_pages_dir"], settings["pypi_log_dir"]]
        return json.loads(self.host.check_output("python3 /root/inspect_files.py %s %s %s", *directories))

    def run_under_load(
        self,
        fault: str,
        inject: Callable[[], int],
        projects: str,
        *,
        sizes: dict[int, int] = SIZES,
        allowed_statuses: set,
        reads_must_work: bool = True,
        afterwards: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Publish and read while a fault is injected. Then check the consistency.

        allowed_statuses: the statuses besides 200 that publishers may get; reads_must_work: whether failed reads are
        violations; afterwards: a manual intervention, if one is needed.
        """
        with in_background(partial(self.load, projects, self.files(projects, 4000, sizes), readers=2)) as loaded:
            try:
                time.sleep(1)
                injected = inject()
            finally:
                self.stop()
        result = loaded()
        afterwards()
        return self.check_consistency(Outcome(fault, injected), result, projects, allowed_statuses, reads_must_work)

    def check_consistency(
        self, outcome: Outcome, result: dict, projects: str, allowed_statuses: set, reads_must_work: bool
    ) -> Outcome:
        """Let the server recover, upload again what was not accepted, and check each upload."""
        self.recover()
        sent = {file["name"]: file for file in result["files"]}
        accepted = {name for name, file in sent.items() if 200 in file["statuses"]}
        outcome.accepted = len(accepted)
        outcome.statuses = Counter(status for file in sent.values() for status in file["statuses"])
        outcome.other += [
            f"{name}: {set(file['statuses'])} {file['errors']}"
            for name, file in sent.items()
            if set(file["statuses"]) - allowed_statuses - {200}
        ]
        again = [{"name": name, "size": sent[name]["size"]} for name in sent.keys() - accepted]
        second = self.load(projects, again, list_files=True)
        outcome.blocked += [
            f"{file['name']}: {file['errors']}" for file in second["files"] if 200 not in file["statuses"]
        ]
        found = self.inspect_files()
        stored = {name: digest for name, digest in found["stored"].items() if name.startswith(projects)}
        expected = {name: file["sha256"] for name, file in sent.items()}
        outcome.corrupt += [name for name in stored if stored[name] != expected.get(name)]
        outcome.lost += [name for name in accepted if stored.get(name) != expected[name]]
        outcome.wrong_hash += sorted(name for name, _ in stored.items() ^ second["listed"].items()) + result["faults"]
        outcome.stale += found["stale"] + self.misplaced
        self.misplaced = []
        if reads_must_work:
            outcome.errors += result["unavailable"]
        # Race: Apache may have found a file and not opened it yet at the moment in which the disk is unmounted.
        if reads_must_work or len(result["rejected"]) > outcome.injected or not all(map(is_file, result["rejected"])):
            outcome.wrong_hash += result["rejected"]
        self._check_on_server(outcome, accepted)
        return outcome

    def _check_on_server(self, outcome: Outcome, accepted: set[str]) -> None:
        """Run the kit's own checks, and look for accepted uploads in the audit log."""
        for command in ("check", "audit verify"):
            checked = self.host.run(f"wheelhouse {command}")
            if checked.rc:
                outcome.other.append(f"wheelhouse {command}: {checked.stdout[-500:]} {checked.stderr[-500:]}")
        log = self.host.check_output(f"cat {self.settings['pypi_log_dir']}/audit/audit.log*")
        lines = [json.loads(line) for line in log.splitlines()]
        logged = {line.get("filename") for line in lines if line["event"] in ("upload", "same")}
        outcome.other += [f"{name}: accepted, but not in the audit log" for name in accepted - logged]

    def share_mounts(self) -> None:
        """Propagate later mounts and unmounts to running services, as systemd does outside of containers."""
        self.host.check_output("mount --make-rshared / && systemctl restart apache2 pypi-application-proxy")
        self.wait_until_healthy()

    @contextmanager
    def small_disk(self, *options: str):
        """Keep the data on a small tmpfs while the context is active."""
        self.clear()
        application = "pypi-application-proxy.socket pypi-application-proxy pypi-application"
        services = f"apache2 {application} pypi-pages.path pypi-pages.timer"
        mount = f"mount -t tmpfs -o mode=0755,{','.join(options)} tmpfs /mnt/small"
        data, small = self.data, "/mnt/small"
        self.host.check_output(
            f"systemctl stop {services} && mkdir -p {small} && {mount} && cp -a {data}/. {small}/ && "
            f"mount --bind {small} {data} && systemctl start {services}"
        )
        self.wait_until_healthy()
        try:
            yield
        finally:
            self.host.check_output(
                f"systemctl stop {services}; umount --lazy {data} && rm -rf {data}/packages/* && "
                f"cp -a {small}/. {data}/ && umount --lazy {small}; systemctl start {services}"
            )
            self.wait_until_healthy()

    def clear(self) -> None:
        """Delete all files from the packages directory, as an admin may."""
        self.host.check_output(f"find {self.data}/packages -type f -delete; systemctl start pypi-pages.service")

    def docker(self, *arguments: str) -> None:
        """Run a docker command on the server's container."""
        name = self.host.ansible.get_variables()["ansible_host"]
        subprocess.run(["docker", *arguments, name], check=True, stdout=subprocess.DEVNULL)


def is_file(rejected: str) -> bool:
    """Return whether a rejected request was for a file, not for a page."""
    return rejected.startswith("/packages/")
