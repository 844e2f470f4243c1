"""Values that do not fit the specification of their setting: type, choices, keys.

Ansible's own check of roles' arguments asks what it could make of a value ("upload" for a list, 12345678 for a
password) and passes it, but leaves the variable as it is written, and that is what the roles use. With each problem
it also prints the whole specification. Therefore the specification has no entry point of a task file's name.
"""

import re
from difflib import get_close_matches

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
    """Whether a value is a whole number. On the command line (-e) numbers are given as text."""
    return isinstance(value, int | str) and re.fullmatch(r"-?[0-9]+", str(value)) is not None


def is_bool(value: object) -> bool:
    """Whether Ansible takes a value for true or false."""
    try:
        boolean(value)
    except TypeError:
        return False
    return True


def scalar_problems(where: str, value: object, spec: dict) -> list[str]:
    """Return what is wrong with a number, a truth value or one of several choices, with the value received."""
    kind, choices = spec.get("type", "str"), spec.get("choices", [])
    if (kind == "int" and not is_int(value)) or (kind == "bool" and not is_bool(value)):
        return [f"{where}: {value!r} is not {EXPECTED[kind]}."]
    if choices and str(value) not in [str(choice) for choice in choices]:
        return [f"{where}: {value!r} is not a valid value. Write one of {', '.join(map(str, choices))}."]
    return []


def key_problems(where: str, value: dict, options: dict) -> list[str]:
    """Return which keys are missing and which are unknown. Nothing of their values, which may be secret."""
    required = [name for name, spec in options.items() if spec.get("required") and name not in value]
    problems = [f"{where}: the key {name!r} is missing." for name in required]
    for name in value:
        if name not in options:
            like = get_close_matches(str(name), options, n=1)
            meant = f"Is {like[0]} meant?" if like else f"The keys are {', '.join(options)}."
            problems.append(f"{where}: there is no key {name!r}. {meant}")
    return problems


def value_problems(where: str, value: object, spec: dict) -> list[str]:
    """Return one line for each value that does not fit: where, and what to write."""
    if value is None:
        return [f"{where}: there is nothing after the colon. Write a value, or leave it out."]
    kind = spec.get("type", "str")
    if kind in CLASSES and not isinstance(value, CLASSES[kind]):
        # Without the value: it may be a password.
        return [f"{where}: this is another type of value. Write {EXPECTED[kind]}."]
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


def type_problems(settings: dict, specs: dict) -> list[str]:
    """All that does not fit. settings: by name; specs: as in meta/argument_specs.yml."""
    return [line for name, spec in specs.items() for line in value_problems(name, settings[name], spec)]


class FilterModule:
    def filters(self) -> dict:
        return {"pypi_type_problems": type_problems}
