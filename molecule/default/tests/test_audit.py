"""The audit log of a server: it records each change and rejection, and detects tampering."""

import hashlib
import json
import uuid
from types import SimpleNamespace

import pytest
from support.archives import sdist


@pytest.fixture(scope="module")
def mark():
    """Return a unique suffix for project names."""
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="module")
def remove(fetch):
    """Remove a release as a user."""

    def remove(project: str, version: str, user: str):
        fields = {":action": "remove_pkg", "name": project, "version": version}
        return fetch("/", *(word for item in fields.items() for word in ("--form", "=".join(item))), user=user)

    return remove


@pytest.fixture(scope="module")
def lifecycle(host, upload, remove, mark, logs, restart_application):
    """Publish, yank, remove and republish a release, and return the log entries of it."""
    restart_application()
    project, name = f"acme-life-{mark}", f"acme_life_{mark}-1.0.tar.gz"
    first, other = sdist(project), sdist(project, more="Summary: another\n")
    statuses = [
        upload(name, first, user="bob").status,
        upload(name, first, user="bob").status,
        upload(name, other, user="bob").status,
        upload(name, first, user="verify").status,
    ]
    host.check_output(f"wheelhouse yank {project} 1.0 --reason wrong")
    host.check_output(f"wheelhouse unyank {project} 1.0")
    statuses += [
        remove(project, "1.0", "bob").status,
        remove(project.upper(), "1.0.0", "alice").status,
        upload(name, other, user="bob").status,
    ]
    listed = host.check_output(f"wheelhouse removed {project}")
    host.check_output(f"wheelhouse release-name {name}")
    statuses.append(upload(name, other, user="bob").status)
    return SimpleNamespace(
        project=project,
        name=name,
        first=first,
        other=other,
        statuses=statuses,
        listed=listed,
        lines=[line for line in logs.audit() if line.get("project") == project],
    )


def test_lifecycle_has_expected_statuses(lifecycle):
    """The requests that the tests below look for in the log had the expected results."""
    assert lifecycle.statuses == [200, 200, 409, 403, 403, 200, 409, 200]
    assert lifecycle.name in lifecycle.listed


def test_logs_one_entry_per_event(lifecycle):
    """Entries are in order and contain the user, also for commands that an admin ran on the server."""
    assert [(line["event"], line["user"]) for line in lifecycle.lines] == [
        ("upload", "bob"),
        ("same", "bob"),
        ("refused", "bob"),
        ("denied", "verify"),
        ("yanked", "admin"),
        ("unyanked", "admin"),
        ("denied", "bob"),
        ("tombstone", "alice"),
        ("removed", "alice"),
        ("refused", "bob"),
        ("name-released", "admin"),
        ("upload", "bob"),
    ]


def test_entries_have_time_address_and_digest(lifecycle, address):
    """An entry contains the time, address, file name, version, size and SHA-256."""
    assert {line["address"] for line in lifecycle.lines if line["user"] != "admin"} == {address}
    assert {line["address"] for line in lifecycle.lines if line["user"] == "admin"} == {"local"}
    uploaded, removed, again = lifecycle.lines[0], lifecycle.lines[8], lifecycle.lines[-1]
    for line, content in ((uploaded, lifecycle.first), (removed, lifecycle.first), (again, lifecycle.other)):
        assert (line["filename"], line["version"]) == (lifecycle.name, "1.0")
        assert (line["size"], line["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert "different content" in lifecycle.lines[2]["reason"]
    times = [line["time"] for line in lifecycle.lines]
    assert times == sorted(times)


def test_audit_who_lists_all_entries(host, lifecycle):
    """`wheelhouse audit who` prints all entries of a project, as text and as JSON."""
    output = host.check_output(f"wheelhouse audit who {lifecycle.project.upper()}")
    assert len(output.splitlines()) == 1 + len(lifecycle.lines)
    assert all(f" {line['event']} " in output for line in lifecycle.lines)
    as_json = host.check_output(f"wheelhouse audit who --json {lifecycle.project}").splitlines()
    assert [json.loads(line) for line in as_json] == lifecycle.lines
    assert host.run("wheelhouse audit who unknown-project").rc == 1


@pytest.fixture
def log(host, settings, lifecycle):
    """Return the path of the log. It is restored afterwards."""
    assert lifecycle
    path = f"{settings['pypi_log_dir']}/audit/audit.log"
    host.check_output(f"cp -p {path} /root/audit.log")
    yield path
    host.check_output(f"cp -p /root/audit.log {path}")
    assert host.run("wheelhouse audit verify").rc == 0


# Tampering by a user with root access, as sed scripts. $ is the last line.
ALTERATIONS = {
    "changed user": '$s/"user":"bob"/"user":"eve"/',
    "changed size": '$s/"size":[0-9]*/"size":1/',
    "earlier line changed": '/"sha256"/s/"filename":"[^"]*"/"filename":"x"/',
    "deleted line": "2d",
    "last two lines deleted": "$!N;$!P;$!D;$d",
    "duplicated line": "3p",
    "appended text": "$ahello",
}


@pytest.mark.parametrize("script", ALTERATIONS.values(), ids=ALTERATIONS)
def test_verify_detects_tampering(host, log, script):
    """`audit verify` fails if any line was changed, deleted or inserted."""
    assert host.run("wheelhouse audit verify").rc == 0
    host.check_output("sed -i %s %s", script, log)
    result = host.run("wheelhouse audit verify")
    assert result.rc == 1
    assert "Faults: " in result.stdout


def test_restores_the_last_line(host, log):
    """The last line is stored on the data disk as well, since a crash may lose it in the log."""
    before = host.file(log).content
    host.check_output("sed -i '$d' %s", log)
    assert host.run("wheelhouse audit verify").rc == 0
    assert host.file(log).content == before


def test_chain_continues_after_rotation(host, settings, upload, lifecycle):
    """The hash chain continues through all rotated files, compressed ones included."""
    directory = f"{settings['pypi_log_dir']}/audit"
    name = f"{lifecycle.name.partition('-')[0]}-2.{{}}.tar.gz"
    before = json.loads(host.check_output(f"tail -n 1 {directory}/audit.log"))
    for number in range(3):
        host.check_output("logrotate --force /etc/logrotate.d/pypi")
        version = f"2.{number}"
        assert upload(name.format(number), sdist(lifecycle.project, version), user="bob").status == 200
    names = host.check_output(f"ls {directory}").split()
    assert {"audit.log", "audit.log.1", "audit.log.2.gz"} <= set(names)
    opened, uploaded = map(json.loads, host.check_output(f"cat {directory}/audit.log").splitlines())
    assert (opened["event"], uploaded["event"]) == ("opened", "upload")
    assert uploaded["number"] == before["number"] + 6
    assert host.run("wheelhouse audit verify").rc == 0
    assert (
        len(host.check_output(f"wheelhouse audit who {lifecycle.project}").splitlines()) == 1 + len(lifecycle.lines) + 3
    )
    assert host.file(f"{directory}/audit.log").mode == 0o640


def test_verify_detects_changes_in_rotated_files(host, settings, lifecycle):
    """Rotated files are part of the chain."""
    assert lifecycle
    directory = f"{settings['pypi_log_dir']}/audit"
    host.check_output(f"cp -p {directory}/audit.log.1 /root/audit.log.1 && sed -i 1d {directory}/audit.log.1")
    try:
        assert host.run("wheelhouse audit verify").rc == 1
    finally:
        host.check_output(f"cp -p /root/audit.log.1 {directory}/audit.log.1")
    assert host.run("wheelhouse audit verify").rc == 0


@pytest.fixture
def _unwritable(host, settings):
    """Make the log unwritable."""
    path = f"{settings['pypi_log_dir']}/audit"
    host.check_output(f"chown root {path} {path}/audit.log")
    yield
    host.check_output(f"chown pypi {path} {path}/audit.log")


@pytest.mark.usefixtures("_unwritable")
def test_rejects_upload_that_cannot_be_logged(upload, on_disk, fetch, mark):
    """An upload that cannot be logged gets 503, and the health check gives the reason."""
    name = f"acme_unlogged_{mark}-1.0.tar.gz"
    response = upload(name, sdist(f"acme-unlogged-{mark}"), user="bob")
    assert response.status == 503
    assert "was not published" in response.body
    assert on_disk(name) == []
    health = fetch("/-/health")
    assert health.status == 503
    assert "The audit log cannot be written" in health.body


def test_accepts_uploads_when_log_is_writable_again(upload, fetch, mark, host):
    """Uploads work again without a restart."""
    name = f"acme_unlogged_{mark}-1.0.tar.gz"
    assert upload(name, sdist(f"acme-unlogged-{mark}"), user="bob").status == 200
    assert fetch("/-/health").status == 200
    assert host.run("wheelhouse audit verify").rc == 0
