"""Checks for variables whose names begin with pypi_ and are not settings. Ansible ignores them silently."""

from difflib import get_close_matches

# Similarity of two names, from 0 to 1, from which one counts as a misspelling of the other.
MIN_SIMILARITY = 0.85


def likely_setting(name: str, settings: list[str]) -> str | None:
    """Return the setting that a name is a misspelling of, or None.

    The same words in another order count as a misspelling, too.
    """
    if nearest := get_close_matches(name, settings, n=1, cutoff=MIN_SIMILARITY):
        return nearest[0]
    words = sorted(name.split("_"))
    return next((setting for setting in settings if sorted(setting.split("_")) == words), None)


def unknown(names: list[str], settings: list[str]) -> list[str]:
    """Return the names that are not settings, sorted."""
    return sorted(set(names) - set(settings))


def unknown_setting_problems(names: list[str], settings: list[str]) -> list[str]:
    """Return a line for each name that is likely a misspelled setting."""
    likely = {name: likely_setting(name, settings) for name in unknown(names, settings)}
    return [
        f"{name} is not a setting. Did you mean {setting}? Correct the name in the inventory. If the variable is your "
        "own, choose a name that differs more."
        for name, setting in likely.items()
        if setting
    ]


def unknown_setting_warnings(names: list[str], settings: list[str]) -> list[str]:
    """Return a line for each other name that is not a setting."""
    return [
        f"{name} is not a setting of the kit and has no effect on it. roles/pypi/defaults/main.yml lists all settings."
        for name in unknown(names, settings)
        if not likely_setting(name, settings)
    ]


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {
            "pypi_unknown_setting_problems": unknown_setting_problems,
            "pypi_unknown_setting_warnings": unknown_setting_warnings,
        }
