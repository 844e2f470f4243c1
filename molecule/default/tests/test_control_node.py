"""What runs leave on the machine that Ansible runs on."""

import json
from pathlib import Path

import pytest
from shared.http import curl


def test_a_dry_run_writes_nothing(deploy, tmp_path):
    """No password, no key, no certificate authority, though all of them are missing here."""
    places = {"pypi_secrets_dir": f"{tmp_path}/secrets", "pypi_ca_dir": f"{tmp_path}/ca"}
    run = deploy("--check", "--extra-vars", json.dumps(places))
    assert run.code == 0, run.output
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_ignored(all_settings):
    """With an inventory in another repository, git add takes none of them."""
    for settings in all_settings.values():
        assert "*" in Path(settings["pypi_secrets_dir"], ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def password_of_gina(deploy, all_settings):
    """A way to add and remove a user, on all servers. Returns the generated password."""
    settings = next(iter(all_settings.values()))
    file = Path(settings["pypi_secrets_dir"], "passwords/gina.txt")

    def password_of_gina(listed: bool) -> str | None:
        users = settings["pypi_users"] + [{"name": "gina"}] * listed
        run = deploy("--tags", "accounts", "--extra-vars", json.dumps({"pypi_users": users}))
        assert run.code == 0, run.output
        return file.read_text(encoding="utf-8").strip() if file.exists() else None

    yield password_of_gina
    password_of_gina(False)


def test_a_user_who_comes_back(password_of_gina, servers, all_settings, client_of):
    """The password of somebody who was removed opens nothing any more, when the name is listed again."""

    def answers(password: str) -> set[int]:
        login = ["--user", f"gina:{password}"]
        return {curl(client_of(one), *login, all_settings[one]["pypi_url"] + "simple/").status for one in servers}

    old = password_of_gina(True)
    assert answers(old) == {200}
    assert password_of_gina(False) is None
    new = password_of_gina(True)
    assert new != old
    assert (answers(old), answers(new)) == ({401}, {200})
