"""The settings of the application, as Ansible writes them (settings.json), and the paths derived from them."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AdmissionLimits:
    """Limits on requests in progress.

    max_upload_size: bytes of a body; max_uploads: requests at a time; max_uploads_per_client: requests at a time of one
    user, and from one address.
    """

    max_upload_size: int
    max_uploads: int
    max_uploads_per_client: int


@dataclass(frozen=True)
class Limits:
    """Limits on storage and archives. Sizes are in bytes.

    max_total_size: quota for all files and their served metadata, or None; min_free_space: free space that an upload
    must leave on the file systems of the packages and of the pages; max_members: files in an archive;
    max_unpacked_size: their size; max_unpacked_ratio: their size, divided by that of the archive.
    """

    max_total_size: int | None
    min_free_space: int
    max_members: int
    max_unpacked_size: int
    max_unpacked_ratio: int


@dataclass(frozen=True)
class Paths:
    """Directories and files of an index. Ansible creates all directories; the application creates none.

    packages: the distribution files; pages: what Apache serves; used_names: names of all projects that ever had a file;
    upload_times: the table of upload times; yanked: releases yanked on the command line; configured_yanks: releases
    yanked by the settings.
    """

    packages: Path
    pages: Path
    used_names: Path
    upload_times: Path
    yanked: Path
    configured_yanks: Path

    @property
    def projects(self) -> Path:
        """<project>.html and .json, each with a compressed copy; <project>.gone for projects without a file."""
        return self.pages / "projects"

    @property
    def complete(self) -> Path:
        """The marker of complete pages. Without it, Apache serves no pages and redirects no project to PyPI.

        Its modification time is that of the last complete reconciliation.
        """
        return self.projects / ".complete"

    @property
    def root(self) -> Path:
        """The directory of the list of projects and of the landing page."""
        return self.pages / "root"

    @property
    def metadata(self) -> Path:
        """<filename>.metadata (PEP 658)."""
        return self.pages / "metadata"

    @property
    def records(self) -> Path:
        """<project>.json: see wheelhouse.pages.file_records."""
        return self.pages / "records"

    @property
    def locks(self) -> Path:
        """The directory of the lock files."""
        return self.pages / "locks"

    @property
    def written(self) -> tuple[Path, ...]:
        """The directories that may have temporary files of write_atomically."""
        return (self.projects, self.root, self.metadata, self.records, self.used_names.parent)


@dataclass(frozen=True)
class Settings:
    """All settings of the application.

    data: the data directory; data_is_mount: whether it must be a mount point; pages: the directory of the pages;
    rights: the file of wheelhouse.access.rights; yanked: the file of releases yanked by the settings; audit: the audit
    log; early_responses: the directory of wheelhouse.web.early_responses; backup_status: the file of
    wheelhouse.web.backups, which exists if there are backups; new_projects: "by_rights" or "first_uploader"; url: the
    URL of the index, which ends with a slash.
    """

    data: Path
    data_is_mount: bool
    pages: Path
    rights: Path
    yanked: Path
    audit: Path
    early_responses: Path
    backup_status: Path
    new_projects: str
    admission: AdmissionLimits
    limits: Limits
    url: str

    @property
    def packages(self) -> Path:
        """The directory of the distribution files."""
        return self.data / "packages"

    @property
    def paths(self) -> Paths:
        """The files that the pages are made from, and where the pages are written."""
        return Paths(
            packages=self.packages,
            pages=self.pages,
            used_names=self.data / "state" / "names.txt",
            upload_times=self.data / "state" / "uploaded.txt",
            yanked=self.data / "state" / "yanked.json",
            configured_yanks=self.yanked,
        )

    @property
    def audit_head(self) -> Path:
        """The copy of the newest audit log entry, stored with the data."""
        return self.data / "state" / "audit-head.json"

    @property
    def claims(self) -> Path:
        """The owners of projects."""
        return self.data / "state" / "claims.json"

    @property
    def tombstones(self) -> Path:
        """The removed files, whose names must not be used for different content."""
        return self.data / "state" / "tombstones.json"

    @property
    def mark(self) -> Path:
        """The file that marks a directory as the data directory of an index."""
        return self.data / ".wheelhouse"

    @classmethod
    def load(cls, path: str | Path) -> "Settings":
        """Read a JSON file. Raises OSError and what parse raises."""
        return cls.parse(Path(path).read_text(encoding="utf-8"))

    @classmethod
    def parse(cls, text: str) -> "Settings":
        """Parse JSON. Raises ValueError, KeyError or TypeError if a setting is missing or unknown."""
        found = json.loads(text)
        names = ("data", "pages", "rights", "yanked", "audit", "early_responses", "backup_status")
        paths = {name: Path(found[name]) for name in names}
        return cls(
            **paths,
            data_is_mount=bool(found["data_is_mount"]),
            new_projects=found["new_projects"],
            admission=AdmissionLimits(**found["admission"]),
            limits=Limits(**found["limits"]),
            url=found["url"],
        )
