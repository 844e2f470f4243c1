"""Checks of types, choices and keys of the settings against meta/argument_specs.yml.

Ansible's own role argument validation accepts values that it can convert ("upload" for a list, 12345678 for a password)
and leaves the variable unconverted, as the roles then use it. It also prints the whole specification with each problem.
Therefore no entry point of the specification has the name of a task file.
"""

import re
from difflib import get_close_matches
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

EXPECTED = {
    "str": "text in quotes",
    "path": "text in quotes",
    "list": "a list, in brackets",
    "dict": "keys and values, as in {name: alice}",
    "int": "a whole number",
    "bool": "true or false",
}
CLASSES = {"str": str, "path": str, "list": list, "dict": dict}


def is_int(value: object) -> bool:
    """Return whether a value is a whole number. On the command line (-e), numbers are given as text."""
    return isinstance(value, int | str) and re.fullmatch(r"-?[0-9]+", str(value)) is not None


def is_bool(value: object) -> bool:
    """Return whether Ansible accepts a value as a boolean."""
    try:
        boolean(value)
    except TypeError:
        return False
    return True


def scalar_problems(where: str, value: object, spec: dict[str, Any]) -> list[str]:
    """Return problems of a number, a boolean or a choice, with the value received."""
    kind, choices = spec.get("type", "str"), spec.get("choices", [])
    if (kind == "int" and not is_int(value)) or (kind == "bool" and not is_bool(value)):
        return [f"{where} must be {EXPECTED[kind]} (got {value!r})."]
    if choices and str(value) not in [str(choice) for choice in choices]:
        return [f"{where} must be one of {', '.join(map(str, choices))} (got {value!r})."]
    return []


def key_problems(where: str, value: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """Return missing and unknown keys, without their values, which may be secret."""
    required = [name for name, spec in options.items() if spec.get("required") and name not in value]
    problems = [f"{where}: the key {name!r} is missing." for name in required]
    for name in value:
        if name not in options:
            like = get_close_matches(str(name), options, n=1)
            hint = f"Did you mean {like[0]}?" if like else f"Valid keys: {', '.join(options)}."
            problems.append(f"{where}: unknown key {name!r}. {hint}")
    return problems


def value_problems(where: str, value: Any, spec: dict[str, Any]) -> list[str]:
    """Return one line for each invalid value: its place, and what is allowed."""
    if value is None:
        return [f"{where} has no value. Write one after the colon, or remove the key."]
    kind = spec.get("type", "str")
    if kind in CLASSES and not isinstance(value, CLASSES[kind]):
        # Without the value received, which may be a password.
        return [f"{where} must be {EXPECTED[kind]} (got {type(value).__name__})."]
    if kind == "list":
        inner = {"type": spec.get("elements", "raw")}
        inner |= {name: spec[name] for name in ("options", "choices") if name in spec}
        numbered = enumerate(value, start=1)
        return [line for number, item in numbered for line in value_problems(f"{where}, entry {number}", item, inner)]
    if kind == "dict":
        options = spec.get("options", {})
        known = [(name, inner) for name, inner in options.items() if name in value]
        lines = [line for name, inner in known for line in value_problems(f"{where}, {name}", value[name], inner)]
        return key_problems(where, value, options) + lines
    return scalar_problems(where, value, spec)


def type_problems(settings: dict[str, Any], specs: dict[str, Any]) -> list[str]:
    """Return all problems. settings: by name; specs: as in meta/argument_specs.yml."""
    return [line for name, spec in specs.items() for line in value_problems(name, settings[name], spec)]


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"pypi_type_problems": type_problems}
