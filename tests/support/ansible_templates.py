"""The kit's variables and templates, evaluated by Ansible. Undefined variables are errors."""

from functools import cache
from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import filter_loader, init_plugin_loader
from ansible.template import Templar, trust_as_template

from support import ROOT

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
TEMPLATES = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("templates/**/*"), *ROOT.glob("roles/*/templates/**/*")]
    if path.is_file()
)
DEFAULTS = ROOT / "roles/pypi/defaults/main.yml"
SPECS = ROOT / "roles/pypi/meta/argument_specs.yml"
SAMPLE = ROOT / "inventory/group_vars/pypi_servers"

# Variables that exist before a template is rendered: facts, registered results, magic variables.
SURROUNDINGS = {
    "inventory_hostname": "pypi.example.com",
    "inventory_dir": "/control-node/inventory",
    "playbook_dir": str(ROOT),
    "role_path": str(ROOT / "roles/pypi"),
    "ansible_managed": "Ansible managed",
    "ansible_run_tags": ["all"],
    "ansible_skip_tags": [],
    "ansible_search_path": [str(ROOT / "roles" / role) for role in ROLES] + [str(ROOT)],
    "ansible_facts": {"python_version": "3.11.2", "distribution": "Debian", "distribution_major_version": "12"},
    "__pypi_host": {"package_lists": True, "python_version": "3.11.2", "foreign_drop_ins": []},
    "__apache_others": {"files": []},
    "__apache_default": {"files": ["000-default.conf"]},
    "__apache_pypi_url": {"stdout": "https://public.example/simple/"},
    "__pypiserver_found": {"build": "0123456789ab"},
    "__uninstall_replaced": {"files": [{"path": "/srv/pypi/.replaced-20260101T000000Z"}]},
    "__verify_dir": "/tmp/verify",  # noqa: S108  (a name, and nothing is there)
    "__verify_password": "a password",
}

# Cache of rendered templates: many tests use the same text.
_rendered: dict[tuple[str, str], str] = {}

init_plugin_loader()
for directory in sorted(ROOT.glob("roles/*/filter_plugins")):
    filter_loader.add_directory(str(directory))


@cache
def _loader() -> DataLoader:
    loader = DataLoader()
    loader.set_basedir(str(ROOT))
    return loader


@cache
def _read(path: Path) -> Any:
    return _loader().load_from_file(str(path), trusted_as_template=True)


def read_yaml(path: Path | str) -> Any:
    """Read a YAML file as Ansible does, without rendering the templates in it."""
    return _read(ROOT / path)


def default_names() -> list[str]:
    """Return the names of all settings in their order."""
    return list(read_yaml(DEFAULTS))


def specs() -> dict[str, dict]:
    """Return the specification of each setting."""
    return read_yaml(SPECS)["argument_specs"]["all_settings"]["options"]


def sample() -> dict[str, Any]:
    """Return the settings of the shipped inventory for its host."""
    settings: dict[str, Any] = {}
    for path in sorted(SAMPLE.glob("*.yml")):
        settings |= read_yaml(path)
    for name, variables in read_yaml("inventory/hosts.yml")["pypi_servers"]["hosts"].items():
        settings |= {"inventory_hostname": name} | variables
    return settings


def variables(**changed: Any) -> dict[str, Any]:
    """Return all variables of the kit, unrendered: defaults, role variables, and overrides."""
    found = dict(SURROUNDINGS) | read_yaml(DEFAULTS)
    for role in ROLES:
        path = ROOT / "roles" / role / "vars/main.yml"
        if path.exists():
            found |= read_yaml(path) or {}
    return found | changed


def evaluate(expression: Any, **changed: Any) -> Any:
    """Render an expression from the kit's files."""
    return Templar(_loader(), variables=variables(**changed)).template(expression)


def settings(**changed: Any) -> dict[str, Any]:
    """Return all settings by name, rendered, as the preflight gets them."""
    templar = Templar(_loader(), variables=variables(**changed))
    return {name: templar.template(templar.available_variables[name]) for name in default_names()}


def render(template: str, **changed: Any) -> str:
    """Render a template as ansible.builtin.template does, with the defaults and overrides."""
    key = (template, repr(changed))
    if key not in _rendered:
        text = trust_as_template((ROOT / template).read_text(encoding="utf-8"))
        templar = Templar(_loader(), variables=variables(**changed))
        _rendered[key] = str(templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True}))
    return _rendered[key]


def tasks(path: Path) -> list[dict]:
    """Return all tasks of a playbook or task file, including those in blocks and plays."""
    found = []
    for entry in read_yaml(path) or []:
        found.append(entry)
        for key in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers"):
            found += _inner(entry.get(key))
    return found


def _inner(entries: list[dict] | None) -> list[dict]:
    found = []
    for entry in entries or []:
        found.append(entry)
        for key in ("block", "rescue", "always"):
            found += _inner(entry.get(key))
    return found
