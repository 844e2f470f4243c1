"""Checks of sizes and numbers in the settings."""

import re
from typing import Any

SIZE = re.compile(r"[1-9][0-9]*[KMGT]?")

# Settings that are sizes, with examples.
SIZES = {
    "pypi_max_upload_size": "such as 300M",
    "pypi_max_total_size": "such as 500G, or leave it empty for no limit",
    "pypi_min_free_space": "such as 512M, or 0 for no reserve",
    "pypi_max_unpacked_size": "such as 10G",
    "pypi_upload_min_rate": "such as 16K",
    "pypi_max_application_memory": "such as 1G",
}
# Values that disable a limit.
NO_LIMIT = {"pypi_max_total_size": "", "pypi_min_free_space": "0"}
# Numbers that must be positive, with their units.
COUNTS = {
    "pypi_timeout": "second",
    "pypi_max_members": "file",
    "pypi_max_unpacked_ratio": "times the size of the archive",
    "pypi_max_failed_logins": "wrong password for each minute and address",
    "pypi_audit_months": "month",
    "pypi_backup_max_age": "hour",
    "pypi_backup_check_max_age": "hour",
}
SETTINGS_FILE = "inventory/group_vars/pypi_servers/settings.yml"
# Each upload needs two threads and memory.
MAX_UPLOADS = 1000
# Browsers and operating systems reject certificates that are valid for more than 398 days.
MAX_TLS_DAYS = 397
# Each release is a virtualenv.
MAX_KEPT_RELEASES = 100
# Seconds. Faster intervals cost more than they show; the alert rules expect no slower ones.
METRICS_INTERVALS = (10, 300)
CANARY_INTERVALS = (60, 3600)


def size_problems(settings: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {settings[name]!r} is not a valid size. Write a number and K, M, G or T, {example}. "
        f"Change it in {SETTINGS_FILE}."
        for name, example in SIZES.items()
        if settings[name] != NO_LIMIT.get(name) and not SIZE.fullmatch(settings[name])
    ]


def count_problems(settings: dict[str, Any]) -> list[str]:
    # On the command line (-e) numbers are given as text.
    return [
        f"{name} must be at least 1 {unit} (got {settings[name]}). Change it in {SETTINGS_FILE}."
        for name, unit in COUNTS.items()
        if int(settings[name]) < 1
    ]


def range_problems(settings: dict[str, Any]) -> list[str]:
    """Return one line for each number outside its range, which may depend on another setting."""

    def outside(name: str, low: int, high: int | None, why: str) -> list[str]:
        value = int(settings[name])
        if low <= value and (high is None or value <= high):
            return []
        allowed = f"at least {low}" if high is None else f"from {low} to {high}"
        if high is not None and high < low:
            return []  # the other setting is reported
        return [f"{name}: {value} is outside its range: {allowed} ({why}). Change it in {SETTINGS_FILE}."]

    uploads, days = int(settings["pypi_max_uploads"]), int(settings["pypi_tls_days"])
    problems = outside("pypi_max_uploads", 1, MAX_UPLOADS, "each takes threads and memory")
    problems += outside("pypi_max_uploads_per_client", 1, uploads, "at most pypi_max_uploads")
    problems += outside("pypi_upload_deadline", int(settings["pypi_timeout"]) + 1, None, "more than pypi_timeout")
    problems += outside(
        "pypi_kept_releases", 1, MAX_KEPT_RELEASES, "rollbacks need the previous release, and each uses disk space"
    )
    problems += outside("pypi_metrics_interval", *METRICS_INTERVALS, "seconds")
    problems += outside("pypi_canary_interval", *CANARY_INTERVALS, "seconds")
    if settings["pypi_tls"] == "self_signed":
        problems += outside("pypi_tls_days", 2, MAX_TLS_DAYS, "clients reject more than 398 days")
        problems += outside("pypi_tls_renew_days", 1, days - 1, "less than pypi_tls_days")
    return problems


def limit_problems(settings: dict[str, Any]) -> list[str]:
    """Return one line for each problem: the setting, what is wrong, the value received, and what is allowed.

    settings: all settings of the kit by name, of the types in meta/argument_specs.yml.
    """
    return size_problems(settings) + count_problems(settings) + range_problems(settings)


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"pypi_limit_problems": limit_problems}
