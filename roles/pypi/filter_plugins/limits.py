"""What can be wrong with sizes and numbers in the settings."""

import re

SIZE = re.compile(r"[1-9][0-9]*[KMGT]?")

# Settings that are sizes, and what to write.
SIZES = {
    "pypi_max_upload_size": "such as 300M",
    "pypi_max_total_size": "such as 500G, or leave it empty for no limit",
    "pypi_min_free_space": "such as 512M, or 0 to let the disk run full",
    "pypi_max_unpacked_size": "such as 10G",
}
# What says that there is no limit.
NO_LIMIT = {"pypi_max_total_size": "", "pypi_min_free_space": "0"}
# Of these there must be one at least.
COUNTS = {
    "pypi_max_members": "files",
    "pypi_max_unpacked_ratio": "times its own size",
    "pypi_max_failed_logins": "wrong passwords",
    "pypi_audit_months": "months",
}


def size_problems(settings: dict) -> list[str]:
    return [
        f"{name}: {settings[name]!r} is no size. Write a number and K, M, G or T, {example}."
        for name, example in SIZES.items()
        if settings[name] != NO_LIMIT.get(name) and not SIZE.fullmatch(settings[name])
    ]


def count_problems(settings: dict) -> list[str]:
    # On the command line (-e) numbers are given as text.
    return [
        f"{name}: {settings[name]} {unit} is none at all. Write a number from 1 on."
        for name, unit in COUNTS.items()
        if int(settings[name]) < 1
    ]


def limit_problems(settings: dict) -> list[str]:
    """One line for each thing that is wrong: which setting, why, and what to write.

    settings: all of the kit's settings by name, of the types in meta/argument_specs.yml.
    """
    return size_problems(settings) + count_problems(settings)


class FilterModule:
    def filters(self) -> dict:
        return {"pypi_limit_problems": limit_problems}
