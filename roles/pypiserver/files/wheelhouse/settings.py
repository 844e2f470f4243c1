"""The application's settings, as the kit writes them."""

import json
from dataclasses import dataclass
from pathlib import Path

from wheelhouse.pages.site import Places


@dataclass(frozen=True)
class AdmissionLimits:
    """Which requests are admitted.

    max_upload_size: bytes of a body; max_uploads: requests in progress at a time; max_uploads_per_client: those of one
    user, and those from one address.
    """

    max_upload_size: int
    max_uploads: int
    max_uploads_per_client: int


@dataclass(frozen=True)
class Limits:
    """What the index takes, in bytes where it is a size.

    max_total_size: of all files and the metadata served beside them, or None; min_free_space: what an upload leaves
    free on the disks of the packages and of the pages; of an archive, max_members: how many files it may hold,
    max_unpacked_size: what they may come to, max_unpacked_ratio: how many times the archive's own size that may be.
    """

    max_total_size: int | None
    min_free_space: int
    max_members: int
    max_unpacked_size: int
    max_unpacked_ratio: int


@dataclass(frozen=True)
class Settings:
    """Where things are, and what is accepted.

    data: the data directory; data_is_mount: whether it must be a file system of its own; pages: where the pages are
    written; rights: the file that says who may do what; yanked: the one that says which releases the settings yank;
    audit: the audit log; early_answers: the directory of wheelhouse.early_answers; new_projects: "by_rights" or
    "first_uploader"; url: the index's address, with a slash at its end.
    """

    data: Path
    data_is_mount: bool
    pages: Path
    rights: Path
    yanked: Path
    audit: Path
    early_answers: Path
    new_projects: str
    admission: AdmissionLimits
    limits: Limits
    url: str

    @property
    def packages(self) -> Path:
        return self.data / "packages"

    @property
    def places(self) -> Places:
        """What the pages are made from, and where they go."""
        return Places(
            packages=self.packages,
            pages=self.pages,
            names=self.data / "state" / "names.txt",
            uploaded=self.data / "state" / "uploaded.txt",
            yanked=self.data / "state" / "yanked.json",
            yanked_settings=self.yanked,
            url=self.url,
        )

    @property
    def audit_head(self) -> Path:
        """The last line of the audit log, kept apart from it."""
        return self.data / "state" / "audit-head.json"

    @property
    def claims(self) -> Path:
        """Who published each project first."""
        return self.data / "state" / "claims.json"

    @property
    def tombstones(self) -> Path:
        """The files that were removed, whose names are not for other bytes."""
        return self.data / "state" / "tombstones.json"

    @property
    def mark(self) -> Path:
        """The file that every data directory carries."""
        return self.data / ".wheelhouse"

    @classmethod
    def load(cls, path: str | Path) -> "Settings":
        """Read a JSON file. Raises OSError and what parse raises."""
        return cls.parse(Path(path).read_text(encoding="utf-8"))

    @classmethod
    def parse(cls, text: str) -> "Settings":
        """Read JSON. Raises ValueError or KeyError if it does not hold what it must."""
        found = json.loads(text)
        paths = {name: Path(found[name]) for name in ("data", "pages", "rights", "yanked", "audit", "early_answers")}
        return cls(
            **paths,
            data_is_mount=bool(found["data_is_mount"]),
            new_projects=found["new_projects"],
            admission=AdmissionLimits(**found["admission"]),
            limits=Limits(**found["limits"]),
            url=found["url"],
        )
