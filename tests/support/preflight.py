"""Evaluate the preflight checks as the role does: all of them together, on the settings of an inventory."""

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from support import ansible_templates

TASKS = "roles/pypi/tasks/settings.yml"


def problems(**changed: object) -> list[str]:
    """Return the problems found by the role's expression."""
    return found("__pypi_problems", **changed)


def found(variable: str, **changed: object) -> list[str]:
    """Return the value of a variable of the role's task file."""
    task = next(task for task in ansible_templates.tasks(TASKS) if variable in task.get("vars", {}))
    return ansible_templates.evaluate(task["vars"][variable], **task["vars"], **changed)


def when(file: str, name: str) -> str:
    """Return the condition of a task as one expression."""
    task = next(task for task in ansible_templates.tasks(f"roles/pypi/tasks/{file}") if task["name"] == name)
    conditions = task["when"] if isinstance(task["when"], list) else [task["when"]]
    return " and ".join(f"({condition})" for condition in conditions)


def runs(file: str, name: str, *tags: str, **changed: object) -> bool:
    """Return whether a task of the role runs with these tags."""
    expression = ansible_templates.trust_as_template(f"{{{{ {when(file, name)} }}}}")
    return ansible_templates.evaluate(expression, ansible_run_tags=list(tags), **changed)


def ansible_validator() -> ArgumentSpecValidator:
    """Return Ansible's own validator of the settings."""
    return ArgumentSpecValidator(
        {name: _without_descriptions(spec) for name, spec in ansible_templates.specs().items()}
    )


def _without_descriptions(spec: dict) -> dict:
    """Return a specification without its descriptions."""
    kept = {key: value for key, value in spec.items() if key != "description"}
    if "options" in kept:
        kept["options"] = {name: _without_descriptions(inner) for name, inner in kept["options"].items()}
    return kept
