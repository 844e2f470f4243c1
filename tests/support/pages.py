"""A packages directory with its pages, without an application."""

import gzip
import hashlib
import json
import os
import re
from html import unescape
from pathlib import Path

import pytest
from wheelhouse.config import Paths
from wheelhouse.distributions.filenames import parse_project
from wheelhouse.files.atomic import write_atomically
from wheelhouse.pages import file_records
from wheelhouse.pages.sync import Reconciler
from wheelhouse.pages.writer import PageWriter

URL = "https://pypi.example.com/"
PAGES = ("projects", "root", "metadata", "records", "locks")


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the name of each file that is read completely is added."""
    read: list[str] = []
    sha256_of = file_records.sha256_of
    monkeypatch.setattr(file_records, "sha256_of", lambda path: read.append(path.name) or sha256_of(path))
    return read


def make_directories(data: Path, pages: Path) -> None:
    """Create the directories that the role creates, and the marker of the first rebuild."""
    for directory in (*(data / name for name in ("packages", "state")), *(pages / name for name in PAGES)):
        directory.mkdir(parents=True)
    for directory in (data / "packages", pages, *(pages / name for name in ("projects", "root", "metadata"))):
        directory.chmod(0o2750)
    (data / ".wheelhouse").write_text("mark\n")
    write_atomically(pages / "projects/.complete", b"")


def write_settings(home: Path, data: Path, pages: Path) -> Path:
    """Write the application's settings, with limits that small files do not reach. Returns the file."""
    paths = {
        "data": data,
        "pages": pages,
        "rights": home / "rights.json",
        "yanked": home / "yanked.json",
        "audit": home / "log/audit/audit.log",
        "early_responses": home / "responses",
        "backup_status": home / "backup/status.json",
    }
    limits = {
        "max_total_size": None,
        "min_free_space": 0,
        "max_members": 1000,
        "max_unpacked_size": 1 << 30,
        "max_unpacked_ratio": 200,
    }
    admission = {"max_upload_size": 1 << 30, "max_uploads": 128, "max_uploads_per_client": 64}
    others = {
        "data_is_mount": False,
        "new_projects": "by_rights",
        "admission": admission,
        "limits": limits,
        "url": URL,
    }
    paths["audit"].parent.mkdir(parents=True, exist_ok=True)
    paths["audit"].parent.chmod(0o2750)
    paths["early_responses"].mkdir(exist_ok=True)
    path = home / "settings.json"
    path.write_text(json.dumps({name: str(place) for name, place in paths.items()} | others))
    return path


def sha256(content: bytes) -> str:
    """Return a SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


class Site:
    """A packages directory and its pages."""

    def __init__(self, home: Path):
        data, pages = home / "data", home / "pages"
        make_directories(data, pages)
        self.home = home
        self.paths = Paths(
            packages=data / "packages",
            pages=pages,
            used_names=data / "state/names.txt",
            upload_times=data / "state/uploaded.txt",
            yanked=data / "state/yanked.json",
            configured_yanks=home / "yanked.json",
        )
        self._clock = 1_700_000_000

    @property
    def pages(self) -> PageWriter:
        return PageWriter(self.paths)

    @property
    def folder(self) -> Reconciler:
        return Reconciler(self.paths, URL)

    def put(self, filename: str, content: bytes) -> Path:
        """Write a file into the packages directory, with a unique time: changes within a tick are not detected."""
        path = self.paths.packages / filename
        path.write_bytes(content)
        self._clock += 1
        os.utime(path, (self._clock, self._clock))
        return path

    def upload(self, filename: str, content: bytes) -> None:
        """Write a file and update its page, as the application does."""
        self.put(filename, content)
        self.pages.refresh(parse_project(filename), [filename])

    def remove(self, filename: str) -> None:
        """Delete a file and update its page, as the application does."""
        (self.paths.packages / filename).unlink()
        self.pages.refresh(parse_project(filename), [filename])

    def read(self, name: str) -> bytes:
        """Read a file of the pages."""
        return (self.paths.pages / name).read_bytes()

    def projects(self) -> list[str]:
        """Return the projects on the root page, after a check that all formats are equal."""
        page = json.loads(self.read("root/index.json"))
        names = [project["name"] for project in page["projects"]]
        assert re.findall(r'<a href="([^"]+)/">', self.read("root/index.html").decode()) == names
        return names

    def files(self, project: str) -> dict[str, str]:
        """Return {file name: SHA-256} of a project's page, after a check that all formats are equal."""
        page = json.loads(self.read(f"projects/{project}.json"))
        files = {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}
        text = self.read(f"projects/{project}.html").decode()
        links = re.findall(r'<a href="\.\./\.\./packages/([^"#]+)#sha256=([0-9a-f]{64})"', text)
        assert {unescape(name): digest for name, digest in links} == files
        for suffix in ("json", "html"):
            compressed = self.read(f"projects/{project}.{suffix}.gz")
            assert gzip.decompress(compressed) == self.read(f"projects/{project}.{suffix}")
        return files

    def on_pages(self) -> dict[str, str]:
        """Return {file name: SHA-256} of all pages, after a check that the root page lists exactly these projects."""
        pages = sorted(path.stem for path in (self.paths.pages / "projects").glob("*.json"))
        if (self.paths.pages / "root/index.json").exists():
            assert self.projects() == pages
        else:
            assert pages == []
        return {name: digest for project in pages for name, digest in self.files(project).items()}

    def on_disk(self, broken: set[str] | None = None) -> dict[str, str]:
        """Return {file name: SHA-256} of the packages directory, except broken files."""
        found = {path.name: sha256(path.read_bytes()) for path in self.paths.packages.iterdir()}
        return {name: digest for name, digest in found.items() if name not in (broken or set())}

    def gone(self) -> set[str]:
        """Return the names of projects with a .gone marker."""
        return {path.stem for path in (self.paths.pages / "projects").glob("*.gone")}

    def stale_files(self) -> list[str]:
        """Return the stale temporary files."""
        return [path.name for path in self.paths.pages.rglob(".*") if path.name not in (".state", ".complete")]
