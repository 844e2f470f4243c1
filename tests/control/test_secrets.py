"""The secrets directory on the control node: ignored by git and by the inventory."""

import subprocess
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from support import action, ansible_templates, control, load

plugin = load("roles/pypi/action_plugins/pypi_secrets.py")


def git(directory: Path, *words: str) -> str:
    """Run git without the user's configuration."""
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@example.com"]
    command = ["git", "-C", directory, *identity, *words]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a git repository with an inventory."""
    directory = tmp_path / "site"
    control.inventory(directory / "inventory")
    git(directory, "init", "--quiet")
    return directory


@pytest.fixture
def secrets(repository: Path) -> Path:
    """Return the path of the secrets directory, which does not exist yet."""
    return repository / "inventory/secrets"


def run(secrets: Path, **options: object) -> dict:
    """Run the action plugin once."""
    return action.run(plugin, {"path": str(secrets)}, **options)


def test_git_ignores_all_secrets(repository: Path, secrets: Path) -> None:
    """`git add --all` adds no secret, whatever its name is."""
    assert run(secrets)["changed"] is True
    for name in ("fingerprint-key.txt", "passwords/alice.txt", "ca/ca.key", ".hidden"):
        (secrets / name).parent.mkdir(exist_ok=True)
        (secrets / name).write_text("canary\n")
    git(repository, "add", "--all")
    assert not [name for name in git(repository, "ls-files").splitlines() if "secrets" in name]
    assert run(secrets)["changed"] is False


def test_secrets_are_private(secrets: Path) -> None:
    """Other users on the control node can read neither secrets nor user names."""
    run(secrets)
    paths = [secrets, *secrets.rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}


def test_completes_existing_gitignore(repository: Path, secrets: Path) -> None:
    """An existing file is completed; one that ignores everything is unchanged."""
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
def test_rejects_tracked_secrets(repository: Path, secrets: Path, how: str) -> None:
    """Secrets in git are an error; the message contains the files and the command to remove them."""
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
def test_accepts_harmless_tracked_files(repository: Path, secrets: Path, name: str) -> None:
    """Notes of the kit and files encrypted with ansible-vault may be tracked."""
    run(secrets)
    if name == "vault.yml":
        (secrets / name).write_text("$ANSIBLE_VAULT;1.1;AES256\n3133\n")
    git(repository, "add", "--force", str(secrets / name))
    assert run(secrets)["changed"] is False


def test_message_lists_few_files(repository: Path, secrets: Path) -> None:
    """The message stays short with many tracked files."""
    (secrets / "passwords").mkdir(parents=True)
    for number in range(50):
        (secrets / f"passwords/user{number:02}.txt").write_text("canary\n")
    git(repository, "add", "--force", str(secrets))
    with pytest.raises(AnsibleActionFail, match=r"git tracks 50 files .*user00\.txt, .*and 47 more"):
        run(secrets)


def test_works_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither git nor a repository is needed."""
    assert run(tmp_path / "no repository")["changed"] is True
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(tmp_path / "no git")["changed"] is True


def test_ignores_git_environment(secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run started by a git hook does not check the hook's repository."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    test_rejects_tracked_secrets(secrets.parents[1], secrets, "committed")


def test_check_mode_writes_nothing(secrets: Path) -> None:
    """A dry run reports the changes and writes nothing."""
    assert run(secrets, check=True)["changed"] is True
    assert not secrets.exists()


def test_inventory_ignores_secrets(repository: Path, secrets: Path) -> None:
    """Ansible reads no inventory from the directory, even with another ansible.cfg."""
    run(secrets)
    (secrets / "passwords/alice.txt").write_text("canary\n")
    assert control.inventory_warnings(repository / "inventory") == ""


@pytest.mark.parametrize(("options", "rejected"), [(["--tags", "accounts"], True), (["--tags", "apache"], False)])
def test_rejects_tracked_secrets_by_tag(repository: Path, secrets: Path, options: list[str], rejected: bool) -> None:
    """Only runs that would write secrets are rejected."""
    secrets.mkdir()
    (secrets / "fingerprint-key.txt").write_text("canary\n")
    git(repository, "add", "--force", str(secrets))
    checks = control.checks(repository, "settings", "secrets")
    run = control.playbook(checks, "-i", repository / "inventory", *options)
    assert ("git tracks 1 file in" in run.normalized_output) is rejected
    assert (control.PASSED in run.output) is not rejected


@pytest.mark.parametrize(("options", "written"), [(["--tags", "tls"], True), (["--check"], False)], ids=str)
def test_writes_gitignore_first(repository: Path, secrets: Path, options: list[str], written: bool) -> None:
    """The .gitignore is written before the first secret; a dry run writes none."""
    run = control.playbook(control.checks(repository, "secrets"), "-i", repository / "inventory", *options)
    assert run.code == 0, run.output
    assert (secrets / ".gitignore").exists() is written
    assert secrets.exists() is written


def test_checks_secrets_before_host() -> None:
    """The role checks the secrets before it contacts the host."""
    files = [task.get("ansible.builtin.import_tasks") for task in ansible_templates.tasks("roles/pypi/tasks/main.yml")]
    assert files.index("secrets.yml") < files.index("host.yml")


def test_generates_missing_secrets(secrets: Path) -> None:
    """A secret is generated once, and check mode writes none."""
    name = "pypi.example.com-backup-password.txt"
    arguments = {"path": str(secrets), "generate": [name]}
    assert action.run(plugin, arguments, check=True)["changed"] is True
    assert not secrets.exists()
    run(secrets)
    assert action.run(plugin, arguments)["changed"] is True
    password = (secrets / name).read_text()
    assert len(password.strip()) == 32
    assert (secrets / name).stat().st_mode & 0o777 == 0o600
    assert action.run(plugin, arguments)["changed"] is False
    assert (secrets / name).read_text() == password
    (secrets / name).unlink()
    action.run(plugin, arguments)
    assert (secrets / name).read_text() != password
