"""Create the files of an index, and link them into each set-up. Runs on the measured host.

Usage: data.py make FILES | fill FILES | devpi FILES SECONDS
"""

import base64
import hashlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

BENCH = Path("/srv/bench")
POOL, SET, BARE = BENCH / "pool", BENCH / "set", BENCH / "bare"
KIT = Path("/srv/pypi/packages")
PAGES = Path("/var/lib/pypi/pages")
FILES_PER_PROJECT = 10
TREE = 30
BIG_BYTES = 50_000_000


def record_line(name: str, content: bytes) -> str:
    """Return a line of RECORD: path, urlsafe base64 of the SHA-256 without padding, size in bytes."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"


def make_wheel(directory: Path, project: str, version: str, needs: tuple[str, ...] = (), extra: int = 0) -> Path:
    """Return a valid wheel of one module, with dependencies and a number of additional random bytes."""
    module = project.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    requires = "".join(f"Requires-Dist: {name}\n" for name in needs)
    files = {
        f"{module}.py": f'VERSION = "{version}"\n'.encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n{requires}".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: wheelhouse\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if extra:
        files[f"{module}_data.bin"] = os.urandom(extra)
    files[f"{info}/RECORD"] = ("".join(record_line(*item) for item in files.items()) + f"{info}/RECORD,,\n").encode()
    wheel = directory / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel


def project_name(number: int) -> str:
    """Return the name of a project."""
    return f"project-{number:05d}"


def make_project(number: int) -> None:
    """Return all files of a project in the pool."""
    for version in range(1, FILES_PER_PROJECT + 1):
        make_wheel(POOL, project_name(number), f"{version}.0")


def extras() -> list[str]:
    """Return the names of the files that every index has in addition: the tree and the large file."""
    return [f"tree_{i:02d}-1.0-py3-none-any.whl" for i in range(TREE)] + ["big-1.0-py3-none-any.whl"]


def make(files: int) -> None:
    """Create the pool: a number of files, the tree of 30 projects (each needs two others), one file of 50 MB."""
    POOL.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool() as workers:
        workers.map(make_project, range(files // FILES_PER_PROJECT), chunksize=50)
    for i in range(TREE):
        make_wheel(POOL, f"tree-{i:02d}", "1.0", tuple(f"tree-{n:02d}" for n in (2 * i + 1, 2 * i + 2) if n < TREE))
    make_wheel(POOL, "big", "1.0", extra=BIG_BYTES)


def wanted(files: int) -> list[str]:
    """Return the names of all files of an index of this size."""
    numbers = range(files // FILES_PER_PROJECT)
    return extras() + [
        f"project_{number:05d}-{version}.0-py3-none-any.whl"
        for number in numbers
        for version in range(1, FILES_PER_PROJECT + 1)
    ]


def link(source: Path, target: Path) -> None:
    """Create a hard link, unless it exists."""
    if not target.exists():
        os.link(source, target)


def run(*words: str) -> None:
    """Run a program, and fail if it fails. wheelhouse exits with 1 if it has left a file out."""
    subprocess.run(words, check=True, stdout=sys.stderr)


def fill(files: int) -> dict[str, float]:
    """Fill the kit and the static set-ups to this size. Uploaded files are removed.

    Static servers get the pages and metadata of the kit. Return the seconds.
    """
    units = ["pypi-pages.path", "pypi-pages.timer"]
    run("systemctl", "stop", *units, "pypi-pages.service")
    names = set(wanted(files))
    for folder in (KIT, SET / "packages", BARE / "packages"):
        for path in folder.iterdir():
            if path.name not in names:
                path.unlink()
        for name in names:
            link(POOL / name, folder / name)
    began = time.monotonic()
    run("wheelhouse", "rebuild")
    seconds = time.monotonic() - began
    run("systemctl", "start", *units)
    for metadata in (PAGES / "metadata").glob("*.metadata"):
        link(metadata, BARE / "packages" / metadata.name)
    for page in (PAGES / "projects").glob("*.json"):
        folder = BARE / "simple" / page.stem
        folder.mkdir(exist_ok=True)
        for suffix in ("json", "html"):
            target = folder / f"index.{suffix}"
            target.unlink(missing_ok=True)
            os.link(page.with_suffix(f".{suffix}"), target)
    for suffix in ("json", "html"):
        target = BARE / "simple" / f"index.{suffix}"
        target.unlink(missing_ok=True)
        os.link(PAGES / "root" / f"index.{suffix}", target)
    return {"rebuild_seconds": seconds}


def devpi(files: int, limit: float) -> dict[str, float | str]:
    """Import these files into a devpi server, with a time limit in seconds. Return the seconds."""
    root = BENCH / "devpi"
    shutil.rmtree(root, ignore_errors=True)
    export, server = root / "export", root / "current"
    export.mkdir(parents=True)
    projects: dict[str, dict[str, dict[str, str]]] = {}
    described = []
    for name in wanted(files):
        module, version = name.split("-")[:2]
        project = module.replace("_", "-")
        projects.setdefault(project, {})[version] = {"name": project, "version": version}
        link(POOL / name, export / name)
        described.append(
            {
                "type": "releasefile",
                "projectname": project,
                "version": version,
                "relpath": name,
                "entrymapping": {"last_modified": "Thu, 01 Jan 2026 00:00:00 GMT", "hashes": {}},
                "log": [],
            }
        )
    config = {"type": "stage", "volatile": True, "bases": [], "acl_upload": [":ANONYMOUS:"]}
    index = {"indexconfig": config, "projects": projects, "files": described}
    users = {"bench": {"username": "bench"}, "root": {"username": "root"}}
    data = {"dumpversion": "2", "users": users, "indexes": {"bench/dev": index}, "uuid": "0" * 32, "secret": "0" * 32}
    (export / "dataindex.json").write_text(json.dumps(data))
    began = time.monotonic()
    program = "/opt/bench/devpi/bin/devpi-import"
    try:
        subprocess.run(
            [program, "--serverdir", server, "--no-root-pypi", "--no-events", "--hard-links", export],
            check=True,
            timeout=limit,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"its own import of {files:,} files takes longer than {limit:.0f} s"}
    except subprocess.CalledProcessError as error:
        return {"failed": "devpi-import: " + error.stderr.decode(errors="replace").strip().splitlines()[-1]}
    return {"import_seconds": time.monotonic() - began}


if __name__ == "__main__":
    command, *numbers = sys.argv[1:]
    commands: dict[str, Callable[..., object]] = {"make": make, "fill": fill, "devpi": devpi}
    print(json.dumps(commands[command](*(int(number) for number in numbers))))
