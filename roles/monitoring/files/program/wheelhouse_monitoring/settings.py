"""The settings of the monitoring services, as Ansible writes them (monitoring.json)."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CanarySettings:
    """How the canary reaches the index.

    server_name: for TLS and the Host header; port: on 127.0.0.1; encrypted: whether the port speaks TLS; private_ca:
    whether the certificate is signed by the authority in the credential ca.crt, not by a public one; forbidden:
    [method, path] of requests that must be rejected without a login.
    """

    server_name: str
    port: int
    encrypted: bool
    private_ca: bool
    forbidden: list[list[str]]


@dataclass(frozen=True)
class Settings:
    """All settings.

    directory: where the services keep their files; data, pages, program, logs: directories of the index; backup_status:
    the file with the result of the last backup; min_free_bytes, max_total_bytes (or None): limits of uploads.
    """

    directory: Path
    data: Path
    pages: Path
    program: Path
    logs: Path
    backup_status: Path
    min_free_bytes: int
    max_total_bytes: int | None
    canary: CanarySettings

    @property
    def metrics_file(self) -> Path:
        """The metrics in Prometheus' text format. Apache serves it; node_exporter reads *.prom."""
        return self.directory / "metrics/pypi.prom"

    @property
    def state_file(self) -> Path:
        """The counters, and the positions in the logs up to which they count."""
        return self.directory / "state.json"

    @property
    def canary_file(self) -> Path:
        """The result of the last run of the canary."""
        return self.directory / "canary.json"

    @classmethod
    def load(cls, path: str | Path) -> "Settings":
        """Read a JSON file. Raises OSError, ValueError, KeyError or TypeError."""
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        return cls(
            directory=Path(found["directory"]),
            data=Path(found["data"]),
            pages=Path(found["pages"]),
            program=Path(found["program"]),
            logs=Path(found["logs"]),
            backup_status=Path(found["backup_status"]),
            min_free_bytes=found["min_free_bytes"],
            max_total_bytes=found["max_total_bytes"],
            canary=CanarySettings(**found["canary"]),
        )
