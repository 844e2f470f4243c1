"""Measures the files, the pages and the file systems of the index. Directories are read as streams."""

import os
from dataclasses import dataclass
from pathlib import Path

from wheelhouse_monitoring.samples import Samples
from wheelhouse_monitoring.settings import Settings

# The data mark, and the marker of complete pages: see wheelhouse/config.py.
DATA_MARK = ".wheelhouse"
COMPLETE = "projects/.complete"
# An unlinked file between scandir and stat is no error.
GONE = FileNotFoundError


@dataclass
class Packages:
    """Totals of the packages directory. pending: files that have changed after a point in time."""

    files: int = 0
    bytes: int = 0
    temporary: int = 0
    pending: int = 0


def measure_packages(directory: Path, since: float | None) -> Packages:
    """Count the files in the packages directory. since: Unix time, or None. Raises OSError."""
    found = Packages()
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                if not entry.is_file(follow_symlinks=False):
                    continue
                status = entry.stat(follow_symlinks=False)
            except GONE:
                continue
            if entry.name.startswith("."):
                found.temporary += 1
                continue
            found.files += 1
            found.bytes += status.st_size
            found.pending += since is not None and status.st_ctime > since
    return found


def count_projects(directory: Path) -> tuple[int, int]:
    """Count the projects with a page, and those that had files and have none. Raises OSError."""
    with_page = without_files = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            with_page += entry.name.endswith(".json")
            without_files += entry.name.endswith(".gone")
    return with_page, without_files


def collect_index(settings: Settings, samples: Samples) -> None:
    """Measure data and pages. Without the data, there are no numbers: 0 files would be wrong. Raises OSError."""
    is_available = (settings.data / DATA_MARK).exists() and (settings.data / "packages").is_dir()
    samples.set("wheelhouse_data_available", is_available)
    try:
        synced: float | None = (settings.pages / COMPLETE).stat().st_mtime
    except GONE:
        synced = None
    samples.set("wheelhouse_pages_complete", synced is not None)
    if synced is not None:
        samples.set("wheelhouse_pages_synced_timestamp_seconds", synced)
    with_page, without_files = count_projects(settings.pages / "projects")
    samples.set("wheelhouse_projects", with_page)
    samples.set("wheelhouse_projects_without_files", without_files)
    if not is_available:
        return
    packages = measure_packages(settings.data / "packages", synced)
    samples.set("wheelhouse_files", packages.files)
    samples.set("wheelhouse_files_bytes", packages.bytes)
    samples.set("wheelhouse_temporary_uploads", packages.temporary)
    samples.set("wheelhouse_pages_pending_files", packages.pending)


def collect_filesystems(settings: Settings, samples: Samples) -> None:
    """Measure the file systems, and give the limits of uploads. Raises OSError."""
    samples.set("wheelhouse_min_free_bytes", settings.min_free_bytes)
    if settings.max_total_bytes is not None:
        samples.set("wheelhouse_max_total_bytes", settings.max_total_bytes)
    for name, directory in (("data", settings.data), ("pages", settings.pages), ("logs", settings.logs)):
        found = os.statvfs(directory)
        samples.set("wheelhouse_filesystem_avail_bytes", found.f_bavail * found.f_frsize, name)
        samples.set("wheelhouse_filesystem_size_bytes", found.f_blocks * found.f_frsize, name)
        # File systems such as Btrfs have no fixed number of inodes and report 0.
        if found.f_files:
            samples.set("wheelhouse_filesystem_files_free", found.f_favail, name)
            samples.set("wheelhouse_filesystem_files", found.f_files, name)


def collect_release(settings: Settings, samples: Samples) -> None:
    """Name the active release. Raises OSError."""
    samples.set("wheelhouse_release_info", 1, (settings.program / "current").readlink().name)
