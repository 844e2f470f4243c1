"""Checks of the settings of backups, and parsing of the repository's location."""

import re
from pathlib import PurePosixPath
from typing import Any

SETTINGS_FILE = "inventory/group_vars/pypi_servers/settings.yml"
# Backends of restic. rclone is another program, with a configuration of its own.
REMOTE = ("sftp", "s3", "rest", "b2", "azure", "gs", "swift")
EXAMPLES = "/mnt/backup/pypi, sftp://user@host//path, s3:https://host/bucket, or rest:https://host/path"
# user@host:path, and an URL. A port is possible only in the URL.
SFTP = re.compile(
    r"sftp:(?://(?P<login>[\w.-]+@[\w.-]+)(?::(?P<port>[0-9]+))?/.+|(?P<short>[\w.-]+@[\w.-]+):[^:]+)", re.ASCII
)
# Characters of a local path that need no quotes in a unit file.
LOCAL = re.compile(r"/[\w./@+-]*", re.ASCII)
# Directories that the service cannot see, or that are lost with the host's memory.
UNUSABLE = ("/home", "/root", "/run", "/tmp", "/var/tmp", "/dev", "/proc", "/sys")  # noqa: S108
# Directories that the kit removes when backups are switched off, or with the index.
OWN = ("/var/lib/pypi/backup", "/var/lib/pypi-monitoring", "/var/cache/pypi-backup", "/usr/local/lib/pypi")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OWN_VARIABLE = re.compile(r"RESTIC_(?:REPOSITORY|PASSWORD)(?:_FILE|_COMMAND)?|RESTIC_CACHE_DIR")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SUBSET = re.compile(r"(?:100|[1-9][0-9]?(?:\.[0-9]+)?|0\.[0-9]*[1-9])%|[1-9][0-9]*[KMGT]")
SNAPSHOT = re.compile(r"latest|[0-9a-f]{8,64}")
RATE = re.compile(r"|[1-9][0-9]*[KMGT]")


def is_below(path: str, directory: str) -> bool:
    """Return whether a path is a directory, or is in it."""
    return PurePosixPath(path).is_relative_to(directory)


def local_directory(repository: str) -> str:
    """Return the directory of a repository on the server itself; empty for any other."""
    return repository.removeprefix("local:") if repository.startswith(("/", "local:")) else ""


def local_problem(path: str, settings: dict[str, Any]) -> str | None:
    """Return why a local directory cannot be the repository, or None."""
    if not LOCAL.fullmatch(path) or ".." in path.split("/"):
        return "use an absolute path of letters, digits and ._-@+/"
    if unusable := next((name for name in UNUSABLE if path == "/" or is_below(path, name)), None):
        return f"the service cannot write below {unusable}. Use another directory"
    if own := next((name for name in OWN if is_below(path, name) or is_below(name, path)), None):
        return f"it must be separate from {own}, which the kit may remove. Use another directory, on another disk"
    for name in ("pypi_data_dir", "pypi_pages_dir", "pypi_config_dir", "pypi_log_dir", "pypi_program_dir"):
        if is_below(path, settings[name]) or is_below(settings[name], path):
            return f"it must be separate from {name} ({settings[name]}). Use another directory, on another disk"
    return None


def repository_problem(settings: dict[str, Any]) -> str | None:
    """Return what is wrong with the location of the repository, or None."""
    repository = settings["pypi_backup_repository"]
    scheme = repository.partition(":")[0]
    # Not the location itself, which may have a password.
    if CONTROL.search(repository) or " " in repository:
        return "spaces and control characters are not allowed"
    if directory := local_directory(repository):
        return local_problem(directory, settings)
    if ":" not in repository or scheme not in REMOTE:
        return f"{scheme!r} is not a kind of repository that the kit supports. Write a location such as {EXAMPLES}"
    if scheme == "sftp" and not SFTP.fullmatch(repository):
        return "write sftp://user@host//path, or sftp://user@host:2222//path with a port"
    return None


def ssh_problems(settings: dict[str, Any], files: dict[str, str]) -> list[str]:
    """Return the settings for SSH that an SFTP repository lacks. files: the contents of their files."""
    if not settings["pypi_backup_repository"].startswith("sftp:"):
        return []
    return [
        f"{name} must be the path of a file on the control node, because pypi_backup_repository is an SFTP repository "
        f"(got {settings[name]!r}). {how}. Change it in {SETTINGS_FILE}."
        for name, how in (
            ("pypi_backup_ssh_key", "Create a key: ssh-keygen -t ed25519 -N '' -f FILE"),
            ("pypi_backup_ssh_known_hosts", "Write it with: ssh-keyscan HOST >FILE"),
        )
        if not files[name]
    ]


def environment_problems(environment: object) -> list[str]:
    """Return what is wrong with the variables, without their values, which may be secret."""
    where = "pypi_backup_environment"
    if not isinstance(environment, dict):
        return [
            f"{where} must be variables and values, as in {{AWS_ACCESS_KEY_ID: ...}}. Change it in {SETTINGS_FILE}."
        ]
    problems = []
    for name, value in environment.items():
        if not VARIABLE.fullmatch(str(name)):
            problems.append(f"{where}: {name!r} is not a valid name of a variable. Use letters, digits and _.")
        elif OWN_VARIABLE.fullmatch(name):
            problems.append(f"{where}: {name} is set by the kit. Use pypi_backup_repository or pypi_backup_password.")
        elif not isinstance(value, str):
            problems.append(f"{where}: the value of {name} must be text in quotes (got {type(value).__name__}).")
        elif CONTROL.search(value):
            problems.append(f"{where}: the value of {name} has a line end or another control character.")
    return problems


def retention_problems(retention: dict[str, Any]) -> list[str]:
    """Return what is wrong with the numbers of snapshots to keep."""
    problems = [
        f"pypi_backup_retention: {period} must be at least 0 (got {count}). Change it in {SETTINGS_FILE}."
        for period, count in retention.items()
        if int(count) < 0
    ]
    if retention and not any(int(count) for count in retention.values()):
        problems.append(
            "pypi_backup_retention keeps no snapshot. Write at least one number above 0, or {} to keep all. Change it "
            f"in {SETTINGS_FILE}."
        )
    return problems


def text_problems(settings: dict[str, Any]) -> list[str]:
    """Return the settings whose text is not valid."""
    patterns = (
        ("pypi_backup_max_rate", RATE, "a number of bytes per second and K, M, G or T, such as 10M, or leave it empty"),
        ("pypi_backup_check_subset", SUBSET, "a percentage such as 5%, or a size such as 10G"),
        ("pypi_restore_snapshot", SNAPSHOT, "latest, or the ID of a snapshot with at least 8 characters"),
    )
    problems = [
        f"{name}: {settings[name]!r} is not valid. Write {allowed}. Change it in {SETTINGS_FILE}."
        for name, pattern, allowed in patterns
        if not pattern.fullmatch(settings[name])
    ]
    for name in ("pypi_backup_schedule", "pypi_backup_check_schedule"):
        if not settings[name].strip() or CONTROL.search(settings[name]):
            problems.append(
                f"{name}: {settings[name]!r} is not a schedule. Write a calendar event of systemd, such as "
                f"'*-*-* 03:00' (systemd.time(7)). Change it in {SETTINGS_FILE}."
            )
    password = settings["pypi_backup_password"]
    if CONTROL.search(password) or password != password.strip():
        problems.append("pypi_backup_password must be one line without spaces around it.")
    return problems


def backup_problems(settings: dict[str, Any], files: dict[str, str]) -> list[str]:
    """Return one line for each problem: the setting, what is wrong, what is allowed, and where to change it.

    settings: all settings of the kit by name, of the types in meta/argument_specs.yml; files: the contents of the files
    that settings name. Without a repository, there are no backups, and only the texts are checked.
    """
    problems = text_problems(settings) + retention_problems(settings["pypi_backup_retention"])
    problems += environment_problems(settings["pypi_backup_environment"])
    if settings["pypi_backup_repository"]:
        if problem := repository_problem(settings):
            problems.append(f"pypi_backup_repository: {problem}. Change it in {SETTINGS_FILE}.")
        problems += ssh_problems(settings, files)
    return problems


def sftp_words(repository: str) -> list[str]:
    """Return the words for ssh that name the host of an SFTP repository: ["-p", "2222", "user@host"]."""
    match = SFTP.fullmatch(repository)
    if match is None:
        return []
    port = ["-p", match["port"]] if match["port"] else []
    return [*port, match["login"] or match["short"]]


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {
            "pypi_backup_problems": backup_problems,
            "pypi_local_directory": local_directory,
            "pypi_sftp_words": sftp_words,
        }
