"""Hooks, CI, and the files, tests and commands that the documents contain."""

import re
from pathlib import Path

import pytest
import yaml
from support import ROOT, named

HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "molecule/README.md"])
# First components of paths in this repository.
TOP = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] not in "._")
# Paths that a run or the reader creates.
CREATED = re.compile(r"inventory/(secrets|ca|host_vars)\b|<[a-z]+>|NAME|wheels/?$")


def hook(name: str) -> dict:
    """Return a hook by its id."""
    (repository,) = HOOKS
    return next(hook for hook in repository["hooks"] if hook["id"] == name)


def test_hooks_use_pinned_programs() -> None:
    """Each hook runs a program pinned in requirements.txt, or one of pre-commit's own."""
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert [repository["repo"] for repository in HOOKS] == ["local"]
    for found in HOOKS[0]["hooks"]:
        if found["language"] == "system":
            program = re.match(r"\.venv/bin/([a-z-]+)", found["entry"])[1]
            assert {program, f"{program}-py"} & pinned, program
        else:
            assert found["language"] == "pygrep"


def test_hooks_equal_make_lint() -> None:
    """The hooks run the same programs as `make lint`."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1]
    programs = {Path(line.strip("\t@").split()[0]).name for line in recipe.splitlines()}
    hooks = {Path(found["entry"].split()[0]).name for found in HOOKS[0]["hooks"] if found["language"] == "system"}
    assert programs == hooks


@pytest.mark.parametrize(
    ("message", "accepted"),
    [
        ("store: write temporary uploads into packages/\n\nA reason.\n", True),
        ("early responses: write the files as all others are written", True),
        ("README: name PyPI", True),
        (f"docs: {'x' * 59}\n", True),
        (f"docs: {'x' * 60}\n", False),
        ("Say it shorter\n", False),
        ("docs:no space\n", False),
        ("docs: \n", False),
        ("\ndocs: the subject is not the first line\n", False),
    ],
)
def test_commit_subjects(message: str, accepted: bool) -> None:
    """A subject has the form "area: what changed" and at most 65 characters."""
    found = hook("commit-subject")
    assert found["args"] == ["--multiline", "--negate"]
    # As pre-commit's pygrep does with these arguments.
    pattern = re.compile(found["entry"].encode(), re.MULTILINE | re.DOTALL)
    assert bool(pattern.search(message.encode())) is accepted


@pytest.mark.parametrize("path", WORKFLOWS, ids=named)
def test_actions_are_pinned(path: Path) -> None:
    """Actions are pinned by commit, with the version in a comment for readers and Dependabot."""
    uses = re.findall(r"^\s*(?:- )?uses: *(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_updates_cover_all_requirements() -> None:
    """Dependabot covers each directory with pinned requirements, and reads uv's options from their headers."""
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))["updates"]
    (python,) = [update for update in updates if update["package-ecosystem"] == "uv"]
    pinned = [path.with_suffix(".txt") for path in ROOT.rglob("*.in") if path.relative_to(ROOT).parts[0][0] != "."]
    assert pinned
    assert sorted(python["directories"]) == sorted({"/" + named(path.parent).removeprefix(".") for path in pinned})
    for path in pinned:
        header = path.read_text(encoding="utf-8").split("==")[0]
        assert re.search(r"--universal --python-version 3\.11\b", header), named(path)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document's headings, as on GitHub."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_are_valid(path: Path) -> None:
    """The target of a link exists, and so does its heading."""
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", path.read_text(encoding="utf-8")):
        file = path.parent / target if target else path
        assert file.is_file(), target
        assert not anchor or anchor in anchors(file), anchor


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_named_files_exist(path: Path) -> None:
    """Each path in a document, which may contain wildcards, exists."""
    code = re.findall(r"`([^`\s]+)`", path.read_text(encoding="utf-8"))
    begins = tuple(f"{name}/" for name in TOP)
    paths = {word.split("::")[0] for word in code if word.startswith(begins) and not CREATED.search(word)}
    assert sorted(name for name in paths if not [*ROOT.glob(name)]) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_named_tests_exist(path: Path) -> None:
    """Each test named as a proof exists: `file.py::test_name`, or `file.py::test_a,test_b`."""
    for file, names in re.findall(r"`([\w./-]+\.py)::([\w,]+)`", path.read_text(encoding="utf-8")):
        source = (ROOT / file).read_text(encoding="utf-8")
        assert [name for name in names.split(",") if f"def {name}(" not in source] == [], file


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_named_commands_exist(path: Path) -> None:
    """Each `make ...` in a document is a target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z.-]+(?:/[a-z]+)?):", makefile, re.MULTILINE))
    targets |= {f"molecule-{scenario.parent.name}" for scenario in ROOT.glob("molecule/*/molecule.yml")}
    commands = re.findall(r"(?:^ {4,}|`)make ([a-z][a-z-]*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(set(commands) - targets - {"molecule-"}) == []
