"""Rules for all files of the repository."""

import re
import stat
import subprocess
import tomllib
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

# Assembled, so that this file does not contain them.
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
    """The rules below are applied to existing files."""
    assert ROOT / "site.yml" in FILES
    assert {named(path) for path in REQUIREMENTS} >= {
        "requirements.txt",
        "tools/images/clients.txt",
        "roles/pypiserver/files/requirements.txt",
    }
    assert {named(path) for path in SCRIPTS} >= {"tools/ensure-docker", "roles/apache/files/pypi-try-site"}


@pytest.mark.parametrize("path", REQUIREMENTS, ids=named)
def test_requirements_are_pinned(path: Path) -> None:
    """Requirements have exact versions and hashes."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9-]*==[0-9][^ ;]* ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", entry), entry


@pytest.mark.parametrize("path", REQUIREMENTS, ids=named)
def test_requirements_are_resolved(path: Path) -> None:
    """All entries of the .in file are pinned; otherwise run `make requirements`."""
    required = re.findall(r"^([A-Za-z0-9._-]+)", path.with_suffix(".in").read_text(encoding="utf-8"), re.MULTILINE)
    pinned = re.findall(r"^([a-z0-9-]+)==", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert required
    assert sorted({re.sub(r"[-_.]+", "-", name).lower() for name in required} - set(pinned)) == []


@pytest.mark.parametrize("path", SCENARIOS, ids=named)
def test_scenarios_have_tests(path: Path) -> None:
    """Each scenario has tests."""
    assert [*path.glob("tests/test_*.py"), *ROOT.glob("molecule/shared/tests/test_*.py")]


@pytest.mark.parametrize("path", SCENARIOS, ids=named)
def test_scenarios_cover_both_releases(path: Path) -> None:
    """Each scenario runs on Debian 12 and 13."""
    texts = [file.read_text(encoding="utf-8") for file in path.rglob("*.yml")]
    images = {image for text in texts for image in re.findall(r"wheelhouse-host:[a-z]+", text)}
    assert images >= {"wheelhouse-host:bookworm", "wheelhouse-host:trixie"}


def test_scenarios_are_found() -> None:
    """The two rules above are applied to existing scenarios."""
    assert SCENARIOS


def test_contains_no_registry_names() -> None:
    """Users configure the sources of packages and images, so the kit contains none."""
    found = []
    for path in FILES:
        text = path.read_bytes().decode(errors="replace")
        found += [f"{named(path)}: {name}" for name in REGISTRIES if name in text]
    assert found == []


def test_release_contains_every_module() -> None:
    """A change in any module of the application results in a new release."""
    expression = ansible_templates.read_yaml("roles/pypiserver/vars/main.yml")["__pypiserver_modules"]
    found = ansible_templates.evaluate(expression, ansible_search_path=[str(ROOT / "roles/pypiserver")])
    assert sorted(found) == sorted(str(path) for path in WHEELHOUSE.rglob("*.py"))


def test_release_has_the_packages_of_the_application() -> None:
    """Each module is copied to the path from which it is imported, also in the package wheelhouse.files."""
    modules = {str(path): path.relative_to(WHEELHOUSE.parent) for path in WHEELHOUSE.rglob("*.py")}
    expression = ansible_templates.read_yaml("roles/pypiserver/vars/main.yml")["__pypiserver_application"]
    directories = {"__pypiserver_release_dir": "/release", "__pypiserver_modules": sorted(modules)}
    copied = ansible_templates.evaluate(expression, **directories)
    assert {file["src"]: file["path"] for file in copied} == {
        src: f"/release/application/{path}" for src, path in modules.items()
    }


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_scripts_have_valid_syntax(path: Path) -> None:
    """The shell parses each script without errors."""
    subprocess.run(["sh", "-n", path], check=True)


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_scripts_are_executable(path: Path) -> None:
    """Scripts have the executable bit."""
    assert path.stat().st_mode & stat.S_IXUSR


def test_programs_without_suffix_are_checked() -> None:
    """Ruff and mypy find Python files by their suffix; programs without one are listed in pyproject.toml."""
    programs = {
        named(path) for path in FILES if not path.suffix and path.read_bytes().startswith(b"#!/usr/bin/env python3")
    }
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert programs
    assert set(tools["ruff"]["extend-include"]) == programs
    assert set(tools["mypy"]["files"]) >= programs


@pytest.mark.parametrize("path", [file for file in FILES if file.suffix == ".sh"], ids=named)
def test_shell_libraries_are_valid(path: Path) -> None:
    """Sourced files are valid and not executable."""
    subprocess.run(["sh", "-n", path], check=True)
    assert not path.stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize("path", [file for file in FILES if file.suffix in (".yml", ".yaml")], ids=named)
def test_yaml_has_no_duplicate_keys(path: Path) -> None:
    """YAML parsers silently keep the last one of duplicate keys."""

    class Strict(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
            keys = [key.value for key, _value in node.value if key.tag != "tag:yaml.org,2002:merge"]
            assert len(keys) == len(set(keys)), keys
            return super().construct_mapping(node, deep)

    for tag in ("!vault", "!unsafe"):
        Strict.add_constructor(tag, lambda loader, node: loader.construct_scalar(node))
    list(yaml.load_all(path.read_text(encoding="utf-8"), Strict))


def test_contains_no_secrets() -> None:
    """Generated passwords and keys are not tracked."""
    names = [named(path) for path in FILES]
    assert [name for name in names if "secrets/" in name or name.endswith((".key", ".pem"))] == []
    keys = [path for path in FILES if re.search(rb"^-----BEGIN [A-Z ]*PRIVATE KEY", path.read_bytes(), re.MULTILINE)]
    assert [named(path) for path in keys] == []
