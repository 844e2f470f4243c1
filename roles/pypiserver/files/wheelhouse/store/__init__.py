"""The packages directory: what comes in, and what goes.

A file is received under a hidden name, checked, and appears under its own in one step that cannot overwrite. Before it
does, the audit log has it; if anything fails after that, the name is taken back, and the log has that, too. Only a
crash can leave a line of a file that is not there: nobody was told 200 then, and the client sends it again.

Modules: hidden (files on their way in), room (disk and quota), names (which are in use, or were).
"""

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from wheelhouse.archives import identity, look_inside
from wheelhouse.attempt import Attempt
from wheelhouse.audit import Audit
from wheelhouse.distributions import release_of
from wheelhouse.gate import Gate
from wheelhouse.pages import metadata
from wheelhouse.pages.disk import lock_of, only_writer, remove, sync_directory
from wheelhouse.pages.record import Known
from wheelhouse.pages.site import Pages
from wheelhouse.refusals import Taken, Unable
from wheelhouse.reserved import is_reserved
from wheelhouse.settings import Settings
from wheelhouse.store.hidden import Hidden
from wheelhouse.store.names import Names
from wheelhouse.store.room import Room
from wheelhouse.tombstones import Tombstones


class Store:
    """The files of one index. All methods raise Refused, OSError, or ValueError where the state cannot be read."""

    def __init__(self, settings: Settings, gate: Gate, audit: Audit, tombstones: Tombstones, pages: Pages):
        self._packages, self._locks, self._limits = settings.packages, settings.places.locks, settings.limits
        self._gate, self._audit, self._tombstones, self._pages = gate, audit, tombstones, pages
        places = settings.places
        self.room = Room(settings.packages, places.metadata, settings.limits, places.locks / "total")
        self.names = Names(settings.packages, pages, tombstones)

    def expect(self, attempt: Attempt, length: int, form: Mapping[str, str]) -> Hidden:
        """Where an upload's bytes go, unless it can be told already that they are not taken.

        length: of the whole form, in bytes; form: the fields that came before the file.
        """
        self._gate.permit(attempt.user, "upload", attempt.project)
        identity.check_form(attempt.filename, form)
        if said := form.get("sha256_digest", "").strip().lower():
            self.names.is_here(attempt.project, attempt.filename, said)
        self.room.expect(length)
        return Hidden(self._packages, self.room.check_disk, announced=form)

    def publish(self, attempt: Attempt, upload: Hidden, form: Mapping[str, str]) -> None:
        """Have a file appear under its name, on its page, and in the audit log, when all of it has arrived.

        The same file again changes nothing. form: all fields.
        """
        project, filename = attempt.project, attempt.filename
        upload.check_digests(form)
        identity.check_form(filename, form)
        known = None
        if not self.names.is_here(project, filename, upload.sha256):
            known = self._checked(filename, upload, form)
            upload.settle()
        with only_writer(lock_of(self._locks, project, "store")):
            # What was looked up before may be another's work by now.
            if self.names.is_here(project, filename, upload.sha256):
                self._tell(attempt, "same")
                self._pages.refresh(project, [filename])
                return
            self._gate.permit(attempt.user, "upload", project)
            if known is None:
                raise Unable(f"{filename} was here when the upload began, and is gone. Send it again")
            with self.room.reserved(upload.size, len(known.metadata.core or b"")):
                self._add(attempt, upload, known)

    def _checked(self, filename: str, upload: Hidden, form: Mapping[str, str]) -> Known:
        """Look at what has arrived."""
        found = look_inside(filename, upload.file, self._limits)
        identity.check_metadata(filename, found)
        identity.check_form(filename, form, found)
        return Known(upload.sha256, metadata.of(filename, found))

    def _add(self, attempt: Attempt, upload: Hidden, known: Known) -> None:
        """Do all of it, or nothing."""
        project, filename = attempt.project, attempt.filename
        with ExitStack() as undo:
            self._tell_if_undone(undo, attempt)
            if not self.names.of(project) and self._gate.claim(attempt.user, project):
                undo.callback(self._gate.unclaim, project)
                self._tell(attempt, "claimed")
            self._tell(attempt, "upload")
            try:
                path = upload.appear(filename)
            except FileExistsError:
                # Put there by hand, or on a disk that was away a moment ago.
                if self.names.is_here(project, filename, upload.sha256):
                    raise Unable(f"{filename} has come by another way meanwhile. Send it again") from None
                raise Taken(f"{filename} is here already. Give the release a new version") from None
            undo.callback(self._take_back, project, path)
            sync_directory(self._packages)
            self._pages.refresh(project, [filename], received={filename: known})
            undo.pop_all()

    def _take_back(self, project: str, path: Path) -> None:
        """Remove a file that was not fully published."""
        remove(path)
        # What has kept the page from being written may go on.
        with suppress(OSError, ValueError):
            self._pages.refresh(project, [path.name])

    def remove(self, attempt: Attempt, filename: str) -> None:
        """Remove a file, so that its name is not for others, and take it off its page. One that is gone is gone."""
        project, path = attempt.project, self._packages / filename
        with only_writer(lock_of(self._locks, project, "store")), ExitStack() as undo:
            if not path.exists():
                return
            self._gate.permit(attempt.user, "remove", project)
            attempt.filename, attempt.version = filename, str(release_of(filename)[1])
            attempt.size, attempt.sha256 = path.stat().st_size, self.names.sha256_of(project, filename)
            self._tell_if_undone(undo, attempt)
            if not is_reserved(project):
                self._tell(attempt, "tombstone")
                self._tombstones.add(filename, attempt.sha256, attempt.user)
            self._tell(attempt, "removed")
            path.unlink()
            # From here on it is done, and the page follows if not now then soon.
            undo.pop_all()
            sync_directory(self._packages)
            self._pages.refresh(project, [filename])

    def _tell(self, attempt: Attempt, event: str, reason: str | None = None) -> None:
        """Write to the audit log, which must have it before anything is done."""
        self._audit.write(event, **attempt.facts(), reason=reason)
        attempt.told = True

    def _tell_if_undone(self, undo: ExitStack, attempt: Attempt) -> None:
        """Write to the audit log if what it tells of a file comes to nothing."""
        attempt.told = False  # of this one

        def tell(_kind: type | None, error: BaseException | None, _trace: object) -> None:
            if attempt.told:
                # Without the path, which says nothing to people: the directory is held by a number.
                self._tell(attempt, "undone", getattr(error, "strerror", None) or str(error))

        undo.push(tell)
