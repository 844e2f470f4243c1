"""Unknown settings: a misspelled one is an error, any other variable with the prefix of the settings is a warning."""

import pytest
from support import ansible_templates, load

module = load("roles/pypi/filter_plugins/unknown_settings.py")
SETTINGS = ansible_templates.default_names()


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("pypi_allowed_network", "pypi_allowed_networks"),
        ("pypi_tls_privat_key", "pypi_tls_private_key"),
        ("pypi_uesrs", "pypi_users"),
        ("pypi_right", "pypi_rights"),
        ("pypi_upload_size", "pypi_max_upload_size"),
        ("pypi_min_upload_rate", "pypi_upload_min_rate"),
        ("pypi_names_private", "pypi_private_names"),
    ],
)
def test_rejects_misspelled_settings(name: str, setting: str) -> None:
    """A misspelled access rule has no effect, so it is an error, and the message names the setting."""
    (problem,) = module.unknown_setting_problems([*SETTINGS, name], SETTINGS)
    assert problem.startswith(f"{name} is not a setting. Did you mean {setting}?")
    assert module.unknown_setting_warnings([*SETTINGS, name], SETTINGS) == []


@pytest.mark.parametrize(
    "name", ["pypi_mirror", "pypi_backup_dir", "pypi_server", "pypi_owner", "pypi_other_variables"]
)
def test_warns_of_other_variables(name: str) -> None:
    """A variable of the site's own is reported and does not fail the run."""
    (warning,) = module.unknown_setting_warnings([*SETTINGS, name], SETTINGS)
    assert warning.startswith(f"{name} is not a setting of the kit")
    assert module.unknown_setting_problems([*SETTINGS, name], SETTINGS) == []


def test_accepts_settings() -> None:
    """No setting is taken for a misspelling of another one."""
    assert module.unknown_setting_problems(SETTINGS, SETTINGS) == []
    assert module.unknown_setting_warnings(SETTINGS, SETTINGS) == []


@pytest.mark.parametrize("dropped", range(len("pypi_") + 1, max(map(len, SETTINGS))))
def test_rejects_every_missing_letter(dropped: int) -> None:
    """A letter that is left out of the name of any setting is found."""
    for setting in (name for name in SETTINGS if dropped < len(name)):
        name = setting[:dropped] + setting[dropped + 1 :]
        assert name in SETTINGS or module.unknown_setting_problems([name], SETTINGS)
