"""The settings: defaults, specification, usage and documentation agree."""

import re
from pathlib import Path

import pytest
from support import ROOT, ansible_templates, named, preflight

DEFAULTS = ansible_templates.DEFAULTS.read_text(encoding="utf-8")
TYPES = {"str": str, "path": str, "int": int, "bool": bool, "list": list, "dict": dict, "raw": object}
NAME = re.compile(r"(?<![\w.~/])pypi_[a-z0-9_]*[a-z0-9]\b(?!\()")

# Other names with the prefix of settings: modules, filters, a Python package, a group of hosts.
OTHERS = {
    "pypi_backup",
    "pypi_files",
    "pypi_host",
    "pypi_htpasswd",
    "pypi_local_directory",
    "pypi_present_users",
    "pypi_responses",
    "pypi_secrets",
    "pypi_sftp_words",
    "pypi_template_destinations",
}
OTHERS |= {"pypi_servers"}


def files_with_settings() -> list[Path]:
    """Return the files that may use settings."""
    patterns = [
        "roles/*/tasks/*",
        "roles/*/handlers/*",
        "roles/*/vars/*",
        "roles/*/templates/**/*",
        "roles/pypi/filter*/*",
    ]
    patterns += ["templates/**/*.j2", "playbooks/*.yml", "site.yml", "inventory/hosts.yml", "inventory/group_vars/**/*"]
    found = [path for pattern in patterns for path in ROOT.glob(pattern) if path.suffix in (".yml", ".j2", ".py")]
    assert len(found) > 40
    return sorted(found)


def names_in(path: Path) -> set[str]:
    """Return the names in a file that may be settings."""
    found = set(NAME.findall(path.read_text(encoding="utf-8")))
    others = {name for name in found if name.endswith(("_problems", "_warnings")) or name.startswith("pypi_shared_")}
    return found - others - OTHERS


def test_specification_lists_all_defaults() -> None:
    """Each setting has a default and a specification, in the same order."""
    assert list(ansible_templates.specs()) == ansible_templates.default_names()


@pytest.mark.parametrize("name", ansible_templates.default_names())
def test_defaults_have_specified_types(name: str) -> None:
    """The type of a default is that of its specification."""
    value, spec = ansible_templates.settings()[name], ansible_templates.specs()[name]
    assert isinstance(value, TYPES[spec["type"]])
    if "choices" in spec:
        assert value in spec["choices"]
    if spec["type"] == "int":
        assert not isinstance(value, bool)


@pytest.mark.parametrize("given", [{}, ansible_templates.sample()], ids=["defaults", "the shipped inventory"])
def test_shipped_settings_are_valid(given: dict) -> None:
    """Ansible's validator accepts the shipped settings."""
    assert preflight.ansible_validator().validate(ansible_templates.settings(**given)).error_messages == []


def test_no_entry_point_is_a_task_file() -> None:
    """Ansible would validate the settings itself, with more output, if an entry point had the name of a task file."""
    entries = ansible_templates.read_yaml(ansible_templates.SPECS)["argument_specs"]
    assert [name for name in entries if (ROOT / f"roles/pypi/tasks/{name}.yml").exists()] == []


@pytest.mark.parametrize("name", ansible_templates.default_names())
def test_every_setting_is_used(name: str) -> None:
    """Code reads each setting."""
    code = [path for path in files_with_settings() if "inventory" not in path.parts]
    text = [line.split(" #")[0] for path in code for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line for line in text if name in NAME.findall(line) and not line.strip().startswith("#")]


@pytest.mark.parametrize("path", files_with_settings(), ids=named)
def test_every_name_exists(path: Path) -> None:
    """Each name that looks like a setting is one."""
    assert sorted(names_in(path) - set(ansible_templates.default_names())) == []


@pytest.mark.parametrize("name", ansible_templates.default_names())
def test_every_setting_is_explained(name: str) -> None:
    """Each setting has a comment in the defaults. Neighbours in one paragraph share it."""
    paragraph = next(part for part in DEFAULTS.split("\n\n") if re.search(rf"^{name}:", part, re.MULTILINE))
    before = paragraph[: paragraph.index(f"{name}:")]
    has_comment = re.search(r"^# .*[a-z]{2}", before, re.MULTILINE)
    self_explanatory = {"pypi_http_port", "pypi_https_port", "pypi_config_dir", "pypi_program_dir", "pypi_log_dir"}
    assert has_comment or name in self_explanatory
    assert ansible_templates.specs()[name]["description"].endswith(".")


def test_readme_uses_existing_settings() -> None:
    """The settings in the README exist."""
    found = names_in(ROOT / "README.md")
    assert found
    assert sorted(found - set(ansible_templates.default_names())) == []
