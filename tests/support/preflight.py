"""The preflight as the role calls it: all checks together, on the settings as an inventory gives them."""

from support import kit

TASKS = "roles/pypi/tasks/settings.yml"


def problems(**changed: object) -> list[str]:
    """Return what the task in the role finds wrong, by its own expression."""
    return found("__pypi_problems", **changed)


def found(variable: str, **changed: object) -> list[str]:
    """Return the value of a variable of the role's task file."""
    task = next(task for task in kit.tasks(TASKS) if variable in task.get("vars", {}))
    return kit.evaluate(task["vars"][variable], **task["vars"], **changed)
