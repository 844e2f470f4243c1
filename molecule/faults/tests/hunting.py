"""Hunts: clients publish and read, something breaks again and again, and afterwards every byte is accounted for."""

import json
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

MACHINES = Path(__file__).resolve().parents[1] / "machines"

# Sizes of files in bytes, and how often each comes.
SIZES = {2_000: 60, 100_000: 25, 2_000_000: 12, 20_000_000: 3}
# How long a fault is repeated. A machine that is busy with something else does it less often.
SECONDS = 300

SMALL = {2_000: 60, 100_000: 30, 1_500_000: 10}

# No answer at all, and those that tell a client to try again.
CUT_OFF = {None, 500, 502, 503, 504}
NO_ROOM = {503, 507}

HEADING = ("fault", "tried", "accepted", "torn", "lost", "wrong hash", "blocked", "litter", "reader errors")


@dataclass
class Outcome:
    """What came of one hunt on one server.

    tried: how often the fault was made; accepted: uploads that were answered with 200; the others are lists of what
    must not be. torn: files that nobody has sent like this; lost: accepted and not there; wrong: on a page with another
    hash than the file has, or not on it, or not there; blocked: could not be published afterwards; errors: readers who
    did not get what there is; other: whatever else is wrong; notes: what else was measured.
    """

    fault: str
    tried: int
    accepted: int = 0
    torn: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    litter: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    statuses: Counter = field(default_factory=Counter)

    @property
    def faults(self) -> dict[str, list[str]]:
        """All that must not be, some of each kind; nothing if all is well."""
        kinds = ("torn", "lost", "wrong", "blocked", "litter", "errors", "other")
        return {kind: getattr(self, kind)[:5] for kind in kinds if getattr(self, kind)}

    @property
    def row(self) -> list:
        """Its numbers, as in HEADING, with what has no column in the one before the last."""
        counts = [len(kind) for kind in (self.torn, self.lost, self.wrong, self.blocked, self.litter + self.other)]
        return [self.tried, self.accepted, *counts, len(self.errors)]


class Hunt:
    """One server with the client machine that goes with it."""

    def __init__(self, server: str, host, client, settings: dict, password: str, put: Callable, seed: int):
        self.server, self.host, self.client, self.settings = server, host, client, settings
        self.chance = random.Random(f"{seed} {server}")
        self.password, self._put = password, put
        self.data = settings["pypi_data_dir"]
        self.astray: list[str] = []
        for name in ("strike.py", "look.py"):
            put(host, f"/root/{name}", (MACHINES / name).read_bytes())
        put(client, "/root/load.py", (MACHINES / "load.py").read_bytes())

    # What clients do.

    def files(self, projects: str, count: int, sizes: dict[int, int] = SIZES, over: int = 8) -> list[dict]:
        """Files to publish, of so many projects."""
        drawn = self.chance.choices(list(sizes), list(sizes.values()), k=count)
        names = (f"{projects}_{number % over}-1.{number}-py3-none-any.whl" for number in range(count))
        return [{"name": name, "size": size} for name, size in zip(names, drawn, strict=True)]

    def load(
        self, projects: str, files: Iterable[dict], *, publishers: int = 4, readers: int = 0, survey: bool = False
    ) -> dict:
        """Publish files, until all of them have been tried or stop() is called. Returns what load.py says."""
        told = f"/root/told-{threading.get_ident()}.json"
        plan = {
            "url": self.settings["pypi_url"],
            "user": "alice",
            "password": self.password,
            "projects": projects.replace("_", "-"),
            "files": list(files),
            "publishers": publishers,
            "readers": readers,
            "survey": survey,
            "stop": "/root/stop",
            "told": told,
        }
        path = f"{told}.plan"
        self.client.check_output("rm -f /root/stop")
        self._send(path, json.dumps(plan).encode())
        self.client.check_output("python3 /root/load.py %s", path)
        return json.loads(self.client.file(told).content)

    def _send(self, path: str, content: bytes) -> None:
        """Write a file of any size on the client machine."""
        step = 90_000
        self.client.check_output("rm -f %s", path)
        for start in range(0, len(content), step):
            self._put(self.client, f"{path}.part", content[start : start + step])
            self.client.check_output("cat %s >> %s", f"{path}.part", path)

    def stop(self) -> None:
        """Have the clients end what they are at, and begin nothing more."""
        self.client.check_output("touch /root/stop")

    # What happens to the server.

    def strike(self, what: str, times: int) -> int:
        """Inject a fault so many times, at moments that the seed decides, but not after SECONDS.

        Return how often it was done: less often on a machine that is busy.
        """
        seed = self.chance.randrange(1 << 32)
        struck = json.loads(self.host.check_output(f"python3 /root/strike.py {what} {times} {SECONDS} {seed}"))
        self.astray += struck["astray"]
        return struck["times"]

    def recover(self) -> None:
        """What happens by itself: services start again, and the timer comes round. Here, at once."""
        self.host.check_output("systemctl restart apache2")
        self.healthy()
        self.host.run("systemctl start pypi-pages.service")

    def healthy(self, seconds: int = 300) -> None:
        """Wait until the index says that it can do its work."""
        url = f"{self.settings['pypi_url']}-/health"
        for _ in range(seconds * 2):
            if self.client.run("curl --silent --fail --max-time 5 %s", url).rc == 0:
                return
            time.sleep(0.5)
        raise AssertionError(f"{self.server} does not recover: " + self.client.run("curl --silent %s", url).stdout)

    # What is looked at afterwards.

    def look(self) -> dict:
        """What there is on the server: see look.py."""
        settings = self.settings
        places = [self.data, settings["pypi_pages_dir"], settings["pypi_log_dir"]]
        return json.loads(self.host.check_output("python3 /root/look.py %s %s %s", *places))

    def storm(
        self,
        fault: str,
        break_it: Callable[[], int],
        projects: str,
        *,
        sizes: dict[int, int] = SIZES,
        may_answer: set,
        reads_go_on: bool = True,
        afterwards: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Publish and read while something breaks it. Then account for it.

        may_answer: the statuses besides 200 that publishers may get; reads_go_on: whether readers must notice nothing;
        afterwards: how a person would help, if anybody has to.
        """
        with in_background(partial(self.load, projects, self.files(projects, 4000, sizes), readers=2)) as loaded:
            try:
                time.sleep(1)
                tried = break_it()
            finally:
                self.stop()
        told = loaded()
        afterwards()
        return self.account(Outcome(fault, tried), told, projects, may_answer, reads_go_on)

    def account(self, outcome: Outcome, told: dict, projects: str, may_answer: set, reads_go_on: bool) -> Outcome:
        """Let it recover, send again what was not accepted, and see what has become of each upload."""
        self.recover()
        sent = {file["name"]: file for file in told["files"]}
        accepted = {name for name, file in sent.items() if 200 in file["statuses"]}
        outcome.accepted = len(accepted)
        outcome.statuses = Counter(status for file in sent.values() for status in file["statuses"])
        outcome.other += [
            f"{name}: {set(file['statuses'])} {file['errors']}"
            for name, file in sent.items()
            if set(file["statuses"]) - may_answer - {200}
        ]
        again = [{"name": name, "size": sent[name]["size"]} for name in sent.keys() - accepted]
        second = self.load(projects, again, survey=True)
        outcome.blocked += [
            f"{file['name']}: {file['errors']}" for file in second["files"] if 200 not in file["statuses"]
        ]
        found = self.look()
        there = {name: digest for name, digest in found["there"].items() if name.startswith(projects)}
        expected = {name: file["sha256"] for name, file in sent.items()}
        outcome.torn += [name for name in there if there[name] != expected.get(name)]
        outcome.lost += [name for name in accepted if there.get(name) != expected[name]]
        outcome.wrong += sorted(name for name, _ in there.items() ^ second["listed"].items()) + told["faults"]
        outcome.litter += found["litter"] + self.astray
        self.astray = []
        if reads_go_on:
            outcome.errors += told["unanswered"]
        # Apache has found a file and cannot open it any more, at the very moment at which the disk goes away.
        if reads_go_on or len(told["refused"]) > outcome.tried or not all(map(is_file, told["refused"])):
            outcome.wrong += told["refused"]
        self._ask_the_server(outcome, accepted)
        return outcome

    def _ask_the_server(self, outcome: Outcome, accepted: set[str]) -> None:
        """What the kit itself says of it."""
        for question in ("check", "audit verify"):
            asked = self.host.run(f"wheelhouse {question}")
            if asked.rc:
                outcome.other.append(f"wheelhouse {question}: {asked.stdout[-500:]} {asked.stderr[-500:]}")
        log = self.host.check_output(f"cat {self.settings['pypi_log_dir']}/audit/audit.log*")
        lines = [json.loads(line) for line in log.splitlines()]
        logged = {line.get("filename") for line in lines if line["event"] in ("upload", "same")}
        outcome.other += [f"{name}: accepted, and not in the audit log" for name in accepted - logged]

    def share_mounts(self) -> None:
        """Have services see what is mounted and unmounted while they run, as systemd does it outside of containers."""
        self.host.check_output("mount --make-rshared / && systemctl restart apache2 pypi-application-proxy")
        self.healthy()

    @contextmanager
    def small_disk(self, *options: str):
        """Have the data on a small file system in memory, for as long as this lasts."""
        self.clear()
        application = "pypi-application-proxy.socket pypi-application-proxy pypi-application"
        services = f"apache2 {application} pypi-pages.path pypi-pages.timer"
        mount = f"mount -t tmpfs -o mode=0755,{','.join(options)} tmpfs /mnt/small"
        here, small = self.data, "/mnt/small"
        self.host.check_output(
            f"systemctl stop {services} && mkdir -p {small} && {mount} && cp -a {here}/. {small}/ && "
            f"mount --bind {small} {here} && systemctl start {services}"
        )
        self.healthy()
        try:
            yield
        finally:
            self.host.check_output(
                f"systemctl stop {services}; umount --lazy {here} && rm -rf {here}/packages/* && "
                f"cp -a {small}/. {here}/ && umount --lazy {small}; systemctl start {services}"
            )
            self.healthy()

    def clear(self) -> None:
        """Remove all files by hand, as an admin may."""
        self.host.check_output(f"find {self.data}/packages -type f -delete; systemctl start pypi-pages.service")

    def docker(self, *words: str) -> None:
        """Tell the container engine what to do with the server."""
        name = self.host.ansible.get_variables()["ansible_host"]
        subprocess.run(["docker", *words, name], check=True, stdout=subprocess.DEVNULL)


def is_file(refused: str) -> bool:
    """Whether a refusal is of a file, and not of a page."""
    return refused.startswith("/packages/")


@contextmanager
def in_background(work: Callable):
    """Do something meanwhile. Gives a way to its result, for afterwards."""
    results, errors = [], []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  (raised below)
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def result():
        if errors:
            raise errors[0]
        return results[0]

    try:
        yield result
    finally:
        thread.join()
