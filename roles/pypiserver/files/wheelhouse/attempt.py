"""What somebody attempts: what is known of a request, as the audit log tells it."""

from dataclasses import dataclass

from wheelhouse import distributions


@dataclass
class Attempt:
    """One request. It fills as the request is read.

    user: who it is, by Apache's word, "" for nobody; address: where it came from; size in bytes; sha256 in hexadecimal.
    told: whether the audit log has the outcome already.
    """

    user: str
    address: str
    project: str | None = None
    version: str | None = None
    filename: str | None = None
    size: int | None = None
    sha256: str | None = None
    told: bool = False

    def of_file(self, filename: str) -> None:
        """Say which file it is about. Raises Refused if its name is no distribution's."""
        self.filename = filename
        self.project = distributions.project_of(filename)
        self.version = str(distributions.release_of(filename)[1])

    def of_release(self, name: str, version: str) -> None:
        """Say which release it is about, as a form names it."""
        self.project, self.version = distributions.normalise(name), version

    def facts(self) -> dict[str, str | int | None]:
        """All of it, as Audit.write takes it."""
        return {
            "user": self.user,
            "address": self.address,
            "project": self.project,
            "version": self.version,
            "filename": self.filename,
            "size": self.size,
            "sha256": self.sha256,
        }
