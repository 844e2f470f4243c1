"""A host in a temporary directory, whose metrics the exporter collects."""

import json
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from wheelhouse_monitoring import exporter
from wheelhouse_monitoring.settings import CanarySettings, Settings

FORBIDDEN = [["POST", "/"], ["GET", "/simple/"]]


def access_line(
    status: int = 200, request: str = "GET /simple/ HTTP/1.1", user: str = "-", address: str = "203.0.113.7"
) -> bytes:
    """Return a line of the access log in the format of the site, with its line end."""
    time = "22/Nov/2026:01:02:03 +0000"
    return f'{address} - {user} [{time}] "{request}" {status} 512 1034 "pip/25.0"\n'.encode()


def audit_line(event: str, project: str | None = "acme", **facts: object) -> bytes:
    """Return a line of the audit log, with its line end."""
    entry = {"number": 1, "time": "2026-11-22T01:02:03.000000Z", "event": event, "project": project} | facts
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


class Host:
    """The directories that the exporter reads, and its own."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(
            directory=home / "monitoring",
            data=home / "data",
            pages=home / "pages",
            program=home / "program",
            logs=home / "logs",
            backup_status=home / "backup/status.json",
            min_free_bytes=512 << 20,
            max_total_bytes=None,
            canary=CanarySettings("pypi.example.com", 443, encrypted=True, private_ca=True, forbidden=FORBIDDEN),
        )
        self.packages, self.projects = home / "data/packages", home / "pages/projects"
        self.access, self.audit = home / "logs/access.log", home / "logs/audit/audit.log"
        for directory in (self.settings.directory, self.packages, self.projects, self.audit.parent, home / "program"):
            directory.mkdir(parents=True)
        for path in (self.access, self.audit, home / "data/.wheelhouse", self.projects / ".complete"):
            path.touch()
        (home / "program/current").symlink_to("0123456789ab")

    def publish(self, project: str, content: bytes = b"content") -> None:
        """Add a file of a project, and its page."""
        (self.packages / f"{project}-1.0.tar.gz").write_bytes(content)
        for suffix in ("json", "json.gz", "html", "html.gz"):
            (self.projects / f"{project}.{suffix}").touch()

    def run(self) -> int:
        """Run the exporter. Returns its exit status."""
        return exporter.run(self.settings)

    def metrics(self) -> dict[str, float]:
        """Run the exporter, and return all samples: {"name" or "name{label value}": value}."""
        self.run()
        return self.samples()

    def samples(self) -> dict[str, float]:
        """Return the samples of the last run, read by the parser of prometheus_client."""
        found = {}
        for family in text_string_to_metric_families(self.settings.metrics_file.read_text(encoding="utf-8")):
            for sample in family.samples:
                label = "".join(f"{{{value}}}" for value in sample.labels.values())
                found[f"{sample.name}{label}"] = sample.value
        return found
