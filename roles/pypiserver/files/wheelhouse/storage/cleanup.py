"""Cleanup after processes that were killed while they wrote files."""

from wheelhouse.config import Settings
from wheelhouse.files.atomic import TEMPORARY_PREFIX, remove_stale
from wheelhouse.storage.upload_file import UPLOAD_PREFIX


def remove_stale_files(settings: Settings) -> None:
    """Delete temporary files whose writer has ended. Raises OSError."""
    remove_stale(settings.packages, UPLOAD_PREFIX)
    for directory in settings.paths.written:
        remove_stale(directory, TEMPORARY_PREFIX)
