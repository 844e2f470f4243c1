"""The audit log of a real server: a line for each change and each refusal, which nobody can alter unseen."""

import hashlib
import json
import uuid
from types import SimpleNamespace

import pytest
from support.archives import sdist


@pytest.fixture(scope="module")
def mark():
    """The end of a project's name that nobody has."""
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="module")
def remove(ask):
    """A way to remove a release, as a user."""

    def remove(project: str, version: str, user: str):
        fields = {":action": "remove_pkg", "name": project, "version": version}
        return ask("/", *(word for item in fields.items() for word in ("--form", "=".join(item))), user=user)

    return remove


@pytest.fixture(scope="module")
def life(host, upload, remove, mark, records, restart_application):
    """The life of a release, and what the log says of it."""
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
        lines=[line for line in records.audit() if line.get("project") == project],
    )


def test_what_happened(life):
    """The story that the log has to tell, so that the tests below mean something."""
    assert life.statuses == [200, 200, 409, 403, 403, 200, 409, 200]
    assert life.name in life.listed


def test_each_has_its_line(life):
    """In the order in which it happened: who did what. What an admin did on the server is theirs by name, too."""
    assert [(line["event"], line["user"]) for line in life.lines] == [
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


def test_what_a_line_says(life, address):
    """All that is asked after an incident: when, from where, which file, how large, and which bytes."""
    assert {line["address"] for line in life.lines if line["user"] != "admin"} == {address}
    assert {line["address"] for line in life.lines if line["user"] == "admin"} == {"local"}
    uploaded, removed, again = life.lines[0], life.lines[8], life.lines[-1]
    for line, content in ((uploaded, life.first), (removed, life.first), (again, life.other)):
        assert (line["filename"], line["version"]) == (life.name, "1.0")
        assert (line["size"], line["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert "other bytes" in life.lines[2]["reason"]
    times = [line["time"] for line in life.lines]
    assert times == sorted(times)


def test_who(host, life):
    """The usual question has a command of its own, for people and for programs."""
    asked = host.check_output(f"wheelhouse audit who {life.project.upper()}")
    assert len(asked.splitlines()) == 1 + len(life.lines)
    assert all(f" {line['event']} " in asked for line in life.lines)
    as_json = host.check_output(f"wheelhouse audit who --json {life.project}").splitlines()
    assert [json.loads(line) for line in as_json] == life.lines
    assert host.run("wheelhouse audit who nobody-has-heard-of-it").rc == 1


@pytest.fixture
def log(host, settings, life):
    """The log's path. Afterwards it is as it was."""
    assert life
    path = f"{settings['pypi_log_dir']}/audit/audit.log"
    host.check_output(f"cp -p {path} /root/audit.log")
    yield path
    host.check_output(f"cp -p /root/audit.log {path}")
    assert host.run("wheelhouse audit verify").rc == 0


# What somebody does who has become root, in the words of sed. $ stands for the last line.
ALTERATIONS = {
    "a changed word": '$s/"user":"bob"/"user":"eve"/',
    "a changed size": '$s/"size":[0-9]*/"size":1/',
    "an earlier line changed": '/"sha256"/s/"filename":"[^"]*"/"filename":"x"/',
    "a dropped line": "2d",
    "the last two lines dropped": "$!N;$!P;$!D;$d",
    "a line twice": "3p",
    "junk added": "$ahello",
}


@pytest.mark.parametrize("script", ALTERATIONS.values(), ids=ALTERATIONS)
def test_alterations_are_found(host, log, script):
    """Whoever covers their tracks leaves tracks."""
    assert host.run("wheelhouse audit verify").rc == 0
    host.check_output("sed -i %s %s", script, log)
    found = host.run("wheelhouse audit verify")
    assert found.rc == 1
    assert "Faults: " in found.stdout


def test_the_last_line_comes_back(host, log):
    """It is kept on the data's disk as well, for it is the one that a crash could keep from the log."""
    before = host.file(log).content
    host.check_output("sed -i '$d' %s", log)
    assert host.run("wheelhouse audit verify").rc == 0
    assert host.file(log).content == before


def test_rotation(host, settings, upload, life):
    """logrotate's own doing, twice: the chain goes on through all files, the compressed ones too."""
    directory = f"{settings['pypi_log_dir']}/audit"
    name = f"{life.name.partition('-')[0]}-2.{{}}.tar.gz"
    before = json.loads(host.check_output(f"tail -n 1 {directory}/audit.log"))
    for number in range(3):
        host.check_output("logrotate --force /etc/logrotate.d/pypi")
        version = f"2.{number}"
        assert upload(name.format(number), sdist(life.project, version), user="bob").status == 200
    names = host.check_output(f"ls {directory}").split()
    assert {"audit.log", "audit.log.1", "audit.log.2.gz"} <= set(names)
    opened, uploaded = map(json.loads, host.check_output(f"cat {directory}/audit.log").splitlines())
    assert (opened["event"], uploaded["event"]) == ("opened", "upload")
    assert uploaded["number"] == before["number"] + 6
    assert host.run("wheelhouse audit verify").rc == 0
    assert len(host.check_output(f"wheelhouse audit who {life.project}").splitlines()) == 1 + len(life.lines) + 3
    assert host.file(f"{directory}/audit.log").mode == 0o640


def test_a_rotated_line_is_missed(host, settings, life):
    """What was put away is part of the chain."""
    assert life
    directory = f"{settings['pypi_log_dir']}/audit"
    host.check_output(f"cp -p {directory}/audit.log.1 /root/audit.log.1 && sed -i 1d {directory}/audit.log.1")
    try:
        assert host.run("wheelhouse audit verify").rc == 1
    finally:
        host.check_output(f"cp -p /root/audit.log.1 {directory}/audit.log.1")
    assert host.run("wheelhouse audit verify").rc == 0


@pytest.fixture
def _unwritable(host, settings):
    """No line can be added to the log."""
    path = f"{settings['pypi_log_dir']}/audit"
    host.check_output(f"chown root {path} {path}/audit.log")
    yield
    host.check_output(f"chown pypi {path} {path}/audit.log")


@pytest.mark.usefixtures("_unwritable")
def test_nothing_goes_unlogged(upload, on_disk, ask, mark):
    """What cannot be logged is not done, and a monitor sees why."""
    name = f"acme_unlogged_{mark}-1.0.tar.gz"
    answer = upload(name, sdist(f"acme-unlogged-{mark}"), user="bob")
    assert answer.status == 503
    assert "was not published" in answer.body
    assert on_disk(name) == []
    health = ask("/-/health")
    assert health.status == 503
    assert "The audit log cannot be written" in health.body


def test_and_then_it_goes_on(upload, ask, mark, host):
    """Without a hand, once the log can be written again."""
    name = f"acme_unlogged_{mark}-1.0.tar.gz"
    assert upload(name, sdist(f"acme-unlogged-{mark}"), user="bob").status == 200
    assert ask("/-/health").status == 200
    assert host.run("wheelhouse audit verify").rc == 0
