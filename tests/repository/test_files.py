"""Rules that hold for the repository's files, whichever they are."""

import re
import stat
import subprocess
from pathlib import Path

import pytest
import yaml
from support import ROOT, WHEELHOUSE, ansible_templates, named, repository_files

FILES = repository_files()
REQUIREMENTS = [path for path in FILES if path.with_suffix(".in") in FILES and path.suffix == ".txt"]
SCRIPTS = [
    path
    for path in FILES
    if path.read_bytes().startswith(b"#!/bin/sh") and (path.parts[-2] == "files" or "tools" in path.parts)
]
SCENARIOS = sorted(path.parent for path in ROOT.glob("molecule/*/molecule.yml"))

# Assembled here, or this file would be the one that names them.
REGISTRIES = [
    "pyp" + "i.org",
    "python" + "hosted.org",
    "docker" + ".io/",
    "registry-1" + ".docker",
    "gh" + "cr.io",
    "qu" + "ay.io",
    "gcr" + ".io",
    "galaxy.ansible" + ".com",
    "deb.debian" + ".org",
    "registry.npm" + "js",
]


def test_files_are_found() -> None:
    """The rules below say nothing if there is nothing that they look at."""
    assert ROOT / "site.yml" in FILES
    assert {named(path) for path in REQUIREMENTS} >= {
        "requirements.txt",
        "tools/images/clients.txt",
        "roles/pypiserver/files/requirements.txt",
    }
    assert {named(path) for path in SCRIPTS} >= {"tools/engine", "roles/apache/files/pypi-try-site"}


@pytest.mark.parametrize("path", REQUIREMENTS, ids=named)
def test_requirements_are_pinned(path: Path) -> None:
    """The same packages today and in a year, byte for byte, wherever they come from."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9-]*==[0-9][^ ;]* ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", entry), entry


@pytest.mark.parametrize("path", REQUIREMENTS, ids=named)
def test_requirements_are_resolved(path: Path) -> None:
    """What is asked for is what is pinned; otherwise somebody has forgotten `make requirements`."""
    asked = re.findall(r"^([A-Za-z0-9._-]+)", path.with_suffix(".in").read_text(encoding="utf-8"), re.MULTILINE)
    pinned = re.findall(r"^([a-z0-9-]+)==", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert asked
    assert sorted({re.sub(r"[-_.]+", "-", name).lower() for name in asked} - set(pinned)) == []


@pytest.mark.parametrize("path", SCENARIOS, ids=named)
def test_scenarios_prove_something(path: Path) -> None:
    """A scenario without tests proves that nothing crashed."""
    assert [*path.glob("tests/test_*.py"), *ROOT.glob("molecule/shared/tests/test_*.py")]


@pytest.mark.parametrize("path", SCENARIOS, ids=named)
def test_scenarios_cover_both_releases(path: Path) -> None:
    """What is said to hold on Debian 12 and 13 is proved on both."""
    texts = [file.read_text(encoding="utf-8") for file in path.rglob("*.yml")]
    images = {image for text in texts for image in re.findall(r"wheelhouse-host:[a-z]+", text)}
    assert images >= {"wheelhouse-host:bookworm", "wheelhouse-host:trixie"}


def test_there_are_scenarios() -> None:
    """The two rules above need something to look at."""
    assert SCENARIOS


def test_no_registries() -> None:
    """Where packages and images come from is for each site to say, so the kit names no place."""
    found = []
    for path in FILES:
        text = path.read_bytes().decode(errors="replace")
        found += [f"{named(path)}: {name}" for name in REGISTRIES if name in text]
    assert found == []


def test_every_module_makes_the_release() -> None:
    """A release is named after what is in it: a change in a module that is left out would not get to the server."""
    expression = ansible_templates.read_yaml("roles/pypiserver/vars/main.yml")["__pypiserver_modules"]
    found = ansible_templates.evaluate(expression, ansible_search_path=[str(ROOT / "roles/pypiserver")])
    assert sorted(found) == sorted(str(path) for path in WHEELHOUSE.rglob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_scripts_are_scripts(path: Path) -> None:
    """The shell reads on as far as it gets, and stops in the middle of its work."""
    subprocess.run(["sh", "-n", path], check=True)


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_scripts_can_be_run(path: Path) -> None:
    """What people type must start."""
    assert path.stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize("path", [file for file in FILES if file.suffix == ".sh"], ids=named)
def test_shell_libraries(path: Path) -> None:
    """What other scripts read in is no program of its own, and must be right all the same."""
    subprocess.run(["sh", "-n", path], check=True)
    assert not path.stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize("path", [file for file in FILES if file.suffix in (".yml", ".yaml")], ids=named)
def test_yaml_has_no_key_twice(path: Path) -> None:
    """Of two keys with one name YAML keeps the last, and says nothing."""

    class Strict(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
            keys = [key.value for key, _value in node.value if key.tag != "tag:yaml.org,2002:merge"]
            assert len(keys) == len(set(keys)), keys
            return super().construct_mapping(node, deep)

    for tag in ("!vault", "!unsafe"):
        Strict.add_constructor(tag, lambda loader, node: loader.construct_scalar(node))
    list(yaml.load_all(path.read_text(encoding="utf-8"), Strict))


def test_no_secrets() -> None:
    """Passwords and keys that are made up stay out of git."""
    names = [named(path) for path in FILES]
    assert [name for name in names if "secrets/" in name or name.endswith((".key", ".pem"))] == []
    keys = [path for path in FILES if re.search(rb"^-----BEGIN [A-Z ]*PRIVATE KEY", path.read_bytes(), re.MULTILINE)]
    assert [named(path) for path in keys] == []
