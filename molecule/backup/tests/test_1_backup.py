"""Backups: consistent while uploads run, visible when they fail, and without a trace when they are switched off."""

import re
from contextlib import ExitStack
from functools import partial

import pytest
from shared.load import in_background

UNITS = ["pypi-backup", "pypi-backup-check", "pypi-backup-copy"]
SECRETS = "/etc/pypi/backup"
FILES = [SECRETS, "/var/lib/pypi/backup", "/var/cache/pypi-backup", "/usr/local/sbin/pypi-backup"]
LIST_UNITS = "systemctl list-unit-files 'pypi-backup*' | grep pypi-backup"


def test_timers_are_active(host):
    """Backups and checks are scheduled, also after a reboot."""
    for name in ("pypi-backup.timer", "pypi-backup-check.timer"):
        timer = host.service(name)
        assert timer.is_running
        assert timer.is_enabled


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_sandboxed(host, unit):
    """Each unit has an exposure of at most 3.0 in systemd-analyze."""
    report = host.check_output(f"systemd-analyze security {unit}.service")
    exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)[1])
    assert exposure <= 3.0, report


@pytest.fixture(scope="session")
def backed_up(back_up, loads, observe):
    """Back up all servers while clients upload to them.

    Returns the run, the statuses of the uploads by server, and what was observed before and afterwards.
    """
    before = observe()
    files = [{"name": f"acme_loaded-1.{number}-py3-none-any.whl", "size": 3000} for number in range(10_000)]
    with ExitStack() as stack:
        running = {
            server: stack.enter_context(in_background(partial(load.run, "acme_loaded", files)))
            for server, load in loads.items()
        }
        try:
            run = back_up()
        finally:
            for load in loads.values():
                load.stop()
    sent = {server: [file["statuses"] for file in result()["files"]] for server, result in running.items()}
    return run, sent, before, observe()


def test_missing_backup_is_a_detail(backed_up, server):
    """Before the first backup, the health check says so and stays 200."""
    before = backed_up[2]
    assert before[server] == ({}, 200, "Ok\nbackups: none yet\n")


def test_backup_during_uploads(backed_up, server):
    """Uploads are accepted during a backup, which succeeds."""
    run, sent, _before, observed = backed_up
    assert run.code == 0, run.output
    assert {status for statuses in sent[server] for status in statuses} == {200}
    backup, status, health = observed[server]
    assert backup["result"] == "ok"
    assert (status, health) == (200, "Ok")


def test_check_of_the_repository(host, status):
    """The second timer's service reads the data of the repository."""
    host.check_output("systemctl start pypi-backup-check.service")
    assert status()["check"]["result"] == "ok"


def test_secrets_are_private(host, settings, inventory, server):
    """Password and key are readable for root only, and in no unit and no process."""
    assert host.file(SECRETS).mode == 0o700
    for name in ("environment", "password", "ssh-key"):
        assert host.file(f"{SECRETS}/{name}").mode == 0o600
    password = host.file(f"{SECRETS}/password").content_string.strip()
    kept = f"{settings['pypi_secrets_dir']}/{server}-backup-password.txt"
    with open(kept, encoding="utf-8") as file:  # noqa: PTH123
        assert file.read().strip() == password
    assert inventory
    assert host.run("grep -r %s /etc/systemd /var/lib/pypi/backup /usr/local", password).rc == 1
    assert password not in host.check_output("journalctl --unit pypi-backup")


@pytest.fixture(scope="session")
def shown(servers, deploy):
    """Remove the password and the key on all servers, and write them again with --diff. Returns the run."""
    for host in servers.values():
        host.check_output(f"rm {SECRETS}/password {SECRETS}/ssh-key")
    return deploy("--diff", "-vvv", "--tags", "backup")


def test_run_shows_no_secrets(shown, host):
    """The output of a run with --diff has neither the password nor the key."""
    assert shown.code == 0, shown.output
    assert host.file(f"{SECRETS}/password").content_string.strip() not in shown.output
    assert "PRIVATE KEY" not in shown.output


@pytest.fixture(scope="session")
def failed(servers, back_up, observe):
    """Make a backup without the key for SFTP. Returns the run, and what was observed afterwards."""
    for host in servers.values():
        host.check_output(f"mv {SECRETS}/ssh-key /root/ssh-key")
    run = back_up()
    for host in servers.values():
        host.check_output(f"mv /root/ssh-key {SECRETS}/ssh-key")
    return run, observe()


def test_failed_backup_is_visible(host, failed, server):
    """A failure is in the health check, in the result of the playbook, in the status and in the journal."""
    run, observed = failed
    assert run.code != 0
    assert "has failed" in run.normalized_output
    backup, status, health = observed[server]
    assert (status, health) == (200, "Ok\nbackups: the last one failed\n")
    assert backup["reason"]
    assert backup["succeeded"]
    assert "pypi-backup:" in host.check_output("journalctl --unit pypi-backup")


def test_invalid_schedule_changes_nothing(deploy, servers):
    """Systemd on the host checks the schedule before any change."""
    run = deploy("--extra-vars", "pypi_backup_schedule=sometimes")
    assert run.code != 0
    assert "Nothing was changed. pypi_backup_schedule: sometimes is not a valid calendar event" in run.normalized_output
    assert {counts["changed"] for counts in run.hosts.values()} == {0}
    assert servers


@pytest.fixture(scope="session")
def switched(servers, deploy) -> dict:
    """Switch backups off by two runs, and on again. Returns the runs, and the paths that were left when off."""
    off = ["--extra-vars", "pypi_backup_repository="]
    runs = {"off": deploy(*off)}
    left = {server: host.run(f"ls -d {' '.join(FILES)}; {LIST_UNITS}").stdout for server, host in servers.items()}
    return runs | {"off again": deploy(*off), "on": deploy(), "left": left}


def test_backups_can_be_switched_off_and_on(switched, servers, server, host):
    """Without the setting, no file of backups stays; the repository is kept and opened again."""
    assert switched["off"].code == 0, switched["off"].output
    again = switched["off again"]
    assert again.hosts == {server: {"changed": 0, "failed": 0} for server in servers}, again.changes
    assert switched["on"].code == 0, switched["on"].output
    assert switched["left"][server] == ""
    assert host.check_output("pypi-backup restic snapshots --json") != "[]"
