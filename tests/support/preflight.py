"""The preflight as the role calls it: all checks together, on the settings as an inventory gives them."""

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from support import kit

TASKS = "roles/pypi/tasks/settings.yml"


def problems(**changed: object) -> list[str]:
    """Return what the task in the role finds wrong, by its own expression."""
    return found("__pypi_problems", **changed)


def found(variable: str, **changed: object) -> list[str]:
    """Return the value of a variable of the role's task file."""
    task = next(task for task in kit.tasks(TASKS) if variable in task.get("vars", {}))
    return kit.evaluate(task["vars"][variable], **task["vars"], **changed)


def when(file: str, name: str) -> str:
    """Return the condition of a task as one expression."""
    task = next(task for task in kit.tasks(f"roles/pypi/tasks/{file}") if task["name"] == name)
    conditions = task["when"] if isinstance(task["when"], list) else [task["when"]]
    return " and ".join(f"({condition})" for condition in conditions)


def runs(file: str, name: str, *tags: str, **changed: object) -> bool:
    """Whether a task of the role runs with these tags."""
    expression = kit.trust_as_template(f"{{{{ {when(file, name)} }}}}")
    return kit.evaluate(expression, ansible_run_tags=list(tags), **changed)


def ansible_validator() -> ArgumentSpecValidator:
    """Return what Ansible itself would check settings with."""
    return ArgumentSpecValidator({name: _without_descriptions(spec) for name, spec in kit.specs().items()})


def _without_descriptions(spec: dict) -> dict:
    """Return a specification without what is for people."""
    kept = {key: value for key, value in spec.items() if key != "description"}
    if "options" in kept:
        kept["options"] = {name: _without_descriptions(inner) for name, inner in kept["options"].items()}
    return kept
