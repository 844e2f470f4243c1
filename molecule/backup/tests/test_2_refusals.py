"""Restores that are refused, or that replace an existing index. Each run is for both servers."""

import shutil

import pytest

FILES = "find /srv/pypi/packages -type f -not -name '.*' -printf '%f %s %T@\\n' | sort"
OVERWRITE = ("--extra-vars", "pypi_restore_overwrite=true")


@pytest.fixture(scope="session")
def unchanged(servers):
    """Return a function that checks that a run failed without a change, and that all files are still there."""
    before = {server: host.check_output(FILES) for server, host in servers.items()}

    def unchanged(run, message: str) -> None:
        assert run.hosts == {server: {"changed": 0, "failed": 1} for server in servers}, run.output
        assert message in run.normalized_output
        assert {server: host.check_output(FILES) for server, host in servers.items()} == before

    return unchanged


def test_refuses_to_replace_files(restore, unchanged):
    """An index with files is not touched without pypi_restore_overwrite, and the message names it."""
    run = restore()
    unchanged(run, "Nothing was changed. The index on debian12.test has files: ")
    assert "-e pypi_restore_overwrite=true" in run.normalized_output


def test_refuses_without_password(restore, unchanged, all_settings, tmp_path):
    """A missing password is reported, and no other one is generated."""
    (secrets,) = {settings["pypi_secrets_dir"] for settings in all_settings.values()}
    copy, passwords = tmp_path / "secrets", "*-backup-password.txt"
    shutil.copytree(secrets, copy, ignore=shutil.ignore_patterns(passwords))
    run = restore(*OVERWRITE, "--extra-vars", f"pypi_secrets_dir={copy}")
    unchanged(run, "Nothing was changed. The password of the backup repository is neither in")
    assert not [*copy.glob(passwords)]


def test_rejects_wrong_password(restore, servers, deploy):
    """With a wrong password, no file of the index is touched."""
    before = {server: host.check_output(FILES) for server, host in servers.items()}
    run = restore(*OVERWRITE, "--extra-vars", "pypi_backup_password=wrong")
    assert run.code != 0
    assert "The password of the backup repository is wrong." in run.normalized_output
    assert {server: host.check_output(FILES) for server, host in servers.items()} == before
    assert deploy("--tags", "backup").code == 0


def test_check_mode_changes_nothing(restore, servers):
    """A dry run restores nothing."""
    before = {server: host.check_output(FILES) for server, host in servers.items()}
    restore(*OVERWRITE, "--check")
    assert {server: host.check_output(FILES) for server, host in servers.items()} == before


@pytest.fixture(scope="session")
def overwritten(back_up, restore, servers, loads):
    """Back up, publish one more file, and replace the index by the backup."""
    assert back_up().code == 0
    for load in loads.values():
        sent = load.run("acme_later", [{"name": "acme_later-1.0-py3-none-any.whl", "size": 100}])["files"]
        assert sent[0]["statuses"] == [200]
    assert servers
    return restore(*OVERWRITE)


def test_overwrite_keeps_previous_files(overwritten, publish, host):
    """An existing index is replaced if that is wanted; its files are kept aside."""
    assert overwritten.code == 0, overwritten.output
    assert "The previous files are in /srv/pypi/.replaced-" in overwritten.normalized_output
    assert "acme_later" not in host.check_output("ls /srv/pypi/packages")
    assert "acme_later-1.0" in host.check_output("ls -R --all /srv/pypi")
    assert host.check_output("wheelhouse check") == ""
    assert publish("11.0") == 200
