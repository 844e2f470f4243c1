"""Access with the users and rights that the kit ships."""

import uuid

import pytest
from support.archives import fitting, wheel

# User (or user and password), path, status.
READS = [
    (None, "/simple/", 401),
    (None, "/simple/acme-known/", 401),
    (None, "/simple/acme-unknown/", 401),
    (None, "/packages/acme_known-1.0-py3-none-any.whl", 401),
    (("alice", ""), "/simple/", 401),
    (("alice", "wrong"), "/simple/", 401),
    (("nobody", "wrong"), "/simple/", 401),
    (("", ""), "/simple/", 401),
    ("alice", "/simple/", 200),
    ("bob", "/simple/", 200),
    ("verify", "/simple/", 200),
    ("verify", "/simple/acme-known/", 200),
    ("verify", "/packages/acme_known-1.0-py3-none-any.whl", 200),
    ("verify", "/simple/acme-unknown/", 404),
    ("verify", "/packages/acme_unknown-1.0-py3-none-any.whl", 404),
    ("alice", "/packages/", 404),
    ("alice", "/packages/../htpasswd", 404),
    ("alice", "/packages/..%2f.wheelhouse", 404),
    ("alice", "/packages/%2e%2e/.wheelhouse", 404),
    ("alice", "/RPC2", 404),
]

# User, project name in the file name, form fields, status. * is replaced by a unique string.
UPLOADS = [
    (None, "acme_*", {}, 401),
    (("bob", "wrong"), "acme_*", {}, 401),
    ("bob", "acme_*", {}, 200),
    ("bob", "Acme.*", {}, 200),
    ("alice", "acme_*", {}, 200),
    ("alice", "other_*", {}, 200),
    ("bob", "other_*", {}, 403),
    ("bob", "acmeother_*", {}, 403),
    ("bob", "other_*", {"name": "acme-shelf"}, 403),
    ("bob", "wheelhouse_verify_*", {}, 403),
    ("verify", "wheelhouse_verify_*", {}, 200),
    ("verify", "acme_*", {}, 403),
]

FORGED = ["X-Forwarded-User: alice", "Remote-User: alice", "X-Remote-User: alice", "REMOTE_USER: alice"]


def file_name(project: str) -> str:
    """Return the file name of a wheel, with * replaced by a unique string."""
    return f"{project.replace('*', uuid.uuid4().hex[:8])}-1.0-py3-none-any.whl"


@pytest.fixture(scope="module", autouse=True)
def _known(upload):
    """Publish a project, if an earlier run has not."""
    assert upload("acme_known-1.0-py3-none-any.whl", wheel("acme_known"), user="bob").status == 200


@pytest.mark.parametrize(("who", "path", "status"), READS)
def test_read_access(fetch, who, path, status):
    """Every user can read. Without a login, existing and missing projects are indistinguishable."""
    assert fetch(path, "--path-as-is", user=who).status == status


@pytest.mark.parametrize(("who", "project", "fields", "status"), UPLOADS)
def test_upload_access(upload, on_disk, who, project, fields, status):
    """Rights apply to the project in the file name, as pip uses it; form fields are ignored."""
    name = file_name(project)
    response = upload(name, fitting(name), user=who, **fields)
    assert response.status == status, response.body
    assert bool(on_disk(name)) is (status == 200)


@pytest.mark.parametrize("path", ["/", "/legacy/", "/legacy"])
def test_upload_urls(upload, on_disk, path):
    """The two usual upload URLs work, and the one without the final slash."""
    name = file_name("acme_*")
    assert upload(name, fitting(name), user="bob", path=path).status == 200
    assert on_disk(name) == [name]


@pytest.mark.parametrize("header", FORGED)
def test_ignores_forged_identity_header(upload, on_disk, header):
    """A header cannot change the authenticated user."""
    name = file_name("other_*")
    response = upload(name, fitting(name), "--header", header, user="bob")
    assert response.status == 403
    assert "bob is not allowed to upload" in response.body
    assert on_disk(name) == []


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("bob", 403), ("verify", 403), ("alice", 200)])
def test_remove_access(fetch, upload, on_disk, who, status):
    """Only users with the right to remove can remove releases."""
    name = file_name("acme_*")
    assert upload(name, fitting(name), user="bob").status == 200
    project = name.split("-")[0]
    fields = {":action": "remove_pkg", "name": project.replace("_", "-"), "version": "1.0"}
    response = fetch("/", *(word for item in fields.items() for word in ("--form", "=".join(item))), user=who)
    assert response.status == status, response.body
    assert bool(on_disk(name)) is (status != 200)
