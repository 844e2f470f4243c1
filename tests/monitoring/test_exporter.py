"""The exporter on hosts in different states, read by the parser of prometheus_client."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from pypi_backup import status
from pypi_backup.paths import BackupError, Paths
from pypi_backup.paths import Settings as BackupSettings
from support import ROOT, ansible_templates
from support.monitoring import Host, access_line, audit_line
from wheelhouse_monitoring.definitions import COUNTERS, GAUGES

PROGRAM = ROOT / "roles/monitoring/files/program"


def append(path: Path, content: bytes) -> None:
    """Append to a file."""
    with path.open("ab") as file:
        file.write(content)


def test_measures_files_and_projects(host: Host) -> None:
    """Distribution files, their size, temporary uploads, pages."""
    host.publish("acme", b"12345")
    host.publish("acme-two", b"678")
    (host.packages / ".upload-1").write_bytes(b"partial")
    (host.packages / "link-1.0.tar.gz").symlink_to("acme-1.0.tar.gz")
    (host.projects / "gone.gone").touch()
    found = host.metrics()
    assert (found["wheelhouse_files"], found["wheelhouse_files_bytes"]) == (2, 8)
    assert (found["wheelhouse_projects"], found["wheelhouse_projects_without_files"]) == (2, 1)
    assert found["wheelhouse_temporary_uploads"] == 1
    assert found["wheelhouse_release_info{0123456789ab}"] == 1
    assert abs(found["wheelhouse_metrics_timestamp_seconds"] - time.time()) < 60


def test_measures_pending_work(host: Host) -> None:
    """Files that have changed after the last reconciliation are pending."""
    host.publish("acme")
    marker = host.projects / ".complete"
    os.utime(marker, (time.time() + 5,) * 2)
    found = host.metrics()
    assert found["wheelhouse_pages_pending_files"] == 0
    assert found["wheelhouse_pages_synced_timestamp_seconds"] == pytest.approx(marker.stat().st_mtime)
    os.utime(marker, (time.time() - 1000,) * 2)
    assert host.metrics()["wheelhouse_pages_pending_files"] == 1
    marker.unlink()
    found = host.metrics()
    assert found["wheelhouse_pages_complete"] == 0
    assert "wheelhouse_pages_synced_timestamp_seconds" not in found


def test_measures_file_systems(host: Host) -> None:
    """Free space and inodes of data, pages and logs."""
    found = host.metrics()
    for directory in ("data", "pages", "logs"):
        assert found[f"wheelhouse_filesystem_avail_bytes{{{directory}}}"] > 0
        assert (
            found[f"wheelhouse_filesystem_avail_bytes{{{directory}}}"]
            <= found[f"wheelhouse_filesystem_size_bytes{{{directory}}}"]
        )
    assert found["wheelhouse_min_free_bytes"] == 512 << 20
    assert "wheelhouse_max_total_bytes" not in found


def test_file_systems_without_inode_limit(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Btrfs reports 0 inodes: a metric of 0 would be an alert."""
    real = os.statvfs(host.packages)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*real[:5], 0, 0, 0, *real[8:])))
    assert not [name for name in host.metrics() if name.startswith("wheelhouse_filesystem_files")]


@pytest.mark.parametrize("missing", ["data/.wheelhouse", "data/packages", "data"])
def test_missing_data_are_not_zero_files(host: Host, missing: str) -> None:
    """Without the data, the number of files is unknown."""
    host.publish("acme")
    path = host.settings.directory.parent / missing
    path.rename(path.with_name("elsewhere"))
    found = host.metrics()
    assert found["wheelhouse_data_available"] == 0
    assert "wheelhouse_files" not in found
    assert found["wheelhouse_projects"] == 1


def test_counts_only_new_requests(host: Host) -> None:
    """The first run begins at the end of the access log, and at the beginning of the audit log."""
    append(host.access, access_line())
    append(host.audit, audit_line("upload"))
    found = host.metrics()
    assert found["wheelhouse_http_requests_total{2xx}"] == 0
    assert found["wheelhouse_uploads_total{stored}"] == 1


def test_counters_continue(host: Host) -> None:
    """Across runs and rotations, counters grow by what happened."""
    host.run()
    append(host.access, access_line(200) + access_line(409, "POST / HTTP/1.1", "bob"))
    append(host.audit, audit_line("upload") + audit_line("removed"))
    host.run()
    append(host.access, access_line(200))
    for log in (host.access, host.audit):
        log.rename(f"{log}.1")
        log.touch()
    append(host.access, access_line(304))
    append(host.audit, audit_line("upload"))
    found = host.metrics()
    assert [found[f"wheelhouse_http_requests_total{{{status}}}"] for status in ("2xx", "3xx", "4xx")] == [2, 1, 1]
    assert found["wheelhouse_rejections_total{conflict}"] == 1
    assert (found["wheelhouse_uploads_total{stored}"], found["wheelhouse_removals_total"]) == (2, 1)


def test_interrupted_run_counts_nothing_twice(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters and positions are saved together."""
    host.run()
    append(host.audit, audit_line("upload"))

    def fail(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("wheelhouse_monitoring.exporter.exposition", fail)
    with pytest.raises(KeyboardInterrupt):
        host.run()
    monkeypatch.undo()
    assert host.metrics()["wheelhouse_uploads_total{stored}"] == 1


@pytest.mark.parametrize(
    "state",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        "{}",
        '{"positions": {}, "counters": {}}',
        '{"positions": {"access": [], "audit": [{"inode": -1, "offset": 0, "head": ""}]}, "counters": {}}',
        '{"positions": {"access": [], "audit": [{"inode": 1, "offset": true, "head": ""}]}, "counters": {}}',
        '{"positions": {"access": [], "audit": [{"inode": 1, "offset": 0, "head": 1}]}, "counters": {}}',
        '{"positions": {"access": 5, "audit": []}, "counters": {}}',
        '{"positions": {"access": [], "audit": []}, "counters": {"wheelhouse_uploads_total": {"stored": -1}}}',
        '{"positions": {"access": [], "audit": []}, "counters": {"wheelhouse_uploads_total": {"stored": 1e999}}}',
        '{"positions": {"access": [], "audit": []}, "counters": {"wheelhouse_uploads_total": []}}',
        "[" * 100_000,
    ],
    ids=range(15),
)
def test_invalid_state_begins_at_zero(host: Host, capsys: pytest.CaptureFixture, state: str) -> None:
    """A counter reset is reported, and the state is written again."""
    host.run()
    host.settings.state_file.write_text(state)
    assert host.run() == 0
    assert "all counters begin at 0" in capsys.readouterr().err
    assert host.samples()["wheelhouse_uploads_total{stored}"] == 0
    assert host.run() == 0
    assert capsys.readouterr().err == ""


def test_state_of_another_version(host: Host) -> None:
    """Unknown counters and labels are dropped; missing ones begin at 0."""
    host.run()
    state = json.loads(host.settings.state_file.read_text())
    state["counters"] = {"wheelhouse_uploads_total": {"stored": 5, "old": 2}, "wheelhouse_old_total": {"": 1}}
    host.settings.state_file.write_text(json.dumps(state))
    found = host.metrics()
    assert (found["wheelhouse_uploads_total{stored}"], found["wheelhouse_removals_total"]) == (5, 0)
    assert not [name for name in found if "old" in name]


def test_failed_part_is_reported(host: Host, capsys: pytest.CaptureFixture) -> None:
    """The other metrics are written, and the failure is a metric and in the journal."""
    host.audit.parent.rename(host.audit.parent.with_name("elsewhere"))
    (host.settings.program / "current").unlink()
    assert host.run() == 1
    found = host.samples()
    failed = {name for name, value in found.items() if name.startswith("wheelhouse_collector_success") and not value}
    assert failed == {"wheelhouse_collector_success{audit_log}", "wheelhouse_collector_success{release}"}
    assert found["wheelhouse_files"] == 0
    assert "audit_log was not collected: FileNotFoundError" in capsys.readouterr().err


def test_results_of_canary_and_backup(host: Host) -> None:
    """Status files become metrics; without them, there are none."""
    assert not [name for name in host.metrics() if "canary_s" in name or "backup_" in name or "expiry" in name]
    status = {"timestamp": 5.5, "duration": 0.5, "success": False, "certificate_expiry": 9.0}
    steps = {"connect": True, "list": False, "other": True}
    host.settings.canary_file.write_text(json.dumps(status | {"steps": steps}))
    host.settings.backup_status.parent.mkdir()
    backup = {"result": "failed", "succeeded": "1970-01-01T00:00:07+00:00", "reason": "no connection", "bytes": 5}
    given = {"max_age_hours": 48, "check_max_age_hours": 336, "since": "1970-01-01T00:00:01+00:00"}
    host.settings.backup_status.write_text(json.dumps(given | {"backup": backup, "check": {}}))
    found = host.metrics()
    assert found["wheelhouse_canary_success"] == 0
    assert found["wheelhouse_canary_timestamp_seconds"] == 5.5
    assert found["wheelhouse_certificate_expiry_timestamp_seconds"] == 9
    assert {name: value for name, value in found.items() if "canary_step" in name} == {
        "wheelhouse_canary_step_success{connect}": 1,
        "wheelhouse_canary_step_success{list}": 0,
    }
    assert {name.removeprefix("wheelhouse_backup_"): value for name, value in found.items() if "backup_" in name} == {
        "max_age_seconds{backup}": 48 * 3600,
        "max_age_seconds{check}": 336 * 3600,
        "since_timestamp_seconds": 1,
        "success{backup}": 0,
        "last_success_timestamp_seconds{backup}": 7,
    }


def test_reads_the_status_that_pypi_backup_writes(host: Host) -> None:
    """The exporter and pypi-backup agree on path, names and times: before the first run, after a success, a failure."""
    files = Paths(config=host.settings.directory, state=host.settings.backup_status.parent)
    files.state.mkdir()
    given = ansible_templates.render("templates/etc/pypi/backup/settings.json.j2", pypi_backup_check_max_age=100)
    (files.config / "settings.json").write_text(given)
    settings = BackupSettings.load(files)
    status.refresh(files, settings)
    found = host.metrics()
    assert found["wheelhouse_collector_success{backup}"] == 1
    assert found["wheelhouse_backup_max_age_seconds{backup}"] == 48 * 3600
    assert found["wheelhouse_backup_max_age_seconds{check}"] == 100 * 3600
    assert abs(found["wheelhouse_backup_since_timestamp_seconds"] - time.time()) < 60
    assert not [name for name in found if name.startswith("wheelhouse_backup_success")]
    with status.recorded(files, settings, "backup") as facts:
        facts |= {"snapshot": "0123", "files": 1, "bytes": 2}
    with suppress(BackupError), status.recorded(files, settings, "check"):
        raise BackupError("damaged")
    found = host.metrics()
    assert (found["wheelhouse_backup_success{backup}"], found["wheelhouse_backup_success{check}"]) == (1, 0)
    assert abs(found["wheelhouse_backup_last_success_timestamp_seconds{backup}"] - time.time()) < 60
    assert "wheelhouse_backup_last_success_timestamp_seconds{check}" not in found
    installed = json.loads(ansible_templates.render("templates/etc/pypi/monitoring.json.j2"))
    assert installed["backup_status"] == str(Paths(config=Path("/etc/pypi/backup")).status)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "7", '{"timestamp": "now", "since": "now"}', '{"steps": 1, "backup": 1}', "[" * 60_000],
)
def test_invalid_results_are_reported(host: Host, content: str) -> None:
    """An invalid status file is a failure of its part only."""
    host.settings.backup_status.parent.mkdir()
    for path in (host.settings.canary_file, host.settings.backup_status):
        path.write_text(content)
    assert host.run() == 1
    found = host.samples()
    assert found["wheelhouse_collector_success{canary}"] == found["wheelhouse_collector_success{backup}"] == 0


def test_metrics_follow_the_conventions() -> None:
    """Counters end in _total; units are base units; each metric has a help text."""
    for name, definition in (GAUGES | COUNTERS).items():
        assert name.startswith("wheelhouse_")
        assert name.endswith("_total") is (name in COUNTERS)
        assert definition.help.endswith(".")
        assert bool(definition.values) <= bool(definition.label)
        assert not [unit for unit in ("_ms", "_minutes", "_kb", "_percent") if unit in name]


def test_every_metric_is_written(host: Host) -> None:
    """Each definition has a value on a host with all features: none is obsolete."""
    host.settings = type(host.settings)(**{**host.settings.__dict__, "max_total_bytes": 1 << 40})
    canary = {"timestamp": 1, "duration": 1, "success": True, "certificate_expiry": 1, "steps": {"connect": True}}
    host.settings.canary_file.write_text(json.dumps(canary))
    host.settings.backup_status.parent.mkdir()
    result = {"result": "ok", "succeeded": "2026-11-22T01:02:03+00:00"}
    status = {"max_age_hours": 48, "check_max_age_hours": 336, "since": "2026-11-22T01:02:03+00:00"}
    host.settings.backup_status.write_text(json.dumps(status | {"backup": result, "check": result}))
    written = {name.partition("{")[0] for name in host.metrics()}
    assert written == GAUGES.keys() | COUNTERS.keys()


def test_files_have_restricted_modes(host: Host) -> None:
    """Apache and node_exporter read the metrics only; the directory has nothing else."""
    before = os.umask(0o077)
    host.run()
    os.umask(before)
    assert host.settings.metrics_file.stat().st_mode & 0o777 == 0o644
    assert host.settings.metrics_file.parent.stat().st_mode & 0o777 == 0o755
    assert host.settings.state_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in host.settings.metrics_file.parent.iterdir()] == ["pypi.prom"]


def test_memory_is_far_below_the_limit(host: Host) -> None:
    """The process on an index of 20,000 files, with a log of 50 MB, uses a third of MemoryMax (128M)."""
    for number in range(20_000):
        (host.packages / f"acme_{number}-1.0.tar.gz").touch()
    host.run()
    with host.access.open("ab") as file:
        for _ in range(50):
            file.write(access_line() * 10_000)
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from wheelhouse_monitoring import exporter;"
        "from wheelhouse_monitoring.settings import Settings; exporter.run(Settings.load(sys.argv[2]));"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    file = host.settings.directory / "settings.json"
    found = {name: str(value) for name, value in host.settings.__dict__.items() if isinstance(value, Path)}
    canary = host.settings.canary.__dict__
    file.write_text(json.dumps(found | {"min_free_bytes": 0, "max_total_bytes": None, "canary": canary}))
    command = [sys.executable, "-I", "-c", code, str(PROGRAM), str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(done.stdout) * 1024 < 128 * 2**20 / 3
    assert host.samples()["wheelhouse_http_requests_total{2xx}"] == 500_000
