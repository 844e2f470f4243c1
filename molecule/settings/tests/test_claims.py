"""pypi_new_projects: first_uploader. Whose a project is, who is told, and what an admin can change."""

import json
import uuid

import pytest
from support.archives import sdist

SERVER = "anyone.test"
HANA = ("hana", "The password of hana")
# What the proxy says of those who come through it.
CLIENT = "203.0.113.34"
THROUGH = ["--header", f"X-Forwarded-For: {CLIENT}"]


@pytest.fixture
def project():
    """A project's name that nobody has, as file names have it."""
    return f"team_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def publish(send_from):
    """A way to publish a version of a project, through the proxy. Returns the answer."""

    def publish(project: str, version: str, who):
        name = f"{project}-{version}.tar.gz"
        return send_from("proxy", SERVER, name, sdist(project, version), *THROUGH, who=who)

    return publish


@pytest.fixture
def lines(servers, all_settings):
    """A way to what the audit log says of a project."""

    def lines(project: str) -> list[dict]:
        log = f"{all_settings[SERVER]['pypi_log_dir']}/audit/audit.log"
        found = map(json.loads, servers[SERVER].check_output("cat %s", log).splitlines())
        return [line for line in found if line.get("project") == project.replace("_", "-")]

    return lines


def test_the_first_owns_it(publish, project):
    """Of two who may publish it by the same pattern, only the one who did can do it again."""
    assert publish(project, "1.0", "paul").status == 200
    refused = publish(project, "1.1", HANA)
    assert refused.status == 403
    assert f"hana is not allowed to upload {project.replace('_', '-')}, which belongs to paul" in refused.body
    assert publish(project, "1.1", "paul").status == 200


def test_it_is_listed(publish, project, servers):
    """Whose a project is can be looked up."""
    publish(project, "1.0", "paul")
    rows = [line.split() for line in servers[SERVER].check_output("wheelhouse claims").splitlines()]
    assert [row[1] for row in rows if row[0] == project.replace("_", "-")] == ["paul"]


def test_an_admin_changes_it(publish, project, servers):
    """People leave, and projects stay: given to another, it is that one's with the next upload; then nobody's."""
    publish(project, "1.0", "paul")
    servers[SERVER].check_output("wheelhouse claim %s hana", project)
    assert publish(project, "1.1", "paul").status == 403
    assert publish(project, "1.1", HANA).status == 200
    servers[SERVER].check_output("wheelhouse unclaim %s", project)
    assert publish(project, "1.2", "paul").status == 200
    assert publish(project, "1.3", HANA).status == 200


def test_a_wrong_owner(project, servers):
    """A misspelt user would lock everybody out."""
    refused = servers[SERVER].run("wheelhouse claim %s poul", project)
    assert refused.rc == 1
    assert "Check the spelling of the user" in refused.stdout


def test_it_is_logged(publish, project, lines, servers):
    """Each with who it was, and with the client's own address: all of them come through one proxy."""
    publish(project, "1.0", "paul")
    publish(project, "1.1", HANA)
    servers[SERVER].check_output("wheelhouse claim %s hana", project)
    assert [(line["event"], line["user"], line["address"]) for line in lines(project)] == [
        ("claimed", "paul", CLIENT),
        ("upload", "paul", CLIENT),
        ("denied", "hana", CLIENT),
        ("claim-changed", "admin", "local"),
    ]
    assert lines(project)[-1]["reason"] == "from paul to hana"
    assert servers[SERVER].run("wheelhouse audit verify").rc == 0


def test_a_forged_address_is_not_logged(send_from, project, lines):
    """From anybody but the proxy, the header is anybody's word."""
    name = f"{project}-1.0.tar.gz"
    forged = ["--header", "X-Forwarded-For: 192.0.2.1", "--header", "Forwarded: for=192.0.2.1"]
    assert send_from("inside", SERVER, name, sdist(project), *forged, who="paul").status == 200
    assert {line["address"] for line in lines(project)} == {CLIENT}
