"""Preflight checks of the settings of backups."""

import pytest
from support import ansible_templates, load, short

module = load("roles/pypi/filter_plugins/backups.py")

WHERE = "Change it in inventory/group_vars/pypi_servers/settings.yml"
KEY_FILES = {"pypi_backup_ssh_key": "key", "pypi_backup_ssh_known_hosts": "host ssh-ed25519 AAAA"}
NO_FILES = dict.fromkeys(KEY_FILES, "")
DIRECTORY = "/mnt/backup/pypi"


def problems(files: dict[str, str] = KEY_FILES, **given: object) -> list[str]:
    """Return the problems of the settings."""
    return module.backup_problems(ansible_templates.settings(**given), files)


@pytest.mark.parametrize(
    "repository",
    [
        "",
        DIRECTORY,
        "/mnt/backup/pypi.example.com",
        "local:/mnt/backup",
        "sftp:backup@host.example.com:/srv/restic",
        "sftp:backup@host.example.com:relative/path",
        "sftp://backup@host.example.com//srv/restic",
        "sftp://backup@203.0.113.7:2222//srv/restic",
        "s3:https://s3.example.com/bucket",
        "s3:http://203.0.113.7:9000/bucket/path",
        "rest:https://user:pa$$word@backup.example.com:8000/pypi/",
        "b2:bucket:path",
        "azure:container:/",
        "gs:bucket:/",
        "swift:container:/path",
    ],
)
def test_accepts_repositories_of_restic(repository: str) -> None:
    """All kinds of repositories are valid."""
    assert problems(pypi_backup_repository=repository) == []


WRONG_REPOSITORIES = [
    ("backup", ["'backup' is not a kind of repository", DIRECTORY, "s3:https://host/bucket"]),
    ("./backup", ["is not a kind of repository"]),
    ("https://backup.example.com", ["'https' is not a kind of repository", "rest:https://host/path"]),
    ("rclone:remote:path", ["'rclone' is not a kind of repository"]),
    ("/mnt/my backup", ["spaces and control characters"]),
    ("s3:https://x/y\nz", ["spaces and control characters"]),
    ("/", ["the service cannot write below /home"]),
    ("/mnt/../root/x", ["use an absolute path"]),
    ("/mnt/%h", ["use an absolute path"]),
    ("/root/backup", ["the service cannot write below /root"]),
    ("/home/backup", ["the service cannot write below /home"]),
    ("/tmp/backup", ["the service cannot write below /tmp"]),  # noqa: S108
    ("/var/lib/pypi/backup/repository", ["separate from /var/lib/pypi/backup", "another disk"]),
    ("/var/cache", ["separate from /var/cache/pypi-backup"]),
    ("/srv/pypi/backup", ["separate from pypi_data_dir (/srv/pypi)", "another disk"]),
    ("/srv", ["separate from pypi_data_dir (/srv/pypi)"]),
    ("/etc/pypi", ["separate from pypi_config_dir (/etc/pypi)"]),
    ("sftp:host", ["write sftp://user@host//path"]),
    ("sftp://host//path", ["write sftp://user@host//path"]),
    ("sftp:-oProxyCommand=x@y@host:/path", ["write sftp://user@host//path"]),
]


@pytest.mark.parametrize(("repository", "expected"), WRONG_REPOSITORIES, ids=short)
def test_rejects_other_repositories(repository: str, expected: list[str]) -> None:
    """The message names the setting, the fault, and what is allowed."""
    (problem,) = problems(pypi_backup_repository=repository)
    assert problem.startswith("pypi_backup_repository: ")
    assert problem.endswith(f"{WHERE}.")
    assert [text for text in expected if text not in problem] == []


def test_messages_contain_no_secrets() -> None:
    """Locations and values of variables may be secret."""
    given = {"pypi_backup_repository": "http://u:canary@host", "pypi_backup_password": "canary\n"}
    given |= {"pypi_backup_environment": {"A": "canary\n", "B": 1234567, "RESTIC_PASSWORD": "canary"}}
    found = problems(**given)
    assert len(found) == 5
    assert [line for line in found if "canary" in line or "1234567" in line] == []


WRONG = [
    ({"pypi_backup_environment": ["A"]}, ["pypi_backup_environment must be variables and values"]),
    ({"pypi_backup_environment": {"A-B": "x"}}, ["'A-B' is not a valid name"]),
    ({"pypi_backup_environment": {"PORT": 22}}, ["the value of PORT must be text in quotes (got int)"]),
    ({"pypi_backup_environment": {"RESTIC_REPOSITORY": "x"}}, ["RESTIC_REPOSITORY is set by the kit"]),
    ({"pypi_backup_environment": {"RESTIC_PASSWORD_COMMAND": "x"}}, ["is set by the kit"]),
    ({"pypi_backup_retention": {"daily": -1, "last": 1}}, ["daily must be at least 0 (got -1)", WHERE]),
    ({"pypi_backup_retention": {"daily": 0}}, ["keeps no snapshot", "{} to keep all", WHERE]),
    ({"pypi_backup_max_rate": "fast"}, ["pypi_backup_max_rate: 'fast'", "such as 10M", WHERE]),
    ({"pypi_backup_max_rate": "500"}, ["pypi_backup_max_rate: '500'"]),
    ({"pypi_backup_check_subset": "0%"}, ["pypi_backup_check_subset: '0%'", "such as 5%", WHERE]),
    ({"pypi_backup_check_subset": "101%"}, ["pypi_backup_check_subset: '101%'"]),
    ({"pypi_backup_check_subset": "1/5"}, ["pypi_backup_check_subset: '1/5'"]),
    ({"pypi_backup_schedule": ""}, ["pypi_backup_schedule: ''", "systemd.time(7)", WHERE]),
    ({"pypi_backup_check_schedule": "daily\nOnCalendar=x"}, ["pypi_backup_check_schedule"]),
    ({"pypi_backup_password": " x"}, ["pypi_backup_password must be one line without spaces around it"]),
    ({"pypi_restore_snapshot": "--target=/"}, ["pypi_restore_snapshot: '--target=/'", "latest, or the ID"]),
    ({"pypi_restore_snapshot": "abc"}, ["pypi_restore_snapshot: 'abc'", "at least 8 characters"]),
]


@pytest.mark.parametrize(("given", "expected"), WRONG, ids=short)
def test_rejects_invalid_values(given: dict, expected: list[str]) -> None:
    """One line says what is wrong and what is allowed, also while there are no backups."""
    (problem,) = problems(**given)
    assert [text for text in expected if text not in problem] == []


@pytest.mark.parametrize(
    "given",
    [
        {"pypi_backup_retention": {}},
        {"pypi_backup_retention": {"last": "3"}},
        {"pypi_backup_max_rate": "512K"},
        {"pypi_backup_check_subset": "100%"},
        {"pypi_backup_check_subset": "0.5%"},
        {"pypi_backup_check_subset": "2.5%"},
        {"pypi_backup_check_subset": "10G"},
        {"pypi_restore_snapshot": "0123abcd"},
        {"pypi_backup_environment": {"AWS_ACCESS_KEY_ID": "a b", "_X": "\"'\\$"}},
    ],
    ids=short,
)
def test_accepts_valid_values(given: dict) -> None:
    """Valid values are not reported, and the files can be rendered with them."""
    assert problems(**given) == []
    for name in ("environment", "settings.json"):
        assert ansible_templates.render(f"templates/etc/pypi/backup/{name}.j2", **given)


def test_sftp_needs_key_and_host_keys() -> None:
    """The service asks nobody for a password, and trusts no unknown host."""
    key, hosts = problems(NO_FILES, pypi_backup_repository="sftp://u@host//path")
    assert key.startswith("pypi_backup_ssh_key must be the path of a file on the control node")
    assert "ssh-keygen" in key
    assert hosts.startswith("pypi_backup_ssh_known_hosts must be")
    assert "ssh-keyscan" in hosts
    assert problems(NO_FILES, pypi_backup_repository=DIRECTORY) == []


@pytest.mark.parametrize(
    ("repository", "words"),
    [
        ("sftp:u@host:/path", ["u@host"]),
        ("sftp://u@host//path", ["u@host"]),
        ("sftp://u@host:2222//path", ["-p", "2222", "u@host"]),
        ("rest:https://host/x", []),
        (DIRECTORY, []),
        ("", []),
    ],
)
def test_words_for_ssh(repository: str, words: list[str]) -> None:
    """Only an SFTP repository has a host for ssh."""
    assert module.sftp_words(repository) == words


@pytest.mark.parametrize(
    ("repository", "directory"), [(DIRECTORY, DIRECTORY), (f"local:{DIRECTORY}", DIRECTORY), ("s3:/x", ""), ("", "")]
)
def test_local_directory(repository: str, directory: str) -> None:
    """The units may write a local repository."""
    assert module.local_directory(repository) == directory
