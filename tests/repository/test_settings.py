"""One list of settings: the defaults, their specification, what uses them and what describes them agree."""

import re
from pathlib import Path

import pytest
from support import ROOT, ansible_templates, named, preflight

DEFAULTS = ansible_templates.DEFAULTS.read_text(encoding="utf-8")
TYPES = {"str": str, "path": str, "int": int, "bool": bool, "list": list, "dict": dict, "raw": object}
NAME = re.compile(r"(?<![\w.~/])pypi_[a-z0-9_]*[a-z0-9]\b(?!\()")

# Names that begin like settings and are something else: modules, a filter, a group of hosts.
OTHERS = {
    "pypi_files",
    "pypi_host",
    "pypi_htpasswd",
    "pypi_present_users",
    "pypi_release",
    "pypi_responses",
    "pypi_secrets",
}
OTHERS |= {"pypi_servers"}


def users() -> list[Path]:
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
    """Return the names in a file that look like settings."""
    found = set(NAME.findall(path.read_text(encoding="utf-8")))
    others = {name for name in found if name.endswith(("_problems", "_warnings")) or name.startswith("pypi_shared_")}
    return found - others - OTHERS


def test_specs_are_defaults() -> None:
    """A setting without a default is one that everybody must set; one without a specification is not checked."""
    assert list(ansible_templates.specs()) == ansible_templates.default_names()


@pytest.mark.parametrize("name", ansible_templates.default_names())
def test_types(name: str) -> None:
    """A default of another type than its specification would be refused, or silently be made something else."""
    value, spec = ansible_templates.settings()[name], ansible_templates.specs()[name]
    assert isinstance(value, TYPES[spec["type"]])
    if "choices" in spec:
        assert value in spec["choices"]
    if spec["type"] == "int":
        assert not isinstance(value, bool)


@pytest.mark.parametrize("given", [{}, ansible_templates.sample()], ids=["defaults", "the shipped inventory"])
def test_settings_fit_their_specification(given: dict) -> None:
    """What is shipped must pass the checks that it is shipped with."""
    assert preflight.ansible_validator().validate(ansible_templates.settings(**given)).error_messages == []


def test_ansible_does_not_check_them_itself() -> None:
    """It would, more loosely and with a page of output, if an entry point had the name of a task file."""
    entries = ansible_templates.read_yaml(ansible_templates.SPECS)["argument_specs"]
    assert [name for name in entries if (ROOT / f"roles/pypi/tasks/{name}.yml").exists()] == []


@pytest.mark.parametrize("name", ansible_templates.default_names())
def test_every_setting_is_used(name: str) -> None:
    """A setting that nothing reads is a promise that nobody keeps."""
    code = [path for path in users() if "inventory" not in path.parts]
    text = [line.split(" #")[0] for path in code for line in path.read_text(encoding="utf-8").splitlines()]
    assert [line for line in text if name in NAME.findall(line) and not line.strip().startswith("#")]


@pytest.mark.parametrize("path", users(), ids=named)
def test_every_name_exists(path: Path) -> None:
    """A name that is no setting's is undefined on the host, or worse, ignored."""
    assert sorted(names_in(path) - set(ansible_templates.default_names())) == []


@pytest.mark.parametrize("name", ansible_templates.default_names())
def test_every_setting_is_explained(name: str) -> None:
    """The defaults are where people look settings up. Neighbours in one paragraph share an explanation."""
    paragraph = next(part for part in DEFAULTS.split("\n\n") if re.search(rf"^{name}:", part, re.MULTILINE))
    before = paragraph[: paragraph.index(f"{name}:")]
    spoken_for = re.search(r"^# .*[a-z]{2}", before, re.MULTILINE)
    speaking = {"pypi_http_port", "pypi_https_port", "pypi_config_dir", "pypi_program_dir", "pypi_log_dir"}
    assert spoken_for or name in speaking
    assert ansible_templates.specs()[name]["description"].endswith(".")


def test_readme_names_real_settings() -> None:
    """Whoever copies a setting from the README must not be told that there is none."""
    found = names_in(ROOT / "README.md")
    assert found
    assert sorted(found - set(ansible_templates.default_names())) == []
