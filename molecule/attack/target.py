"""The server under attack, and the hosts that attack it."""

import base64
import io
import json
import re
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from shared.client_env import ClientEnvironment
from shared.http import Response, curl
from shared.raw_http import RawRequest, request, send_all
from shared.uploads import form
from support.archives import sdist

PROGRAMS = Path(__file__).parent / "machines"
DIRECTORY = "/root/attack"
LOGS = {"access": "access.log", "error": "error.log", "audit": "audit/audit.log"}


@dataclass
class Target:
    """A server under attack.

    client: the attacking container; other: a client container with another address; users: {role: user name} with the
    roles publisher, other_publisher, reader (may read) and unprivileged (may not upload).
    """

    server: str
    host: object
    client: object
    other: object
    settings: dict
    users: dict[str, str]
    put: Callable
    password_of: Callable[[str, str], str]
    _prepared: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        """Return the index's URL."""
        return self.settings["pypi_url"]

    def login(self, role: str) -> tuple[str, str]:
        """Return the user name and the password of a role."""
        return self.users[role], self.password_of(self.server, self.users[role])

    def new_name(self) -> str:
        """Return an unused project name, as in file names, that the publisher may upload."""
        return f"acme_attack_{uuid.uuid4().hex[:10]}"

    # Single requests.

    def fetch(self, path: str, *options: str, user: str | tuple[str, str] | None = None, machine=None) -> Response:
        """Make a request with curl. user: a role, or a user name and a password."""
        login = self.login(user) if isinstance(user, str) else user
        credentials = ["--user", ":".join(login)] if login else []
        url = path if "://" in path else self.url + path.removeprefix("/")
        return curl(machine or self.client, *credentials, *options, url)

    def upload(self, filename: str, content: bytes, *, user: str = "publisher", **fields: str) -> Response:
        """Upload a small file as a role. Return the last response; status 0 if there was none."""
        return self.send(request(form(filename, content, **fields), login=self.login(user)))[-1]

    def send(self, *requests: bytes | RawRequest, simultaneous: bool = False) -> list[Response]:
        """Send raw requests, each on its own connection. Return the first response to each; status 0 for none."""
        raw = [one if isinstance(one, RawRequest) else RawRequest((one,)) for one in requests]
        responses = send_all(self.client, self.put, self.url, raw, simultaneous=simultaneous)
        return [next(iter(response), Response(0, {}, "")) for response in responses]

    def page(self, project: str, user: str = "reader") -> Response:
        """Request a project's page as JSON, compressed as clients do."""
        accept = "Accept: application/vnd.pypi.simple.v1+json"
        return self.fetch(f"/simple/{project.replace('_', '-')}/", "--compressed", "--header", accept, user=user)

    def client_env(self, user: str) -> ClientEnvironment:
        """Create an environment on the client with a role's credentials."""
        name, password = self.login(user)
        host = re.sub(r"^https?://([^:/]+).*$", r"\1", self.url)
        login = {"url": self.url, "host": host, "user": name, "password": password, "url_with_login": self.url}
        return ClientEnvironment(self.client, self.put, login)

    def remove(self, project: str) -> None:
        """Delete a project's files as an administrator does, so that they do not count towards the quota."""
        packages = f"{self.settings['pypi_data_dir']}/packages"
        self.host.check_output(f"find {packages} -name '{project}*' -delete; systemctl start pypi-pages.service")

    # Programs of machines/.

    def run(self, machine, program: str, plan: dict, seconds: int = 300) -> object:
        """Run a program of machines/ with a plan. Return what it prints."""
        with self.running(machine, program, plan, seconds=seconds, stop=False) as done:
            pass
        return done.result

    @contextmanager
    def running(
        self, machine, program: str, plan: dict, *, seconds: int = 300, stop: bool = True
    ) -> Iterator[SimpleNamespace]:
        """Run a program while the block runs. Its output is `result` afterwards.

        seconds: a timeout, after which it is killed; stop: whether it is stopped at the end of the block.
        """
        self._prepare(machine)
        mark = f"{DIRECTORY}/{uuid.uuid4().hex}"
        plan = plan | {"ready": f"{mark}.ready", "stop": f"{mark}.stop"}
        path = self.put(machine, f"{mark}.json", json.dumps(plan).encode())
        done, errors = SimpleNamespace(result=None, thread=None), []

        def work() -> None:
            try:
                done.result = json.loads(
                    machine.check_output(f"timeout {seconds} python3 {DIRECTORY}/{program} {path}")
                )
            except BaseException as error:  # noqa: BLE001  (raised below)
                errors.append(error)
                machine.run(f"touch {mark}.ready")

        done.thread = thread = threading.Thread(target=work)
        thread.start()
        try:
            if stop:
                machine.check_output(f"timeout 60 sh -c 'until [ -e {mark}.ready ]; do sleep 0.05; done'")
            yield done
        finally:
            if stop:
                machine.check_output(f"touch {mark}.stop")
            thread.join()
        if errors:
            raise errors[0]

    def _prepare(self, machine) -> None:
        """Copy the programs to a host, unless done before."""
        if machine.backend.host in self._prepared:
            return
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            for path in sorted(PROGRAMS.glob("*.py")):
                tar.add(path, path.name)
        packed = self.put(machine, "/root/attack.tar.gz", archive.getvalue())
        machine.check_output(f"mkdir -p {DIRECTORY} && tar --no-same-owner -xzf {packed} -C {DIRECTORY}")
        self._prepared.add(machine.backend.host)

    def memory(self):
        """Measure the memory of all processes of the index while the block runs: result has before and peak.

        The processes are restarted and used once, so that earlier attacks do not affect the measurement.
        """
        self.host.check_output("systemctl restart apache2; systemctl try-restart pypi-application || true")
        assert self.healthy()
        self.fetch("/simple/", user="reader")
        name = self.new_name()
        assert self.upload(f"{name}-1.0.tar.gz", sdist(name.replace("_", "-"))).status == 200
        return self.running(self.host, "memory.py", {})

    def wait_until_idle(self) -> None:
        """Wait until the server has finished with the requests of an attack."""
        self.run(self.host, "idle.py", {"seconds": 180})

    def probes(self, *, interval: float = 0.5, timeout: float = 20, user: str = "other_publisher"):
        """Use the index from another address while the block runs: result has health, page and upload."""
        name, password = self.login(user)
        project = self.new_name()
        login = {"user": name, "password": password}
        # A form without a digest; the version of the file is the number of the request.
        probes = {
            "health": {"method": "GET", "path": "/-/health"},
            "page": {"method": "GET", "path": "/simple/"} | login,
        }
        plan = {"url": self.url, "seconds": 400, "interval": interval, "timeout": timeout, "probes": probes}
        content = base64.b64encode(sdist(project.replace("_", "-"), "1.0")).decode()
        upload = {"method": "POST", "path": "/", "upload": f"{project}-1.0.tar.gz", "content": content}
        probes["upload"] = upload | login
        return self.running(self.other, "probe.py", plan, seconds=600)

    # Logs.

    def log_sizes(self) -> dict[str, int]:
        """Return the size of each log in bytes."""
        directory = self.settings["pypi_log_dir"]
        # A log that does not exist yet is empty.
        command = "; ".join(f"cat {directory}/{path} 2>/dev/null | wc -c" for path in LOGS.values())
        sizes = self.host.check_output(command).split()
        return dict(zip(LOGS, map(int, sizes), strict=True))

    def log_since(self, name: str, size: int) -> str:
        """Return what was appended to a log since it had the given size."""
        path = f"{self.settings['pypi_log_dir']}/{LOGS[name]}"
        return self.host.run(f"tail -c +{size + 1} {path}").stdout

    def is_logged(self, name: str, size: int, pattern: str, seconds: int) -> bool:
        """Wait for a log line that matches a pattern. Return whether one was written in time."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.log_since(name, size))) and time.monotonic() < end:
            time.sleep(0.5)
        return bool(found)

    def reset_rejection_count(self) -> None:
        """Restart the application: after some rejections of a user within a minute, it only counts further ones."""
        self.host.check_output("systemctl restart pypi-application")
        assert self.healthy()

    def main_process(self, unit: str) -> int:
        """Return the main process of a unit; 0 if there is none."""
        return int(self.host.check_output(f"systemctl show --property MainPID --value {unit}") or 0)

    def recover(self) -> None:
        """Restart services that an attack has stopped permanently, so that the next one finds a working index."""
        units = "apache2 pypi-application"
        self.host.run(f"systemctl reset-failed {units}; systemctl restart apache2; systemctl try-restart {units}")
        assert self.healthy(120), "the index does not recover"

    def healthy(self, seconds: int = 60) -> bool:
        """Wait until the index's health is 200. Return whether it was in time."""
        command = f"curl --silent --fail --output /dev/null --max-time 5 {self.url}-/health"
        return self.other.run(f"timeout {seconds} sh -c 'until {command}; do sleep 0.3; done'").rc == 0
