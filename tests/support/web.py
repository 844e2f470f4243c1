"""An index in a temporary directory, with a client that sends requests as Apache does."""

import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path

from wheelhouse.config import Settings
from wheelhouse.web.app import create_app

from support.archives import fitting
from support.pages import make_directories, write_settings

BOUNDARY = "----boundary"
ADDRESS = "192.0.2.7"

RIGHTS = {
    "groups": {"publishers": ["bob"]},
    "rights": [
        {"users": ["alice"], "groups": [], "may": ["upload", "remove"], "projects": ["*"]},
        {"users": [], "groups": ["publishers"], "may": ["upload"], "projects": ["acme-*", "foo"]},
    ],
}


@dataclass(frozen=True)
class Answer:
    """A response of the application. status is the complete status line, such as "200 OK"."""

    status: str
    headers: dict[str, str]
    body: str

    @property
    def code(self) -> int:
        return int(self.status.split(" ", 1)[0])

    @property
    def reason(self) -> str:
        return self.status.split(" ", 1)[1]


@dataclass(frozen=True)
class Part:
    """A part of a form. A part with a filename is a file."""

    name: str
    content: bytes
    filename: str | None = None

    def encoded(self) -> bytes:
        label = f'form-data; name="{self.name}"'
        if self.filename is not None:
            label += f'; filename="{self.filename}"'
        return f"Content-Disposition: {label}\r\n\r\n".encode() + self.content + b"\r\n"


def multipart(parts: list[Part], *, whole: bool = True) -> bytes:
    """Encode a form. Without `whole`, it lacks its closing boundary (RFC 2046, section 5.1.1)."""
    body = b"".join(f"--{BOUNDARY}\r\n".encode() + part.encoded() for part in parts)
    return body + (f"--{BOUNDARY}--\r\n".encode() if whole else b"")


def upload_form(filename: str, content: bytes, **fields: str) -> list[Part]:
    """Return the form that twine sends: the action, the digest and the file."""
    fields = {":action": "file_upload", "sha256_digest": hashlib.sha256(content).hexdigest()} | fields
    form = [Part(name, value.encode()) for name, value in fields.items()]
    return [*form, Part("content", content, filename)]


@dataclass
class Index:
    """An index with its directories, rights and application."""

    home: Path
    log: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        make_directories(self.data, self.pages)
        self.rights.write_text(json.dumps(RIGHTS))
        self.settings = write_settings(self.home, self.data, self.pages)
        self.start()

    def start(self, **changed: object) -> None:
        """Restart the application. changed: settings; limits are given by their own names."""
        settings = json.loads(self.settings.read_text())
        for name, value in changed.items():
            group = next((settings[key] for key in ("limits", "admission") if name in settings[key]), settings)
            group[name] = value
        self.settings.write_text(json.dumps(settings))
        self.application = create_app(Settings.load(self.settings))

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def packages(self) -> Path:
        return self.data / "packages"

    @property
    def pages(self) -> Path:
        return self.home / "pages"

    @property
    def rights(self) -> Path:
        return self.home / "rights.json"

    @property
    def audit_log(self) -> Path:
        return self.home / "log/audit/audit.log"

    def audit(self) -> list[dict]:
        """Return the entries of the audit log."""
        if not self.audit_log.exists():
            return []
        return [json.loads(line) for line in self.audit_log.read_text().splitlines()]

    def events(self) -> list[str]:
        """Return the events in the audit log."""
        return [line["event"] for line in self.audit()]

    def allow(self, *rights: dict) -> None:
        """Replace all rights. Each right: users or groups, actions, project patterns."""
        self.rights.write_text(
            json.dumps({"groups": {}, "rights": [{"users": [], "groups": []} | one for one in rights]})
        )

    def stored(self) -> dict[str, bytes]:
        """Return the content of the packages directory, including hidden files."""
        return {path.name: path.read_bytes() for path in self.packages.iterdir()}

    def request(self, method: str, path: str, user: str | None = None, body: bytes = b"", **environ: str) -> Answer:
        """Send a request. user: the user that Apache has authenticated."""
        seen = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "pypi.example.com",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": ADDRESS,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": self.log,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        seen |= {"HTTP_X_FORWARDED_USER": user} if user else {}
        started: list = []
        chunks = self.application(
            seen | environ, lambda status, headers, _error=None: started.append((status, headers))
        )
        content = b"".join(chunks).decode()
        status, headers = started[-1]
        return Answer(status, dict(headers), content)

    def post(
        self, form: list[Part], user: str | None = "alice", path: str = "/", *, whole: bool = True, **environ: str
    ) -> Answer:
        """Send a form, by default as a user who may do everything."""
        environ = {"CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}"} | environ
        return self.request("POST", path, user, multipart(form, whole=whole), **environ)

    def upload(
        self, filename: str = "foo-1.0-py3-none-any.whl", content: bytes | None = None, user: str | None = "alice"
    ) -> Answer:
        """Upload a file, by default an archive that matches its name."""
        return self.post(upload_form(filename, fitting(filename) if content is None else content), user)

    def page(self, project: str) -> dict[str, str] | None:
        """Return {file name: SHA-256} of a project's page, or None if there is no page."""
        path = self.pages / f"projects/{project}.json"
        if not path.exists():
            return None
        return {file["filename"]: file["hashes"]["sha256"] for file in json.loads(path.read_text())["files"]}

    def remove(self, name: str, version: str, user: str | None = "alice") -> Answer:
        """Remove a release."""
        fields = {":action": "remove_pkg", "name": name, "version": version}
        return self.post([Part(key, value.encode()) for key, value in fields.items()], user)
