"""Many clients of an index, in one program: they publish until they are told to stop, and others read meanwhile.

Runs on a client machine, with Python alone. Usage: load.py PLAN, a JSON file; see hunting.py for what is in it and for
what comes out. Each file's bytes follow from its name, so whoever was cut off can send the very same again.
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
PATIENCE = 0.2
SECONDS = 300


class Server:
    """The index, as one user sees it. Each request has a connection of its own."""

    def __init__(self, url, user, password):
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port or 443)
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}"}

    def ask(self, method, path, body=None, **headers):
        """The status and the body of an answer; None as the status where there was none, with the reason."""
        connection = http.client.HTTPSConnection(*self._address, timeout=SECONDS, context=CONTEXT)
        try:
            connection.request(method, path, body, self._headers | headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            return None, repr(error).encode()
        finally:
            connection.close()

    def publish(self, name, content):
        """Upload a file."""
        fields = {":action": "file_upload", "sha256_digest": hashlib.sha256(content).hexdigest()}
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
            for key, value in fields.items()
        ]
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="content"; filename="{name}"\r\n\r\n'
        body = b"".join(["".join([*parts, head]).encode(), content, f"\r\n--{BOUNDARY}--\r\n".encode()])
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.ask("POST", "/", body, **kind)

    def page(self, path):
        """A page of the index, as JSON; None with the status if there is none."""
        status, body = self.ask("GET", path, Accept="application/vnd.pypi.simple.v1+json")
        return status, json.loads(body) if status == 200 else None


def wheel(name, size, salt=""):
    """A wheel that can be installed, with so many random bytes in it; the same for the same name."""
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
    """The SHA-256 as RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


class Publishers:
    """They publish file after file, each until it is taken, and note what they were told."""

    def __init__(self, plan, server):
        self._plan, self._server = plan, server
        self._stop = Path(plan["stop"])
        self._waiting = queue.SimpleQueue()
        self.files = {}
        for file in plan["files"]:
            self._waiting.put(file)

    def run(self):
        """Publish, in one of several threads."""
        while not self._stop.exists():
            try:
                file = self._waiting.get_nowait()
            except queue.Empty:
                return
            salt = file.get("salt", "")
            content = wheel(file["name"], file["size"], salt)
            told = {"name": file["name"], "salt": salt, "size": file["size"], "statuses": [], "errors": []}
            told["sha256"] = hashlib.sha256(content).hexdigest()
            self.files[file["name"], salt] = told
            self._until_taken(told, content)

    def _until_taken(self, told, content):
        # As a job does that was cut off: the same again. A refusal of the file itself would be one for good.
        while not self._stop.exists() or not told["statuses"]:
            status, body = self._server.publish(told["name"], content)
            told["statuses"].append(status)
            if status != 200:
                told["errors"] = [*told["errors"][:2], body.decode(errors="replace")[:200]]
            if status is not None and status < 500:
                return
            time.sleep(PATIENCE)


class Readers:
    """They look at pages and download what these list."""

    def __init__(self, plan, server):
        self._plan, self._server = plan, server
        self.done = threading.Event()
        self.read, self.unanswered, self.refused, self.faults = 0, [], [], []

    def run(self):
        """Read, in one of several threads."""
        chance = random.Random(threading.get_ident())
        while not self.done.is_set():
            status, root = self._server.page("/simple/")
            if self._bad(status, "/simple/"):
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
        if self._bad(status, path):
            return
        file = chance.choice([file for file in page["files"] if file["size"] < 1 << 20] or page["files"])
        path = f"/packages/{file['filename']}"
        status, content = self._server.ask("GET", path)
        if not self._bad(status, path) and hashlib.sha256(content).hexdigest() != file["hashes"]["sha256"]:
            self.faults.append(f"{path}: wrong hash, {len(content)} bytes")

    def _bad(self, status, path):
        self.read += 1
        if status is None or status >= 500:
            self.unanswered.append(f"{path}: {status}")
            time.sleep(PATIENCE)
        elif status != 200:
            # What is listed is there.
            self.refused.append(f"{path}: {status}")
        return status != 200


def survey(plan, server):
    """All that the pages list of the plan's projects: {file name: SHA-256}."""
    _status, root = server.page("/simple/")
    listed = {}
    for project in root["projects"]:
        if project["name"].startswith(plan["projects"]):
            _status, page = server.page(f"/simple/{project['name']}/")
            listed |= {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}
    return listed


def main(path):
    """Do what a plan says."""
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
            time.sleep(PATIENCE)
    readers.done.set()
    for thread in reading:
        thread.join()
    told = {"files": list(publishers.files.values()), "read": readers.read, "unanswered": readers.unanswered[:50]}
    told |= {"unanswered_count": len(readers.unanswered), "refused": readers.refused, "faults": readers.faults}
    if plan["survey"]:
        told["listed"] = survey(plan, server)
    Path(plan["result"]).write_text(json.dumps(told))


with suppress(KeyboardInterrupt):
    main(sys.argv[1])
