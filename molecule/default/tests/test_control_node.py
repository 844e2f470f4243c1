"""Files that runs leave on the control node."""

import json
from pathlib import Path

import pytest
from shared.http import curl


def test_check_mode_writes_nothing(deploy, tmp_path):
    """Check mode creates no passwords, keys or certificate authority, even if all of them are missing."""
    directories = {"pypi_secrets_dir": f"{tmp_path}/secrets", "pypi_ca_dir": f"{tmp_path}/ca"}
    run = deploy("--check", "--extra-vars", json.dumps(directories))
    assert run.code == 0, run.output
    assert list(tmp_path.iterdir()) == []


def test_git_ignores_secrets(all_settings):
    """A .gitignore file excludes the secrets, also in an inventory of another repository."""
    for settings in all_settings.values():
        assert "*" in Path(settings["pypi_secrets_dir"], ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def set_gina(deploy, all_settings):
    """Add or remove a user on all servers. Returns the generated password."""
    settings = next(iter(all_settings.values()))
    file = Path(settings["pypi_secrets_dir"], "passwords/gina.txt")

    def set_gina(listed: bool) -> str | None:
        users = settings["pypi_users"] + [{"name": "gina"}] * listed
        run = deploy("--tags", "accounts", "--extra-vars", json.dumps({"pypi_users": users}))
        assert run.code == 0, run.output
        return file.read_text(encoding="utf-8").strip() if file.exists() else None

    yield set_gina
    set_gina(False)


def test_removed_user_gets_new_password(set_gina, servers, all_settings, client_of):
    """The old password of a removed user is not valid if the user is added again."""

    def statuses(password: str) -> set[int]:
        login = ["--user", f"gina:{password}"]
        return {curl(client_of(one), *login, all_settings[one]["pypi_url"] + "simple/").status for one in servers}

    old = set_gina(True)
    assert statuses(old) == {200}
    assert set_gina(False) is None
    new = set_gina(True)
    assert new != old
    assert (statuses(old), statuses(new)) == ({401}, {200})
