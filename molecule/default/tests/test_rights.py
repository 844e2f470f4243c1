"""Who may read, publish and remove what, with the users and rights that the kit ships."""

import uuid

import pytest
from support.archives import fitting, wheel

# Who (a user, or a user and a password), path, status.
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

# Who, the project's name in the file, the form's fields, status. * is new each time.
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
    """A wheel's, of a project that is new where its name has a star."""
    return f"{project.replace('*', uuid.uuid4().hex[:8])}-1.0-py3-none-any.whl"


@pytest.fixture(scope="module", autouse=True)
def _known(upload):
    """One project that is there, perhaps since an earlier run."""
    assert upload("acme_known-1.0-py3-none-any.whl", wheel("acme_known"), user="bob").status == 200


@pytest.mark.parametrize(("who", "path", "status"), READS)
def test_read(ask, who, path, status):
    """Every user reads, nobody else; and who is not signed in cannot tell what exists from what does not."""
    assert ask(path, "--path-as-is", user=who).status == status


@pytest.mark.parametrize(("who", "project", "fields", "status"), UPLOADS)
def test_upload(upload, on_disk, who, project, fields, status):
    """Rights are on the project that the file's name says, since pip goes by that; the form may say anything."""
    name = file_name(project)
    answer = upload(name, fitting(name), user=who, **fields)
    assert answer.status == status, answer.body
    assert bool(on_disk(name)) is (status == 200)


@pytest.mark.parametrize("path", ["/", "/legacy/", "/legacy"])
def test_upload_addresses(upload, on_disk, path):
    """The two addresses that clients are used to, and the one without the slash that some configure."""
    name = file_name("acme_*")
    assert upload(name, fitting(name), user="bob", path=path).status == 200
    assert on_disk(name) == [name]


@pytest.mark.parametrize("header", FORGED)
def test_forged_user(upload, on_disk, header):
    """Signed in as one, nobody becomes another by a header."""
    name = file_name("other_*")
    answer = upload(name, fitting(name), "--header", header, user="bob")
    assert answer.status == 403
    assert "bob is not allowed to upload" in answer.body
    assert on_disk(name) == []


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("bob", 403), ("verify", 403), ("alice", 200)])
def test_remove(ask, upload, on_disk, who, status):
    """Only those who are told may remove: builds elsewhere depend on what is there."""
    name = file_name("acme_*")
    assert upload(name, fitting(name), user="bob").status == 200
    project = name.split("-")[0]
    fields = {":action": "remove_pkg", "name": project.replace("_", "-"), "version": "1.0"}
    answer = ask("/", *(word for item in fields.items() for word in ("--form", "=".join(item))), user=who)
    assert answer.status == status, answer.body
    assert bool(on_disk(name)) is (status != 200)
