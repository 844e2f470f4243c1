"""Project owners (pypi_new_projects: first_uploader)."""

import json
import uuid

import pytest
from support.archives import sdist

SERVER = "anyone.test"
HANA = ("hana", "The password of hana")
# The client address that the proxy forwards.
CLIENT = "203.0.113.34"
THROUGH = ["--header", f"X-Forwarded-For: {CLIENT}"]


@pytest.fixture
def project():
    """Return an unused project name, as in file names."""
    return f"team_{uuid.uuid4().hex[:8]}"


@pytest.fixture
def publish(send_from):
    """Publish a version of a project through the proxy. Returns the response."""

    def publish(project: str, version: str, user):
        name = f"{project}-{version}.tar.gz"
        return send_from("proxy", SERVER, name, sdist(project, version), *THROUGH, user=user)

    return publish


@pytest.fixture
def audit_entries(servers, all_settings):
    """Return the audit entries of a project."""

    def audit_entries(project: str) -> list[dict]:
        log = f"{all_settings[SERVER]['pypi_log_dir']}/audit/audit.log"
        found = map(json.loads, servers[SERVER].check_output("cat %s", log).splitlines())
        return [line for line in found if line.get("project") == project.replace("_", "-")]

    return audit_entries


def test_first_uploader_owns_project(publish, project):
    """Of two users with the right to upload, only the first uploader can upload again."""
    assert publish(project, "1.0", "paul").status == 200
    response = publish(project, "1.1", HANA)
    assert response.status == 403
    assert f"hana is not allowed to upload {project.replace('_', '-')}, which belongs to paul" in response.body
    assert publish(project, "1.1", "paul").status == 200


def test_claims_lists_owner(publish, project, servers):
    """`wheelhouse claims` prints the owner of a project."""
    publish(project, "1.0", "paul")
    rows = [line.split() for line in servers[SERVER].check_output("wheelhouse claims").splitlines()]
    assert [row[1] for row in rows if row[0] == project.replace("_", "-")] == ["paul"]


def test_admin_changes_owner(publish, project, servers):
    """A changed owner takes effect with the next upload; without an owner, the rights decide."""
    publish(project, "1.0", "paul")
    servers[SERVER].check_output("wheelhouse claim %s hana", project)
    assert publish(project, "1.1", "paul").status == 403
    assert publish(project, "1.1", HANA).status == 200
    servers[SERVER].check_output("wheelhouse unclaim %s", project)
    assert publish(project, "1.2", "paul").status == 200
    assert publish(project, "1.3", HANA).status == 200


def test_claim_rejects_unknown_user(project, servers):
    """A misspelled user name is rejected, because it would block all uploads."""
    result = servers[SERVER].run("wheelhouse claim %s poul", project)
    assert result.rc == 1
    assert "Check the spelling of the user" in result.stdout


def test_logs_claims_with_client_address(publish, project, audit_entries, servers):
    """Each entry contains the user, and the client address instead of the proxy's."""
    publish(project, "1.0", "paul")
    publish(project, "1.1", HANA)
    servers[SERVER].check_output("wheelhouse claim %s hana", project)
    assert [(line["event"], line["user"], line["address"]) for line in audit_entries(project)] == [
        ("claimed", "paul", CLIENT),
        ("upload", "paul", CLIENT),
        ("denied", "hana", CLIENT),
        ("claim-changed", "admin", "local"),
    ]
    assert audit_entries(project)[-1]["reason"] == "from paul to hana"
    assert servers[SERVER].run("wheelhouse audit verify").rc == 0


def test_ignores_forwarded_address_of_untrusted_client(send_from, project, audit_entries):
    """Forwarding headers are ignored unless they come from the trusted proxy."""
    name = f"{project}-1.0.tar.gz"
    forged = ["--header", "X-Forwarded-For: 192.0.2.1", "--header", "Forwarded: for=192.0.2.1"]
    assert send_from("inside", SERVER, name, sdist(project), *forged, user="paul").status == 200
    assert {line["address"] for line in audit_entries(project)} == {CLIENT}
