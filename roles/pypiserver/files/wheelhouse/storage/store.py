"""The store: receives and publishes uploads, removes files.

An upload is received in a temporary file and checked. Then it is published under its name with link(2), which is atomic
and cannot overwrite. The audit log entry is written before (write-ahead). If anything fails after that, the file is
unpublished, and the log gets an entry "undone". Only a crash can leave an entry without its file: the client has got no
200 then, and sends the file again.
"""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from wheelhouse.access.policy import AccessPolicy
from wheelhouse.audit.request import AuditContext
from wheelhouse.config import Settings
from wheelhouse.distributions import consistency
from wheelhouse.distributions.archives.check import check_archive
from wheelhouse.distributions.filenames import parse_filename
from wheelhouse.distributions.metadata import served_metadata
from wheelhouse.distributions.reserved import is_reserved
from wheelhouse.errors import ConflictError, ServiceUnavailableError
from wheelhouse.files.atomic import delete_if_exists, sync_directory
from wheelhouse.files.locks import exclusive_lock, lock_path
from wheelhouse.pages.file_records import FileDetails
from wheelhouse.pages.writer import PageWriter
from wheelhouse.storage.quota import Quota
from wheelhouse.storage.requests import Removal, Upload
from wheelhouse.storage.tombstones import Tombstones
from wheelhouse.storage.upload_file import TemporaryUpload
from wheelhouse.storage.used_names import UsedFilenames


class Store:
    """The files of one index. All methods raise RequestError, OSError, and ValueError if state files are corrupt."""

    def __init__(self, settings: Settings, policy: AccessPolicy, tombstones: Tombstones, pages: PageWriter) -> None:
        paths = settings.paths
        self._packages, self._locks, self._limits = settings.packages, paths.locks, settings.limits
        self._policy, self._tombstones, self._pages = policy, tombstones, pages
        self.quota = Quota(settings.packages, paths.metadata, settings.limits, paths.locks / "total")
        self.filenames = UsedFilenames(settings.packages, pages, tombstones)

    def open_upload(
        self, user: str, project: str, filename: str, fields: Mapping[str, str], length: int
    ) -> TemporaryUpload:
        """Check what can be checked before the file is received, and return the temporary file to write it to.

        project: normalized name (PEP 503); fields: the form fields before the file; length: of the form, in bytes.
        """
        self._policy.check_allowed(user, "upload", project)
        consistency.check_form(filename, fields)
        if sha256 := fields.get("sha256_digest", "").strip().lower():
            self.filenames.check_available(project, filename, sha256)
        self.quota.check_available(length)
        return TemporaryUpload(self._packages, self.quota.check_disk, digest_fields=fields)

    def publish(self, upload: Upload) -> None:
        """Check a received file, and publish it: its audit log entry, the file, its page. All of it is durable then.

        Idempotent: an identical file changes nothing.
        """
        project, filename, file = upload.project, upload.filename, upload.file
        file.check_digests(upload.fields)
        consistency.check_form(filename, upload.fields)
        details = None
        if not self.filenames.check_available(project, filename, file.sha256):
            details = self._check_archive(upload)
            file.sync()
        with exclusive_lock(lock_path(self._locks, project, "store")):
            # Check again under the lock (race): another upload may have used the name or claimed the project.
            if self.filenames.check_available(project, filename, file.sha256):
                upload.audit.write("same")
                self._pages.refresh(project, [filename])
                return
            self._policy.check_allowed(upload.audit.user, "upload", project)
            if details is None:
                raise ServiceUnavailableError(f"{filename} existed when the upload began, and is gone. Send it again")
            with self.quota.reserved(file.size, len(details.metadata.core or b"")):
                self._add(upload, details)

    def _check_archive(self, upload: Upload) -> FileDetails:
        """Check the archive and its metadata. Returns what the pages need, so that the file is not read again."""
        core = check_archive(upload.filename, upload.file.file, self._limits)
        consistency.check_metadata(upload.filename, core)
        consistency.check_form(upload.filename, upload.fields, core)
        return FileDetails(upload.file.sha256, served_metadata(upload.filename, core))

    def _add(self, upload: Upload, details: FileDetails) -> None:
        """Publish a file completely, or not at all."""
        project, filename, audit = upload.project, upload.filename, upload.audit
        with ExitStack() as undo:
            self._audit_rollback(undo, audit)
            if not self.filenames.of_project(project) and self._policy.claim(audit.user, project):
                undo.callback(self._policy.unclaim, project)
                audit.write("claimed")
            audit.write("upload")
            try:
                path = upload.file.publish(filename)
            except FileExistsError:
                # Copied by hand, or on a file system that was not mounted a moment ago.
                if self.filenames.check_available(project, filename, upload.file.sha256):
                    raise ServiceUnavailableError(
                        f"{filename} was added by another way during the upload. Send it again"
                    ) from None
                raise ConflictError(f"File already exists: {filename}. Use a new version") from None
            undo.callback(self._unpublish, project, path)
            sync_directory(self._packages)
            self._pages.refresh(project, [filename], details={filename: details})
            undo.pop_all()

    def _unpublish(self, project: str, path: Path) -> None:
        """Delete a file that was not published completely, and refresh its page."""
        delete_if_exists(path)
        # What has kept the page from being written may still do so.
        with suppress(OSError, ValueError):
            self._pages.refresh(project, [path.name])

    def remove(self, removal: Removal, filename: str) -> None:
        """Remove a file: add its tombstone, delete it, refresh its page. Does nothing if the file does not exist."""
        project, audit, path = removal.project, removal.audit, self._packages / filename
        with exclusive_lock(lock_path(self._locks, project, "store")), ExitStack() as undo:
            if not path.exists():
                return
            self._policy.check_allowed(audit.user, "remove", project)
            audit.describe(filename=filename, version=str(parse_filename(filename)[1]))
            size, sha256 = path.stat().st_size, self.filenames.sha256_of(project, filename)
            audit.describe(size=size, sha256=sha256)
            self._audit_rollback(undo, audit)
            if not is_reserved(project):
                audit.write("tombstone")
                self._tombstones.add(filename, sha256, audit.user)
            audit.write("removed")
            path.unlink()
            # The file is removed. If the page cannot be refreshed now, the pages job refreshes it.
            undo.pop_all()
            sync_directory(self._packages)
            self._pages.refresh(project, [filename])

    def _audit_rollback(self, undo: ExitStack, audit: AuditContext) -> None:
        """Write an entry "undone" if the block fails after it has written entries about this file."""
        audit.is_logged = False

        def write_undone(
            _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
        ) -> None:
            if audit.is_logged:
                # strerror is without the path, which is /proc/self/fd/N (DataDirectory).
                audit.write("undone", getattr(error, "strerror", None) or str(error))

        undo.push(write_undone)
