"""Each tag checks only what it needs, so that a user can be removed despite other problems."""

from pathlib import Path

import pytest
from support import ansible_templates, control
from support.preflight import problems, runs

ROLES = ["packages", "pypiserver", "accounts", "tls", "monitoring", "apache", "backup"]
NO_CERTIFICATE = {
    "pypi_tls": "provided",
    "pypi_tls_certificate": "/nowhere.crt",
    "pypi_tls_private_key": "/nowhere.key",
}

SETTINGS = "pypi_users: [{name: alice}]\n" + "".join(f"{name}: {value}\n" for name, value in NO_CERTIFICATE.items())

# Tags given with --tags and --skip-tags, and the roles that such a run applies.
APPLIED = [
    (["all"], [], ROLES),
    (["tagged"], [], ROLES),
    (["accounts"], [], ["accounts"]),
    (["tls", "apache"], [], ["tls", "apache"]),
    (["always", "accounts"], [], ["accounts"]),
    (["always"], [], []),
    (["all"], ["tls"], ["packages", "pypiserver", "accounts", "monitoring", "apache", "backup"]),
    (["accounts", "tls"], ["tls"], ["accounts"]),
    # A tag of the playbook that imports site.yml: all of it is applied.
    (["index"], [], ROLES),
    (["index", "accounts"], [], ROLES),
]


@pytest.mark.parametrize(("run", "skip", "applied"), APPLIED)
def test_tags_determine_applied_roles(run: list[str], skip: list[str], applied: list[str]) -> None:
    """With a tag of another playbook, all roles are checked."""
    expression = ansible_templates.trust_as_template("{{ __pypi_applied }}")
    assert sorted(ansible_templates.evaluate(expression, ansible_run_tags=run, ansible_skip_tags=skip)) == sorted(
        applied
    )


def test_each_role_has_a_tag() -> None:
    """Roles without a tag would not be checked."""
    roles = ansible_templates.read_yaml("site.yml")[0]["roles"]
    tagged = [role["role"] for role in roles if "always" not in role["tags"]]
    assert tagged == ROLES
    assert [role["tags"] for role in roles if role["role"] in ROLES] == [[role] for role in ROLES]


@pytest.mark.parametrize("tag", ["packages", "pypiserver", "accounts", "apache", "backup"])
def test_tag_without_certificate_ignores_it(tag: str) -> None:
    """Only the role tls reads the certificate files."""
    assert problems(**ansible_templates.sample() | NO_CERTIFICATE, ansible_run_tags=[tag]) == []


@pytest.mark.parametrize("tags", [["all"], ["tls"], ["accounts", "tls"], ["index"]])
def test_tag_with_certificate_checks_it(tags: list[str]) -> None:
    """A run that copies the files checks them."""
    assert (
        "/nowhere.crt is missing" in problems(**ansible_templates.sample() | NO_CERTIFICATE, ansible_run_tags=tags)[0]
    )


def test_each_tag_checks_settings() -> None:
    """Invalid settings are reported with any tag."""
    for tag in ROLES:
        assert problems(**ansible_templates.sample() | {"pypi_server_name": "no_name"}, ansible_run_tags=[tag])


MOUNT = ("host.yml", "host | Check whether the data directory is a mount point")
LOST = ("host.yml", "host | Fail if the data of an existing deployment is missing")
LOST_DATA = {"__pypi_host": {"deployed": True, "has_data": False}}


RESTORE = ("host.yml", "host | Fail if a restore was interrupted")
SCHEDULES = ("host.yml", "host | Check the schedules of backups")


@pytest.mark.parametrize(
    ("task", "needed_by", "given"),
    [
        (("host.yml", "host | Check the ports of the index"), {"packages", "apache"}, {}),
        (MOUNT, {"pypiserver"}, {"pypi_data_is_mount": True}),
        (LOST, {"pypiserver"}, LOST_DATA),
        (RESTORE, {"pypiserver"}, {"__pypi_host": {"restoring": "begun"}}),
        (SCHEDULES, {"backup"}, {"pypi_backup_repository": "/mnt/backup"}),
    ],
    ids=["ports", "mount", "lost data", "interrupted restore", "schedules"],
)
def test_tags_determine_host_checks(task: tuple[str, str], needed_by: set[str], given: dict) -> None:
    """Ports are checked by roles that start Apache, data by roles that write it."""
    assert {tag for tag in ROLES if runs(*task, tag, **given)} == needed_by
    assert runs(*task, "all", **given)


def test_restore_may_continue() -> None:
    """Only playbooks/restore.yml, which sets pypi_data_is_new, runs on a host with an interrupted restore."""
    assert not runs(*RESTORE, "all", __pypi_host={"restoring": "begun"}, pypi_data_is_new=True)
    assert not runs(*RESTORE, "all", __pypi_host={"restoring": ""})
    assert not runs(*SCHEDULES, "all")


@pytest.mark.parametrize(("options", "rejected"), [(["--tags", "accounts"], False), ([], True)], ids=str)
def test_tag_accounts_runs_without_certificate(tmp_path: Path, options: list[str], rejected: bool) -> None:
    """With --tags accounts, a missing certificate is not an error."""
    checks = control.checks(tmp_path, "settings")
    run = control.playbook(checks, "-i", control.inventory(tmp_path / "inventory", SETTINGS), *options)
    assert ("/nowhere.crt is missing" in run.normalized_output) is rejected
    assert (control.PASSED in run.output) is not rejected
