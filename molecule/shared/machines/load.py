"""Many clients of an index in one program: publishers upload until they are stopped, while readers download.

Runs on a client container with the standard library only. Usage: load.py PLAN, a JSON file; see shared/load.py for its
content. The result has, of each file, the statuses of all its uploads, and the time at which it was accepted. A file's
content is derived from its name, so an interrupted upload can be repeated with identical content.
"""

import base64
import hashlib
import http.client
import io
import json
import queue
import random
import ssl
import sys
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

BOUNDARY = "8c41d2a7"
CONTEXT = ssl.create_default_context()
RETRY_SECONDS = 0.2
SECONDS = 300


class Server:
    """The index as one user. Each request has a connection of its own."""

    def __init__(self, url, user, password):
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port or 443)
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}"}

    def request(self, method, path, body=None, **headers):
        """Return the status and the body of a response; without one, the status is None and the body the reason."""
        connection = http.client.HTTPSConnection(*self._address, timeout=SECONDS, context=CONTEXT)
        try:
            connection.request(method, path, body, self._headers | headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            return None, repr(error).encode()
        finally:
            connection.close()

    def publish(self, name, content, seconds=0):
        """Upload a file. seconds: how long the client takes to send it."""
        fields = {":action": "file_upload", "sha256_digest": hashlib.sha256(content).hexdigest()}
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        ]
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="content"; filename="{name}"\r\n\r\n'
        body = b"".join(["".join([*parts, head]).encode(), content, f"\r\n--{BOUNDARY}--\r\n".encode()])
        about = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Content-Length": str(len(body))}
        return self.request("POST", "/", in_pieces(body, seconds) if seconds else body, **about)

    def page(self, path):
        """Return the status of a page of the index, and its JSON content if the status is 200."""
        status, body = self.request("GET", path, Accept="application/vnd.pypi.simple.v1+json")
        return status, json.loads(body) if status == 200 else None


def in_pieces(body, seconds):
    """Yield the pieces of a body, one each second."""
    size = len(body) // seconds + 1
    for start in range(0, len(body), size):
        yield body[start : start + size]
        time.sleep(1)


def wheel(name, size, salt=""):
    """Return an installable wheel with the given number of random bytes, which are derived from its name."""
    project, version, *_tags = name.split("-")
    info = f"{project}-{version}.dist-info"
    members = {
        f"{project}.py": f"VERSION = {version!r}\n".encode(),
        f"{project}.dat": random.Random(f"{name} {salt}").randbytes(size),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={digest(content)},{len(content)}\n" for path, content in members.items())
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in members.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    return buffer.getvalue()


def digest(content):
    """Return the SHA-256 in RECORD's encoding."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


class Publishers:
    """Threads that upload file after file, each until it is accepted, and record the responses."""

    def __init__(self, plan, server):
        self._plan, self._server = plan, server
        self._stop = Path(plan["stop"])
        self._pending = queue.SimpleQueue()
        self.files = {}
        for file in plan["files"]:
            self._pending.put(file)

    def run(self):
        """Publish, in one of several threads."""
        while not self._stop.exists():
            try:
                file = self._pending.get_nowait()
            except queue.Empty:
                return
            salt = file.get("salt", "")
            content = wheel(file["name"], file["size"], salt)
            upload = {"name": file["name"], "salt": salt, "size": file["size"]}
            upload |= {"sha256": hashlib.sha256(content).hexdigest(), "statuses": [], "errors": [], "accepted": None}
            self.files[file["name"], salt] = upload
            self._upload_until_accepted(upload, content, file.get("seconds", 0))
            time.sleep(self._plan["pause"])

    def _upload_until_accepted(self, upload, content, seconds):
        # Retry identical content, as an interrupted CI job does. A 4xx response to the file itself is final.
        while not self._stop.exists() or not upload["statuses"]:
            status, body = self._server.publish(upload["name"], content, seconds)
            upload["statuses"].append(status)
            if status == 200:
                upload["accepted"] = time.time()
            else:
                upload["errors"] = [*upload["errors"][:2], body.decode(errors="replace")[:200]]
            if status is not None and status < 500:
                return
            time.sleep(RETRY_SECONDS)


class Readers:
    """Threads that read pages and download files from them."""

    def __init__(self, plan, server):
        self._plan, self._server = plan, server
        self.done = threading.Event()
        self.read, self.unavailable, self.rejected, self.faults = 0, [], [], []

    def run(self):
        """Read, in one of several threads."""
        chance = random.Random(threading.get_ident())
        while not self.done.is_set():
            status, root = self._server.page("/simple/")
            if self._failed(status, "/simple/"):
                continue
            names = [
                project["name"] for project in root["projects"] if project["name"].startswith(self._plan["projects"])
            ]
            for name in chance.sample(names, min(3, len(names))):
                self._read(name, chance)
            time.sleep(0.05)

    def _read(self, name, chance):
        path = f"/simple/{name}/"
        status, page = self._server.page(path)
        if self._failed(status, path):
            return
        file = chance.choice([file for file in page["files"] if file["size"] < 1 << 20] or page["files"])
        path = f"/packages/{file['filename']}"
        status, content = self._server.request("GET", path)
        if not self._failed(status, path) and hashlib.sha256(content).hexdigest() != file["hashes"]["sha256"]:
            self.faults.append(f"{path}: wrong hash, {len(content)} bytes")

    def _failed(self, status, path):
        self.read += 1
        if status is None or status >= 500:
            self.unavailable.append(f"{path}: {status}")
            time.sleep(RETRY_SECONDS)
        elif status != 200:
            # Listed files must exist.
            self.rejected.append(f"{path}: {status}")
        return status != 200


def list_files(plan, server):
    """Return all files of the plan's projects on the pages: {file name: SHA-256}."""
    _status, root = server.page("/simple/")
    listed = {}
    for project in root["projects"]:
        if project["name"].startswith(plan["projects"]):
            _status, page = server.page(f"/simple/{project['name']}/")
            listed |= {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}
    return listed


def main(path):
    """Carry out a plan."""
    plan = json.loads(Path(path).read_text())
    server = Server(plan["url"], plan["user"], plan["password"])
    publishers, readers = Publishers(plan, server), Readers(plan, server)
    publishing = [threading.Thread(target=publishers.run) for _ in range(plan["publishers"])]
    reading = [threading.Thread(target=readers.run) for _ in range(plan["readers"])]
    for thread in publishing + reading:
        thread.start()
    for thread in publishing:
        thread.join()
    if plan["readers"] and not plan["files"]:
        while not Path(plan["stop"]).exists():
            time.sleep(RETRY_SECONDS)
    readers.done.set()
    for thread in reading:
        thread.join()
    result = {"files": list(publishers.files.values()), "read": readers.read, "unavailable": readers.unavailable[:50]}
    result |= {
        "unavailable_count": len(readers.unavailable),
        "rejected": readers.rejected,
        "faults": readers.faults,
    }
    if plan["list_files"]:
        result["listed"] = list_files(plan, server)
    Path(plan["result"]).write_text(json.dumps(result))


with suppress(KeyboardInterrupt):
    main(sys.argv[1])
