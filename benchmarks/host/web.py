"""HTTP clients for the set-ups, in addition to wrk. Runs on the measured host.

Usage: web.py prepare | clients | upload, with one set-up as JSON on standard input. Prints JSON.
A set-up: url, with a slash at the end; index, the path of the root list below it; upload, the path for uploads;
login, "user:password" or ""; accept, what an installer's Accept header says.
"""

import asyncio
import base64
import hashlib
import http.client
import json
import os
import random
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from data import make_wheel, project_name

CA = "/etc/pypi/tls/ca.crt"
PATHS = Path("/srv/bench/paths")


def headers_of(setup: dict[str, Any]) -> dict[str, str]:
    """Return the headers of an installer."""
    headers = {"Accept": setup["accept"], "Accept-Encoding": "identity"}
    if setup["login"]:
        headers["Authorization"] = "Basic " + base64.b64encode(setup["login"].encode()).decode()
    return headers


def connect(setup: dict[str, Any], timeout: float) -> http.client.HTTPConnection:
    """Open a connection; timeout in seconds."""
    parts = urlsplit(setup["url"])
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=CA)
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)


def links(page: str, content: bytes) -> list[str]:
    """Return the paths of the files on a page, JSON or HTML, without queries and fragments."""
    if content[:1] == b"{":
        found = [file["url"] for file in json.loads(content)["files"]]
    else:
        found = re.findall(r'href="([^"]+\.whl)(?:#[^"]*)?"', content.decode())
    return [urlsplit(urljoin(page, link)).path for link in found]


def wait_for(setup: dict[str, Any], seconds: float = 60) -> None:
    """Wait until the server listens."""
    parts = urlsplit(setup["url"])
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((parts.hostname, parts.port or 443), timeout=5).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def prepare(setup: dict[str, Any]) -> dict[str, Any]:
    """Write the lists of paths for wrk. Fail if a response is not as expected.

    setup["files"] is the size of the index, setup["sample"] the number of projects whose pages are read to find files.
    """
    connection = connect(setup, 120)
    root = urlsplit(setup["url"] + setup["index"]).path

    def get(path: str, **more: str) -> tuple[http.client.HTTPResponse, bytes]:
        connection.request("GET", path, headers=headers_of(setup) | more)
        response = connection.getresponse()
        return response, response.read()

    projects = setup["files"] // 10
    numbers = random.Random(1).sample(range(projects), min(1000, projects))  # noqa: S311
    pages = [f"{root}{project_name(number)}/" for number in numbers]
    files = []
    for page in pages[: setup["sample"]]:
        response, content = get(page)
        found = links(page, content)
        if response.status != 200 or len(found) != 10:
            raise SystemExit(f"{page} answered {response.status} with {len(found)} files instead of 10")
        files += found
    _response, content = get(f"{root}big/")
    lists = {"page": pages, "file": files, "big": links(f"{root}big/", content), "root": [root], "same": pages[:1]}
    lists["page-html"] = lists["page"]
    if setup.get("json_as_file"):
        lists |= {what: [f"{page}index.json" for page in lists[what]] for what in ("page", "same", "root")}
    for what, paths in lists.items():
        (PATHS / setup["name"]).mkdir(parents=True, exist_ok=True)
        (PATHS / setup["name"] / what).write_text("".join(f"{path}\n" for path in paths))
    response, content = get(lists["same"][0], **{"Accept-Encoding": "gzip"})
    tags = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
    same = [f"{tags[name]}: {response.headers[name]}" for name in tags if response.headers[name]][:1]
    if same:
        name, value = same[0].split(": ", 1)
        response, _content = get(lists["same"][0], **{"Accept-Encoding": "gzip", name: value})
        if response.status != 304:
            same = []
    return {"same": same, "page_bytes": len(content), "files": len(files), "type": response.headers["Content-Type"]}


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Read the chunks of a response (RFC 9112, section 7.1)."""
    while size := int((await reader.readline()).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readline()
    await reader.readline()


class Client:
    """A persistent connection, as of pip and uv.

    It is reopened if the server has closed it between two requests, as busy servers do (RFC 9112, section 9.3.1).
    """

    def __init__(self, setup: dict[str, Any], context: ssl.SSLContext | None):
        self._setup, self._context = setup, context
        self._parts = urlsplit(setup["url"])
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._streams:
            self._streams[1].close()

    async def get(self, path: str) -> bytes:
        """Return one response. Raises OSError unless it is 200."""
        if self._streams:
            try:
                return await self._exchange(path, *self._streams)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                if getattr(error, "partial", b""):
                    raise
                self.close()
        port = self._parts.port or 443
        self._streams = await asyncio.open_connection(self._parts.hostname, port, ssl=self._context)
        return await self._exchange(path, *self._streams)

    async def _exchange(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        lines = [f"GET {path} HTTP/1.1", f"Host: {self._parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers_of(self._setup).items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if " 200 " not in head.splitlines()[0]:
            raise OSError(head.splitlines()[0])
        if re.search(r"(?im)^transfer-encoding: *chunked", head):
            return b"".join([chunk async for chunk in chunks(reader)])
        length = re.search(r"(?im)^content-length: *(\d+)", head)
        if not length:
            raise OSError("an answer without a length")
        return await reader.readexactly(int(length[1]))


async def install(setup: dict[str, Any], number: int, context: ssl.SSLContext | None) -> float:
    """Run one client: get a project page, the metadata of its newest file and that file, and verify its SHA-256.

    Metadata only if the set-up has metadata files. Return the seconds.
    """
    began = time.monotonic()
    client = Client(setup, context)
    try:
        page = f"{urlsplit(setup['url']).path}{setup['index']}{project_name(number % (setup['files'] // 10))}/"
        content = await client.get(page + ("index.json" if setup.get("json_as_file") else ""))
        path = links(page, content)[-1]
        if setup["name"] in ("kit", "bare", "nginx"):
            await client.get(f"{path}.metadata")
        file = await client.get(path)
        if hashlib.sha256(file).hexdigest().encode() not in content:
            raise OSError("a file with another SHA-256 than its page says")
    finally:
        client.close()
    return time.monotonic() - began


async def all_clients(setup: dict[str, Any]) -> dict[str, Any]:
    """Run setup["clients"] concurrent clients, each with a timeout of setup["timeout"] seconds."""
    context = ssl.create_default_context(cafile=CA) if setup["url"].startswith("https") else None
    began = time.monotonic()
    jobs = [asyncio.wait_for(install(setup, number, context), setup["timeout"]) for number in range(setup["clients"])]
    results = await asyncio.gather(*jobs, return_exceptions=True)
    seconds = [result for result in results if isinstance(result, float)]
    errors = [repr(result) for result in results if not isinstance(result, float)]
    return {
        "seconds": time.monotonic() - began,
        "median_s": statistics.median(seconds) if seconds else None,
        "slowest_s": max(seconds, default=None),
        "errors": len(errors),
        "first_error": errors[0] if errors else "",
    }


def clients(setup: dict[str, Any]) -> dict[str, Any]:
    """Run many concurrent clients."""
    return asyncio.run(all_clients(setup))


def post(setup: dict[str, Any], wheel: Path, project: str, version: str) -> float:
    """Upload a wheel as twine does, over a new connection. Return the seconds from connecting to the response."""
    boundary = "bench-" + os.urandom(12).hex()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    fields = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "name": project,
        "version": version,
        "filetype": "bdist_wheel",
        "pyversion": "py3",
        "sha256_digest": digest,
    }
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{wheel.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    head, tail = "".join(parts).encode(), f"\r\n--{boundary}--\r\n".encode()
    length = len(head) + wheel.stat().st_size + len(tail)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(length)}
    if setup["login"] or setup.get("upload_login"):
        login = setup["login"] or setup["upload_login"]
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    with wheel.open("rb") as file:
        began = time.monotonic()
        connection = connect(setup, 120)
        connection.putrequest("POST", urlsplit(setup["url"]).path + setup["upload"])
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(head)
        while block := file.read(1 << 20):
            connection.send(block)
        connection.send(tail)
        response = connection.getresponse()
        answer = response.read()
        seconds = time.monotonic() - began
    connection.close()
    if response.status not in (200, 303):
        raise SystemExit(f"the upload was answered with {response.status}: {answer[:200].decode(errors='replace')}")
    return seconds


def upload(setup: dict[str, Any]) -> dict[str, Any]:
    """Upload setup["count"] small wheels of new versions, as many of new projects, and setup["large"] of 100 MB.

    For each large one the same bytes are also written with dd and fsync, and summed with sha256sum. Seconds each.
    """
    result: dict[str, list[float]] = {"version": [], "project": [], "large": [], "disk": []}
    with tempfile.TemporaryDirectory(dir="/srv/bench") as folder:
        work, mark = Path(folder), f"{int(time.time()):d}"
        # Warm up: not all processes have cached the password or loaded the application.
        for i in range(5):
            name = f"first-{mark}"
            post(setup, make_wheel(work, name, f"1.{i}"), name, f"1.{i}")
        for i in range(setup["count"]):
            name = project_name(i % (setup["files"] // 10))
            wheel = make_wheel(work, name, f"{mark}.{i}")
            result["version"].append(post(setup, wheel, name, f"{mark}.{i}"))
            name = f"new-{mark}-{i}"
            wheel = make_wheel(work, name, "1.0")
            result["project"].append(post(setup, wheel, name, "1.0"))
        for i in range(setup["large"]):
            name = f"large-{mark}-{i}"
            wheel = make_wheel(work, name, "1.0", extra=100_000_000)
            began = time.monotonic()
            # Keep all files until the end, as the uploads are kept: memory that was just freed is faster.
            target = work / f"written-{i}"
            subprocess.run(
                ["/usr/bin/dd", f"if={wheel}", f"of={target}", "bs=1M", "conv=fsync", "status=none"], check=True
            )
            subprocess.run(["/usr/bin/sha256sum", str(target)], check=True, stdout=subprocess.DEVNULL)
            result["disk"].append(time.monotonic() - began)
            result["large"].append(post(setup, wheel, name, "1.0"))
    return result


if __name__ == "__main__":
    command = {"prepare": prepare, "clients": clients, "upload": upload}[sys.argv[1]]
    setup = json.load(sys.stdin)
    wait_for(setup)
    print(json.dumps(command(setup)))
