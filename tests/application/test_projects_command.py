"""Owners and tombstones on the command line, with audit log entries."""

import json
from pathlib import Path

import pytest
from support.pages import Site, write_settings
from wheelhouse import __main__ as program
from wheelhouse.access.claims import Claims
from wheelhouse.config import Settings
from wheelhouse.storage.tombstones import Tombstones

SHA256 = "ab" * 32
RIGHTS = {
    "groups": {"all": ["alice", "bob"]},
    "rights": [{"users": [], "groups": ["all"], "may": ["upload"], "projects": ["acme-*"]}],
}


class Desk:
    """An index, and an administrator at its command line."""

    def __init__(self, site: Site, capsys: pytest.CaptureFixture):
        self.settings_file = write_settings(site.home, site.home / "data", site.paths.pages)
        self.settings = Settings.load(self.settings_file)
        self.settings.rights.write_text(json.dumps(RIGHTS))
        self.claims = Claims(self.settings.claims, site.paths.locks / "claims")
        self.tombstones = Tombstones(self.settings.tombstones, site.paths.locks / "tombstones")
        self._capsys = capsys

    def run(self, *words: str) -> tuple[int, str]:
        """Run the program. Returns its exit status and its output."""
        status = program.main(["--settings", str(self.settings_file), *words])
        return status, self._capsys.readouterr().out

    def audit(self) -> list[tuple]:
        """Return the audit log: event, user, address, project, reason or file."""
        log = self.settings.audit
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        keys = ("event", "user", "address", "project")
        return [
            (*(line.get(key) for key in keys), line.get("filename") or line.get("reason"))
            for line in lines
            if line["user"] != "wheelhouse"
        ]


@pytest.fixture
def desk(site: Site, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return an index without owners and tombstones; dora is its administrator."""
    monkeypatch.setenv("WHEELHOUSE_USER", "dora")
    return Desk(site, capsys)


def test_lists_owners(desk: Desk) -> None:
    """All projects are listed by name, with owner and date."""
    assert desk.run("claims") == (0, "No project has an owner.\n")
    desk.claims.claim("acme-two", "bob")
    desk.claims.claim("acme-one", "alice")
    status, said = desk.run("claims")
    assert status == 0
    since = desk.claims.all()["acme-one"]["since"]
    assert [line.split() for line in said.splitlines()[1:]] == [
        ["acme-one", "alice", since],
        ["acme-two", "bob", desk.claims.all()["acme-two"]["since"]],
    ]
    assert desk.audit() == []


def test_claim_sets_the_owner(desk: Desk) -> None:
    """An administrator transfers a project, in any spelling of its name; the log has the administrator."""
    assert desk.run("claim", "Acme_Core", "alice") == (0, "")
    assert desk.run("claim", "acme.core", "bob") == (0, "")
    assert {project: claim["user"] for project, claim in desk.claims.all().items()} == {"acme-core": "bob"}
    assert desk.audit() == [
        ("claim-changed", "dora", "local", "acme-core", "from nobody to alice"),
        ("claim-changed", "dora", "local", "acme-core", "from alice to bob"),
    ]


def test_claim_is_idempotent(desk: Desk) -> None:
    """An unchanged owner keeps the original date and adds no audit log entry."""
    desk.run("claim", "acme-core", "alice")
    before = desk.claims.all(), desk.audit()
    assert desk.run("claim", "acme-core", "alice") == (0, "acme-core already belongs to alice.\n")
    assert (desk.claims.all(), desk.audit()) == before


@pytest.mark.parametrize(("project", "user"), [("acme-core", "alcie"), ("acme-core", "all"), ("other", "alice")])
def test_claim_rejects_users_without_the_right(desk: Desk, project: str, user: str) -> None:
    """A misspelled user would block all uploads to the project."""
    desk.claims.claim(project, "bob")
    status, said = desk.run("claim", project, user)
    assert status == 1
    assert f"{user} is not allowed to upload {project}" in said
    assert "pypi_rights" in said
    assert desk.claims.owner_of(project) == "bob"
    assert desk.audit() == []


@pytest.mark.parametrize("words", [["claim", "../x", "alice"], ["unclaim", "acme-*"], ["removed", "_"], ["claim", "x"]])
def test_rejects_invalid_project_names(desk: Desk, words: list[str]) -> None:
    """An invalid project name is a usage error."""
    with pytest.raises(SystemExit) as stopped:
        desk.run(*words)
    assert stopped.value.code == 2


def test_unclaim_removes_the_owner(desk: Desk) -> None:
    """Access then depends on the rights only, as for a project without an owner."""
    desk.claims.claim("acme-core", "alice")
    assert desk.run("unclaim", "Acme.Core") == (0, "")
    assert desk.claims.owner_of("acme-core") is None
    assert desk.audit() == [("claim-changed", "dora", "local", "acme-core", "from alice to nobody")]
    assert desk.run("unclaim", "acme-core") == (1, "acme-core has no owner.\n")
    assert len(desk.audit()) == 1


def test_lists_removed_files(desk: Desk) -> None:
    """Tombstones are listed for all projects or for one."""
    assert desk.run("removed") == (0, "No file was removed.\n")
    desk.tombstones.add("Acme.Core-1.0.tar.gz", SHA256, "alice")
    desk.tombstones.add("acme_core_more-1.0-py3-none-any.whl", SHA256, "bob")
    status, said = desk.run("removed")
    assert status == 0
    files = [line.split()[:2] for line in said.splitlines()[1:]]
    assert files == [["Acme.Core-1.0.tar.gz", "alice"], ["acme_core_more-1.0-py3-none-any.whl", "bob"]]
    assert desk.tombstones.get("acme-core-1.0.tar.gz").removed in said
    assert SHA256 in said
    _, said = desk.run("removed", "acme_core")
    assert [line.split()[0] for line in said.splitlines()[1:]] == ["Acme.Core-1.0.tar.gz"]


def test_release_name_allows_reuse(desk: Desk) -> None:
    """The name can be used again, in all its spellings; the log has the name and the administrator."""
    desk.tombstones.add("Acme.Core-1.0.tar.gz", SHA256, "alice")
    desk.tombstones.add("acme-core-2.0.tar.gz", SHA256, "alice")
    assert desk.run("release-name", "acme-core-1.0.0.tar.gz") == (0, "")
    assert [stone.filename for stone in desk.tombstones.all()] == ["acme-core-2.0.tar.gz"]
    assert desk.audit() == [("name-released", "dora", "local", "acme-core", "Acme.Core-1.0.tar.gz")]
    status, said = desk.run("release-name", "acme-core-1.0.tar.gz")
    assert status == 1
    assert "wheelhouse removed" in said
    assert len(desk.audit()) == 1


@pytest.mark.parametrize("filename", ["acme-core", "../acme-core-1.0.tar.gz", "acme-core-*.tar.gz", ""])
def test_release_name_rejects_invalid_names(desk: Desk, filename: str) -> None:
    """Patterns and partial names are rejected."""
    desk.tombstones.add("acme-core-1.0.tar.gz", SHA256, "alice")
    status, said = desk.run("release-name", filename)
    assert status == 1
    assert said
    assert len(desk.tombstones.all()) == 1


CHANGES = [["claim", "acme-core", "bob"], ["unclaim", "acme-core"], ["release-name", "acme-core-1.0.tar.gz"]]


@pytest.mark.parametrize("words", CHANGES, ids=lambda words: words[0])
def test_nothing_is_done_without_an_audit_entry(desk: Desk, words: list[str]) -> None:
    """A change that cannot be logged is not made (write-ahead)."""
    desk.claims.claim("acme-core", "alice")
    desk.tombstones.add("acme-core-1.0.tar.gz", SHA256, "alice")
    desk.settings.audit.parent.rmdir()
    assert desk.run(*words)[0] == 2
    assert desk.claims.owner_of("acme-core") == "alice"
    assert desk.tombstones.get("acme-core-1.0.tar.gz")


@pytest.mark.parametrize("words", CHANGES, ids=lambda words: words[0])
def test_failures_are_audited(desk: Desk, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that fails after it was logged gets an `undone` entry."""
    desk.claims.claim("acme-core", "alice")
    desk.tombstones.add("acme-core-1.0.tar.gz", SHA256, "alice")

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wheelhouse.files.json_table.write_atomically", fail)
    assert desk.run(*words)[0] == 2
    assert [event for event, *_ in desk.audit()][1:] == ["undone"]
    assert desk.claims.owner_of("acme-core") == "alice"
    assert desk.tombstones.get("acme-core-1.0.tar.gz")


@pytest.mark.parametrize("words", [["claims"], ["removed"], *CHANGES], ids=lambda words: words[0])
def test_reports_corrupt_tables(desk: Desk, words: list[str]) -> None:
    """A corrupt table is neither overwritten nor listed as empty."""
    files: list[Path] = [desk.settings.claims, desk.settings.tombstones]
    for path in files:
        path.write_text("{")
    assert desk.run(*words)[0] == 2
    assert [path.read_text() for path in files] == ["{", "{"]
    assert desk.audit() == []
