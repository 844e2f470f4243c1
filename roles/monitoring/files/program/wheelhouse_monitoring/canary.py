"""The canary: uses the index as a client does, through Apache on 127.0.0.1, under the name of the server.

It lists the projects, downloads a file, compares its digest with the project's page, and checks that requests without a
login are rejected. The result is in a status file, for the exporter, and in the journal.
"""

import base64
import hashlib
import http.client
import json
import os
import random
import ssl
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from wheelhouse_monitoring.audit_log import RESERVED
from wheelhouse_monitoring.files import replace
from wheelhouse_monitoring.results import read_status
from wheelhouse_monitoring.settings import CanarySettings, Settings

ADDRESS = "127.0.0.1"
# Seconds: of inactivity of the connection, and of the whole run. systemd would end a longer run without a result.
TIMEOUT = 20
MAX_DURATION = 90
# Bytes of a page, and of a file to download. A page of 500,000 projects has about 16 MB.
MAX_PAGE = 1 << 24
MAX_FILE = 1 << 26
# Projects of which the smallest file is downloaded.
SAMPLE = 3
# A file may be removed between two requests.
ATTEMPTS = 2
JSON = "application/vnd.pypi.simple.v1+json"
MODE = 0o600


class Fault(Exception):  # noqa: N818  (it is the result of a check)
    """A response is not as it must be."""


class Connection(http.client.HTTPSConnection):
    """A TLS connection to 127.0.0.1 that verifies the certificate for the name of the server."""

    def __init__(self, settings: CanarySettings, authority: Path | None) -> None:
        """Name the server. authority: a private certificate authority in a PEM file, or None."""
        self._tls = ssl.create_default_context(cafile=authority)
        # As pip and curl: Python 3.13 rejects authorities without some extensions, which these accept.
        self._tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._server_name = settings.server_name
        self.certificate_expiry: float | None = None
        super().__init__(ADDRESS, settings.port, timeout=TIMEOUT, context=self._tls)

    def connect(self) -> None:
        """Connect, and verify the certificate. Raises OSError."""
        http.client.HTTPConnection.connect(self)
        secured = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)
        self.sock = secured
        certificate = secured.getpeercert() or {}
        self.certificate_expiry = float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))


@dataclass
class Result:
    """The result of a run. steps: by name, whether they succeeded; reports: for the journal."""

    steps: dict[str, bool] = field(default_factory=dict)
    reports: list[str] = field(default_factory=list)
    certificate_expiry: float | None = None

    @property
    def success(self) -> bool:
        """Whether no step failed."""
        return all(self.steps.values())


class Canary:
    """One run. login: user and password; authority: see Connection; deadline: by time.monotonic()."""

    def __init__(self, settings: CanarySettings, login: tuple[str, str], authority: Path | None) -> None:
        self._settings, self._authority = settings, authority
        token = base64.b64encode(":".join(login).encode()).decode()
        self._authorization = {"Authorization": f"Basic {token}"}
        self._deadline = time.monotonic() + MAX_DURATION
        self.result = Result()

    def run(self) -> Result:
        """Make all steps. Without a connection, no other step is made."""
        if self._step("connect", self._connect):
            self._step("list", self._list_projects)
            if self.result.steps["list"]:
                self._step("download", self._download)
            self._step("forbidden", self._try_forbidden)
        return self.result

    def _step(self, name: str, check: Any) -> bool:
        try:
            report = check()
        except (Fault, OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            self.result.steps[name] = False
            self.result.reports.append(f"{name} failed: {error if isinstance(error, Fault) else repr(error)}")
            return False
        # A step that could not be made has no result.
        if report:
            self.result.steps[name] = True
            self.result.reports.append(f"{name}: {report}")
        return True

    def _connect(self) -> str:
        with closing(self._open()) as connection:
            connection.connect()
            self.result.certificate_expiry = getattr(connection, "certificate_expiry", None)
        return "certificate is valid" if self._settings.encrypted else "without encryption"

    def _list_projects(self) -> str:
        page = self._page("/simple/")
        # Projects of playbooks/verify.yml exist for seconds only.
        self._projects = [one["name"] for one in page["projects"] if not one["name"].startswith(RESERVED)]
        return f"{len(self._projects)} projects"

    def _download(self) -> str:
        """Download a file. Returns "" if there is no file, or none that is small enough."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._download_once()
            except Fault:
                if attempt == ATTEMPTS:
                    raise
        return ""

    def _download_once(self) -> str:
        sample = random.SystemRandom().sample(self._projects, min(SAMPLE, len(self._projects)))
        found = []
        for project in sample:
            path = f"/simple/{quote(project)}/"
            for file in self._page(path)["files"]:
                if file["size"] <= MAX_FILE:
                    found.append((file["size"], urlsplit(urljoin(path, file["url"])).path, file["hashes"]["sha256"]))
        if not found:
            return ""
        size, path, sha256 = min(found)
        received, digest = self._fetch_digest(path)
        if (received, digest) != (size, sha256):
            raise Fault(f"{path} has {received} bytes and SHA-256 {digest}, and its page says {size} and {sha256}")
        return f"{path}, {size} bytes"

    def _try_forbidden(self) -> str:
        for method, path in self._settings.forbidden:
            with closing(self._open()) as connection:
                connection.request(method, path, headers=self._headers())
                status = connection.getresponse().status
            if status not in (401, 403):
                raise Fault(f"{method} {path} without a login: expected 401 or 403, got {status}")
        return "requests without a login are rejected"

    def _page(self, path: str) -> Any:
        body = bytearray()
        for chunk in self._chunks(path, MAX_PAGE):
            body += chunk
        return json.loads(body)

    def _fetch_digest(self, path: str) -> tuple[int, str]:
        size, digest = 0, hashlib.sha256()
        for chunk in self._chunks(path, MAX_FILE):
            size += len(chunk)
            digest.update(chunk)
        return size, digest.hexdigest()

    def _chunks(self, path: str, limit: int) -> Any:
        """Yield the body of a response with status 200. Raises Fault."""
        with closing(self._open()) as connection:
            connection.request("GET", path, headers=self._headers() | self._authorization)
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise Fault(f"GET {path}: expected 200, got {response.status}")
            left = limit
            while chunk := response.read(1 << 16):
                left -= len(chunk)
                if left < 0:
                    raise Fault(f"GET {path}: the response has more than {limit} bytes")
                if time.monotonic() > self._deadline:
                    raise Fault(f"GET {path}: the run takes longer than {MAX_DURATION} seconds")
                yield chunk

    def _open(self) -> http.client.HTTPConnection:
        if self._settings.encrypted:
            return Connection(self._settings, self._authority)
        return http.client.HTTPConnection(ADDRESS, self._settings.port, timeout=TIMEOUT)

    def _headers(self) -> dict[str, str]:
        host = f"{self._settings.server_name}:{self._settings.port}"
        return {"Host": host, "Accept": f"{JSON}, */*;q=0.1", "User-Agent": "wheelhouse-canary", "Connection": "close"}


def run(settings: Settings) -> int:
    """Run the canary with the credentials that its unit provides. Returns the exit status: 1 if there is a fault."""
    credentials = Path(os.environ["RUNTIME_DIRECTORY"])
    login = json.loads((credentials / "login").read_text(encoding="utf-8"))
    authority = credentials / "ca.crt" if settings.canary.private_ca else None
    begin = time.monotonic()
    result = Canary(settings.canary, (login["user"], login["password"]), authority).run()
    write_result(settings.canary_file, result, time.monotonic() - begin)
    state = "no fault" if result.success else "FAULT"
    print(f"canary: {state}: {'; '.join(result.reports)}", file=sys.stdout if result.success else sys.stderr)
    return 0 if result.success else 1


def write_result(path: Path, result: Result, duration: float) -> None:
    """Write the status file. The expiry of a certificate that was received before is kept. Raises OSError."""
    expiry = result.certificate_expiry
    if expiry is None:
        try:
            expiry = read_status(path).get("certificate_expiry")
        except (OSError, ValueError, TypeError):
            expiry = None
    status = {
        "timestamp": time.time(),
        "duration": duration,
        "success": result.success,
        "steps": result.steps,
        "certificate_expiry": expiry,
    }
    replace(path, json.dumps(status), MODE)
