"""Restores: refused over an existing index, complete on a new host, also after an interruption."""

import pytest

FILES = "find /srv/pypi/packages -type f -not -name '.*' -printf '%f %s %T@\\n' | sort"
DATA = "/srv/pypi/packages /srv/pypi/state /var/log/pypi/audit"


def test_refuses_to_replace_files(restore, host, server):
    """An index with files is not touched without pypi_restore_overwrite."""
    before = host.check_output(FILES)
    run = restore(server, new=False)
    assert run.code != 0
    assert "Nothing was changed. The index on" in run.normalized_output
    assert "-e pypi_restore_overwrite=true" in run.normalized_output
    assert run.hosts[server]["changed"] == 0
    assert host.check_output(FILES) == before


def test_refuses_without_password(restore, server, tmp_path):
    """A missing password is reported, and no other one is generated."""
    run = restore(server, "--extra-vars", f"pypi_secrets_dir={tmp_path}")
    assert run.code != 0
    assert "Nothing was changed. The password of the backup repository is neither in" in run.normalized_output
    assert not [*tmp_path.glob("*backup-password*")]


def test_rejects_wrong_password(restore, server, new_host):
    """With a wrong password, nothing of the index is written."""
    run = restore(server, "--extra-vars", "pypi_backup_password=wrong")
    assert run.code != 0
    assert "The password of the backup repository is wrong." in run.normalized_output
    assert not new_host.file("/srv/pypi/packages").exists


def test_check_mode_changes_nothing(restore, server, new_host):
    """A dry run on a new host restores nothing."""
    restore(server, "--check")
    assert not new_host.file("/srv/pypi/packages").exists


@pytest.fixture(scope="module")
def removed(upload, fetch, back_up, publish, server):
    """Remove a release, and back up."""
    assert upload is not None
    assert publish("9.0") == 200
    form = {":action": "remove_pkg", "name": "acme-demo", "version": "9.0"}
    options = [word for item in form.items() for word in ("--form", "=".join(item))]
    assert fetch("", *options, user="alice").status == 200
    run = back_up("--limit", server)
    assert run.code == 0, run.output


@pytest.fixture(scope="module")
def interrupted(removed, restore, server, new_host):  # noqa: ARG001
    """Interrupt a restore between two of its directories: a file is where the state belongs."""
    new_host.check_output("mkdir -p /srv/pypi && touch /srv/pypi/state")
    run = restore(server)
    new_host.check_output("rm /srv/pypi/state")
    return run


@pytest.fixture(scope="module")
def restored(interrupted, restore, server):  # noqa: ARG001
    """Run the restore again."""
    return restore(server)


def test_interrupted_restore_is_not_deployed(interrupted, deploy, new_host, server):
    """No run deploys an index with a part of its data."""
    assert interrupted.code != 0
    address = f"ansible_host=wheelhouse-backup-{'new12' if '12' in server else 'new13'}"
    run = deploy("--limit", server, "--extra-vars", address)
    assert run.code != 0
    assert "was interrupted, and its data is not complete" in run.normalized_output
    assert not new_host.file("/srv/pypi/.wheelhouse").exists


def test_restore_is_completed(restored, new_host):
    """The second restore succeeds; its own checks of files and audit log found nothing."""
    assert restored.code == 0, restored.output
    assert new_host.check_output("wheelhouse check") == ""
    assert new_host.check_output("wheelhouse audit verify").startswith("OK: ")
    assert not new_host.file("/srv/pypi/.restore").exists


def test_files_and_times_are_the_same(restored, host, new_host):
    """Names, sizes and modification times are those of the old server."""
    assert restored.code == 0
    assert new_host.check_output(FILES) == host.check_output(FILES)


def test_owner_is_right_with_another_uid(restored, host, new_host):
    """User pypi has another uid on the new host, and owns the files."""
    assert restored.code == 0
    assert new_host.user("pypi").uid != host.user("pypi").uid
    assert new_host.check_output(f"find {DATA} -not -user pypi") == ""


def test_authority_is_the_same(restored, host, new_host):
    """Clients still trust the server."""
    assert restored.code == 0
    for name in ("ca.crt", "ca.key"):
        assert new_host.file(f"/etc/pypi/tls/{name}").content == host.file(f"/etc/pypi/tls/{name}").content


def test_clients_use_the_new_host(restored, fetch, server):
    """Passwords work, and the name of the removed file is still reserved."""
    assert restored.code == 0
    new = ["--connect-to", f"{server}:443:{'new12' if '12' in server else 'new13'}.test:443"]
    assert fetch("/simple/acme-demo/", *new, user="alice").status == 200
    assert fetch("/simple/acme-demo/", *new, user=("alice", "wrong")).status == 401
    assert fetch("/-/health", *new).status == 200


def test_second_run_changes_nothing(restored, deploy, server):
    """A run on the restored host is idempotent."""
    assert restored.code == 0
    address = f"ansible_host=wheelhouse-backup-{'new12' if '12' in server else 'new13'}"
    run = deploy("--limit", server, "--extra-vars", address)
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.changes


def test_overwrite_keeps_previous_files(restore, publish, host, server):
    """An existing index is replaced if that is wanted; its files are kept aside."""
    assert publish("10.0") == 200
    run = restore(server, "--extra-vars", "pypi_restore_overwrite=true", new=False)
    assert run.code == 0, run.output
    assert "acme_demo-10.0" not in host.check_output("ls /srv/pypi/packages")
    assert "acme_demo-10.0" in host.check_output("ls -R /srv/pypi --all")
    assert host.check_output("wheelhouse check") == ""
    assert publish("11.0") == 200
