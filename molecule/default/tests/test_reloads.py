"""Consecutive uploads during reloads of Apache and the application, and switches of the release: all are accepted."""

import time
from collections import Counter

import pytest
from shared.load import Load, in_background

UPLOADS, ROUNDS = 100, 4
# Each release is a directory; the link is replaced atomically, as by a run of the kit.
SWITCH = (
    "cd {program} && now=$(readlink current) && "
    "case $now in *.other) next=${{now%.other}};; *) next=$now.other; [ -d $next ] || cp -a $now $next;; esac && "
    "ln -sfn $next .current.new && mv -T .current.new current && systemctl reload pypi-application"
)
RELOADS = [
    "systemctl reload apache2",
    "systemctl reload pypi-application",
    SWITCH,
    "systemctl reload apache2 && systemctl reload pypi-application",
]


@pytest.fixture
def load(client, put, settings, password_of, server):
    """Return the clients that publish."""
    return Load(client, put, settings["pypi_url"], "alice", password_of(server, "alice"))


@pytest.fixture
def program(host, settings):
    """Return the directory of the releases. Restores the release that the kit has built."""
    program = settings["pypi_program_dir"]
    current = host.check_output(f"readlink {program}/current")
    yield program
    host.check_output(f"ln -sfn {current} {program}/current && systemctl reload pypi-application")
    host.check_output(f"rm -rf {program}/*.other")


def test_reloads_fail_no_uploads(host, settings, load, program):
    """All uploads get 200, none gets 503."""
    projects = f"acme_reload{time.time_ns()}"
    files = [{"name": f"{projects}-1.{n}-py3-none-any.whl", "size": 500} for n in range(20 * UPLOADS)]
    count = f"ls {settings['pypi_data_dir']}/packages | grep -c {projects}"
    with in_background(lambda: load.run(projects, files, publishers=1)) as loaded:
        try:
            wait_for(host, count, 1)
            for command in RELOADS * ROUNDS:
                before = int(host.run(count).stdout)
                host.check_output(command.format(program=program))
                # Requests that arrived during the reload may still be in progress.
                wait_for(host, count, before + UPLOADS // len(RELOADS) // ROUNDS)
        finally:
            load.stop()
    sent = loaded()["files"]
    responses = Counter(status for file in sent for status in file["statuses"])
    assert responses.keys() == {200}, (responses, [error for file in sent for error in file["errors"]])
    assert responses[200] >= UPLOADS


def wait_for(host, count: str, files: int) -> None:
    """Wait until a command counts this many files."""
    for _ in range(600):
        if int(host.run(count).stdout) >= files:
            return
        time.sleep(0.2)
    raise AssertionError(f"{host.run(count).stdout} instead of {files} files")
