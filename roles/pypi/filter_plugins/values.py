"""Values of another type than their setting's.

Ansible's own check of roles' arguments asks what it could make of a value ("upload" for a list, 12345678 for a
password) and passes it, but leaves the variable as it is written, and that is what the roles use.
"""

EXPECTED = {"str": "text in quotes", "path": "text in quotes", "list": "a list, in brackets", "dict": "keys and values"}
CLASSES = {"str": str, "path": str, "list": list, "dict": dict}


def value_problems(where: str, value: object, spec: dict) -> list[str]:
    """One line for each value that is not of its type: where, and what to write. No values, which may be secret."""
    if value is None:
        return [f"{where}: there is nothing after the colon. Write a value, or leave it out."]
    kind = spec.get("type", "str")
    # Numbers and truth values may be text: on the command line (-e) they always are.
    if kind in CLASSES and not isinstance(value, CLASSES[kind]):
        return [f"{where}: this is no {'list' if kind == 'list' else 'text'}. Write {EXPECTED[kind]}."]
    if kind == "list":
        inner = {"type": spec.get("elements", "raw"), "options": spec.get("options", {})}
        numbered = enumerate(value, start=1)
        return [line for number, item in numbered for line in value_problems(f"{where}, entry {number}", item, inner)]
    if kind == "dict":
        known = [(name, inner) for name, inner in spec.get("options", {}).items() if name in value]
        return [line for name, inner in known for line in value_problems(f"{where}, {name}", value[name], inner)]
    return []


def type_problems(settings: dict, specs: dict) -> list[str]:
    """All that is of another type than it should be. settings: by name; specs: as in meta/argument_specs.yml."""
    return [line for name, spec in specs.items() for line in value_problems(name, settings[name], spec)]


class FilterModule:
    def filters(self) -> dict:
        return {"pypi_type_problems": type_problems}
