"""Owners of projects: the user who published a project first, or whom an admin has made its owner."""

from pathlib import Path

from packaging.utils import canonicalize_name

from wheelhouse.files.json_table import JsonTable, Rows, utc_now


class Claims:
    """Owners by project, in any spelling of its name (PEP 503). All methods raise OSError and ValueError.

    The file: {project: {"user": owner, "since": ISO 8601, UTC}}.
    """

    def __init__(self, path: Path, lock: Path) -> None:
        self._table = JsonTable(path, lock, ("user", "since"))

    def owner_of(self, project: str) -> str | None:
        """Return the owner of a project, or None."""
        return owner_in(self._table.rows(), project)

    def claim(self, project: str, user: str) -> bool:
        """Make a user the owner of a project that has no owner. Return False if it has one.

        Atomic: exactly one of two concurrent callers succeeds (race). The other must check its permission again. The
        caller must ensure that the project has no files: access to a project that was published before owners were
        recorded depends on the rights only.
        """
        with self._table.transaction() as rows:
            if owner_in(rows, project) is not None:
                return False
            rows[canonicalize_name(project)] = {"user": user, "since": utc_now()}
        return True

    def set_owner(self, project: str, user: str | None) -> str | None:
        """Set the owner of a project; None removes it. Return the previous owner."""
        with self._table.transaction() as rows:
            before = rows.pop(canonicalize_name(project), None)
            if user is not None:
                rows[canonicalize_name(project)] = {"user": user, "since": utc_now()}
        return before["user"] if before else None

    def all(self) -> Rows:
        """Return {project: {"user", "since"}}, sorted by project."""
        return {project: dict(claim) for project, claim in sorted(self._table.rows().items())}


def owner_in(rows: Rows, project: str) -> str | None:
    """Return the owner of a project according to some rows, or None."""
    row = rows.get(canonicalize_name(project))
    return row["user"] if row else None
