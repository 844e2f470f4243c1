"""Paths of the repository, and helpers of all tests."""

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
WHEELHOUSE = ROOT / "roles/pypiserver/files/wheelhouse"


def load(path: str) -> ModuleType:
    """Import a Python file of a role: Ansible's plugins and modules belong to no package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def repository_files() -> list[Path]:
    """Return the files that git tracks or would add; none of the ignored ones."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [ROOT / name for name in sorted(set(names)) if name and (ROOT / name).is_file()]


def named(path: Path) -> str:
    """Return a file's name within the repository, for use as a test's id."""
    return str(path.relative_to(ROOT))


def short(value: object) -> str:
    """Return a parameter as a part of a test's id."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
