"""The packages of the application import each other in one direction only."""

import ast

import pytest
from support import WHEELHOUSE

# A package or module may import those in earlier lines, and none in its own line or a later one.
LAYERS = [
    {"config", "errors", "files"},
    {"audit", "distributions"},
    {"access", "pages"},
    {"storage"},
    {"cli", "web"},
    {"__main__"},
]


def imports() -> set[tuple[str, str]]:
    """Return the pairs of a package, or a module at the top level, and one that it imports."""
    found = set()
    for path in WHEELHOUSE.rglob("*.py"):
        importer = path.relative_to(WHEELHOUSE).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wheelhouse."):
                found.add((importer, str(node.module).split(".")[1]))
    return {(importer, imported) for importer, imported in found if importer != imported}


def test_finds_imports() -> None:
    """The test below would always pass if no imports were found."""
    assert ("web", "storage") in imports()


@pytest.mark.parametrize(("importer", "imported"), sorted(imports()))
def test_imports_lower_layers_only(importer: str, imported: str) -> None:
    """Settings, errors and file primitives import nothing else; nothing imports the web or the command line."""
    level = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    assert level[imported] < level[importer]
