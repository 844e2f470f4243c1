"""Smoke test of the application: an upload and a removal in an index of its own, in an empty directory.

The settings are those of the server, except the paths, the rights and the limits: nothing of the server's data is read
or written, and no limit, however small, rejects the test project.
"""

import base64
import hashlib
import io
import json
import zipfile
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication
from wsgiref.util import setup_testing_defaults

from wheelhouse.config import AdmissionLimits, Limits, Settings
from wheelhouse.web.app import HEALTH, create_app

USER = "smoke-test"
PROJECT = "wheelhouse-smoke-test"
MODULE = PROJECT.replace("-", "_")
VERSION = "1.0"
FILENAME = f"{MODULE}-{VERSION}-py3-none-any.whl"
BOUNDARY = "wheelhouse-smoke-test-boundary"

ADMISSION = AdmissionLimits(max_upload_size=1 << 20, max_uploads=4, max_uploads_per_client=4)
LIMITS = Limits(
    max_total_size=None, min_free_space=0, max_members=100, max_unpacked_size=1 << 20, max_unpacked_ratio=200
)
RIGHT = {"users": [USER], "groups": [], "may": ["upload", "remove"], "projects": [PROJECT]}


class SmokeTestError(Exception):
    """The application does not work. The message says what was requested, what was expected, and what was found."""


def smoke_test(settings: Settings, home: Path) -> None:
    """Publish and remove a release with the application, in an empty directory. Raises SmokeTestError."""
    settings = settings_of(home, settings)
    create_index(settings)
    app = create_app(settings)
    request(app, "GET", HEALTH)
    request(app, "POST", "/", upload_form(build_wheel()))
    page = settings.paths.projects / f"{PROJECT}.json"
    if not (settings.packages / FILENAME).is_file() or FILENAME not in files_on(page):
        raise SmokeTestError("An upload was accepted, and its file is not stored or not on the page of its project")
    request(app, "POST", "/", encode([(":action", "remove_pkg"), ("name", PROJECT), ("version", VERSION)]))
    if (settings.packages / FILENAME).exists() or FILENAME in files_on(page):
        raise SmokeTestError("A removal was accepted, and its file is still stored or on the page of its project")


def settings_of(home: Path, settings: Settings) -> Settings:
    """Return settings for an index below a directory."""
    return replace(
        settings,
        data=home / "data",
        data_is_mount=False,
        pages=home / "pages",
        rights=home / "rights.json",
        yanked=home / "yanked.json",
        audit=home / "audit/audit.log",
        early_responses=home / "responses",
        backup_status=home / "backup-status.json",
        admission=ADMISSION,
        limits=LIMITS,
    )


def create_index(settings: Settings) -> None:
    """Create the directories and files that Ansible creates, and the mark of complete pages."""
    paths = settings.paths
    directories = [paths.packages, paths.projects, paths.root, paths.metadata, paths.records, paths.locks]
    directories += [settings.tombstones.parent, settings.audit.parent, settings.early_responses]
    for directory in directories:
        directory.mkdir(parents=True)
    settings.mark.touch()
    paths.complete.touch()
    settings.rights.write_text(json.dumps({"groups": {}, "rights": [RIGHT]}), encoding="utf-8")
    settings.yanked.write_text("{}", encoding="utf-8")


def request(app: WSGIApplication, method: str, path: str, body: bytes = b"") -> None:
    """Send a request as the front does, for an authenticated user. Raises SmokeTestError unless the response is 200."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_FORWARDED_USER": USER,
        "CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    setup_testing_defaults(environ)
    statuses: list[str] = []

    def start_response(status: str, _headers: object, _error: object = None) -> Any:
        statuses.append(status)

    text = b"".join(app(environ, start_response)).decode(errors="replace")
    if int(statuses[-1].split()[0]) != HTTPStatus.OK:
        raise SmokeTestError(f"{method} {path}: expected 200, got {statuses[-1]}: {text.strip()}")


def files_on(page: Path) -> set[str]:
    """Return the file names on a JSON page (PEP 691); none if there is no page."""
    try:
        return {file["filename"] for file in json.loads(page.read_bytes())["files"]}
    except FileNotFoundError:
        return set()


def upload_form(content: bytes) -> bytes:
    """Return the form of an upload, as twine sends it."""
    digest = hashlib.sha256(content).hexdigest()
    return encode([(":action", "file_upload"), ("sha256_digest", digest)], content)


def encode(fields: list[tuple[str, str]], content: bytes | None = None) -> bytes:
    """Encode a form (RFC 7578). content: that of the file, if there is one."""
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    body = b"".join(f'{head}"{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields)
    if content is not None:
        body += f'{head}"content"; filename="{FILENAME}"\r\n\r\n'.encode() + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def build_wheel() -> bytes:
    """Return a wheel of one empty module (PEP 427)."""
    info = f"{MODULE}-{VERSION}.dist-info"
    files = {
        f"{MODULE}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PROJECT}\nVersion: {VERSION}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: wheelhouse\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(record_line(*item) for item in files.items()) + f"{info}/RECORD,,\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def record_line(name: str, text: str) -> str:
    """Return a line of RECORD: path, urlsafe base64 of the SHA-256 without padding, size in bytes."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(text.encode())}\n"
