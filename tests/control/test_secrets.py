"""The directory of secrets on the control node: out of git, and nothing that an inventory is read from."""

import subprocess
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from support import action, control, kit, load

plugin = load("roles/pypi/action_plugins/pypi_secrets.py")


def git(directory: Path, *words: str) -> str:
    """Run git without the settings of whoever runs the tests."""
    who = ["-c", "user.name=tests", "-c", "user.email=tests@example.com"]
    command = ["git", "-C", directory, *who, *words]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository of the site's own, with an inventory."""
    directory = tmp_path / "site"
    control.inventory(directory / "inventory")
    git(directory, "init", "--quiet")
    return directory


@pytest.fixture
def secrets(repository: Path) -> Path:
    """The directory of secrets, which is not there yet."""
    return repository / "inventory/secrets"


def run(secrets: Path, **how: object) -> dict:
    """Run the action plugin once."""
    return action.run(plugin, {"path": str(secrets)}, **how)


def test_git_takes_nothing(repository: Path, secrets: Path) -> None:
    """Whoever adds everything adds no password, whatever name it has."""
    assert run(secrets)["changed"] is True
    for name in ("fingerprint-key.txt", "passwords/alice.txt", "ca/ca.key", ".hidden"):
        (secrets / name).parent.mkdir(exist_ok=True)
        (secrets / name).write_text("canary\n")
    git(repository, "add", "--all")
    assert not [name for name in git(repository, "ls-files").splitlines() if "secrets" in name]
    assert run(secrets)["changed"] is False


def test_only_the_owner_reads_it(secrets: Path) -> None:
    """Others on the control node are to see neither secrets nor whose they are."""
    run(secrets)
    paths = [secrets, *secrets.rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}


def test_a_gitignore_of_somebody_else(repository: Path, secrets: Path) -> None:
    """It is completed, not replaced; one that ignores everything is left alone."""
    secrets.mkdir()
    (secrets / ".gitignore").write_text("*.key")
    assert run(secrets)["changed"] is True
    assert (secrets / ".gitignore").read_text() == "*.key\n*\n"
    own = "*\n!vault.yml\n"
    (secrets / ".gitignore").write_text(own)
    assert run(secrets)["changed"] is False
    assert (secrets / ".gitignore").read_text() == own
    assert git(repository, "check-ignore", "inventory/secrets/x").strip()


@pytest.mark.parametrize("how", ["staged", "committed", "removed from the directory", "the directory removed"])
def test_tracked(repository: Path, secrets: Path, how: str) -> None:
    """What git has, others may have: it says which files, and how to get them out."""
    (secrets / "passwords").mkdir(parents=True)
    file = secrets / "passwords/alice.txt"
    file.write_text("canary\n")
    git(repository, "add", "--force", str(file))
    if how != "staged":
        git(repository, "commit", "--quiet", "--message", "x")
    if how.startswith("removed"):
        file.unlink()
    elif how.startswith("the directory"):
        file.unlink()
        file.parent.rmdir()
        secrets.rmdir()
    before = sorted(repository.glob("inventory/**/*"))
    with pytest.raises(AnsibleActionFail) as failure:
        run(secrets)
    message = str(failure.value)
    assert message.startswith("Nothing was changed. pypi_secrets_dir: ")
    assert "passwords/alice.txt" in message
    assert f"git rm -r --cached {secrets}" in message
    assert "canary" not in message
    assert sorted(repository.glob("inventory/**/*")) == before


@pytest.mark.parametrize("name", [".gitignore", "README", "passwords/README", "vault.yml"])
def test_tracked_and_harmless(repository: Path, secrets: Path, name: str) -> None:
    """What tells nothing may be in git: the kit's own notes, and what ansible-vault has encrypted."""
    run(secrets)
    if name == "vault.yml":
        (secrets / name).write_text("$ANSIBLE_VAULT;1.1;AES256\n3133\n")
    git(repository, "add", "--force", str(secrets / name))
    assert run(secrets)["changed"] is False


def test_long_lists_are_short(repository: Path, secrets: Path) -> None:
    """A thousand users make no page of output."""
    (secrets / "passwords").mkdir(parents=True)
    for number in range(50):
        (secrets / f"passwords/user{number:02}.txt").write_text("canary\n")
    git(repository, "add", "--force", str(secrets))
    with pytest.raises(AnsibleActionFail, match=r"git tracks 50 files .*user00\.txt, .*and 47 more"):
        run(secrets)


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither git nor a repository is needed."""
    assert run(tmp_path / "no repository")["changed"] is True
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(tmp_path / "no git")["changed"] is True


def test_variables_of_git_do_not_count(secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that a hook starts would ask about the hook's repository."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    test_tracked(secrets.parents[1], secrets, "committed")


def test_check_mode(secrets: Path) -> None:
    """A dry run announces what it would do, and writes nothing."""
    assert run(secrets, check=True)["changed"] is True
    assert not secrets.exists()


def test_no_inventory_is_read_from_it(repository: Path, secrets: Path) -> None:
    """An ansible.cfg that is not the kit's does not tell Ansible to pass over it."""
    run(secrets)
    (secrets / "passwords/alice.txt").write_text("canary\n")
    assert control.inventory_warnings(repository / "inventory") == ""


@pytest.mark.parametrize(("options", "refused"), [(["--tags", "accounts"], True), (["--tags", "apache"], False)])
def test_real_runs(repository: Path, secrets: Path, options: list[str], refused: bool) -> None:
    """A run that would write secrets is refused; others go on."""
    secrets.mkdir()
    (secrets / "fingerprint-key.txt").write_text("canary\n")
    git(repository, "add", "--force", str(secrets))
    checks = control.checks(repository, "settings", "secrets")
    run = control.playbook(checks, "-i", repository / "inventory", *options)
    assert ("git tracks 1 file in" in run.words) is refused
    assert (control.PASSED in run.output) is not refused


@pytest.mark.parametrize(("options", "written"), [(["--tags", "tls"], True), (["--check"], False)], ids=str)
def test_what_real_runs_write(repository: Path, secrets: Path, options: list[str], written: bool) -> None:
    """The .gitignore is there before the first secret is, and a dry run writes none."""
    run = control.playbook(control.checks(repository, "secrets"), "-i", repository / "inventory", *options)
    assert run.code == 0, run.output
    assert (secrets / ".gitignore").exists() is written
    assert secrets.exists() is written


def test_before_the_host_is_touched() -> None:
    """The role asks before it looks at the host, and long before anything is changed there."""
    files = [task.get("ansible.builtin.import_tasks") for task in kit.tasks("roles/pypi/tasks/main.yml")]
    assert files.index("secrets.yml") < files.index("host.yml")
