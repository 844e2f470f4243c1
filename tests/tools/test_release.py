"""`make release`: it passes only on a clean, tested commit whose version the changelog describes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-01-31

### Added

- A setting.

## [1.1.0] - 2026-01-01

### Fixed

- An error.
"""


class Repository:
    """A repository with the program, a version and a changelog in one commit."""

    def __init__(self, directory: Path):
        self.directory = directory
        (directory / "tools").mkdir()
        shutil.copy(ROOT / "tools/release", directory / "tools")
        self.write("VERSION", "1.2.0\n")
        self.write("CHANGELOG.md", CHANGELOG)
        self.write(".gitignore", "/.cache/\n")
        self.git("init", "--quiet")
        self.commit()

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.directory / name).write_text(text, encoding="utf-8")

    def git(self, *words: str) -> str:
        """Run git in the repository. Returns its output."""
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, *words]
        return subprocess.run(
            command, cwd=self.directory, env=ENVIRONMENT, check=True, capture_output=True, text=True
        ).stdout

    def commit(self) -> None:
        """Commit all files."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "a commit")

    def release(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run the program."""
        return subprocess.run(
            [sys.executable, self.directory / "tools/release", command],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )

    def test(self) -> None:
        """Record tests, as `make test` does when they have passed."""
        for command in ("begin-tests", "end-tests"):
            assert self.release(command).returncode == 0

    def problems(self) -> list[str]:
        """Return the problems that the check reports."""
        done = self.release("check")
        lines = done.stderr.splitlines()
        assert (done.returncode, lines[:1]) == ((1, ["Not ready for a release:"]) if lines else (0, []))
        return lines[1:]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a repository that is ready for a release, except for its tests."""
    return Repository(tmp_path)


def test_accepts_a_tested_commit(repository: Repository) -> None:
    """It prints the command that creates the tag, and that does not change the answer."""
    repository.test()
    done = repository.release("check")
    assert (done.returncode, done.stderr) == (0, "")
    (command,) = [line.strip() for line in done.stdout.splitlines() if "git tag" in line]
    assert command == "git tag --annotate --message 'Wheelhouse 1.2.0' v1.2.0"
    repository.git("tag", "--annotate", "--message", "1.2.0", "v1.2.0")
    assert repository.problems() == []


def test_rejects_untested_commits(repository: Repository) -> None:
    """Tests count for the commit on which they ran, and for no other."""
    (problem,) = repository.problems()
    assert "no run is recorded" in problem
    repository.test()
    tested = repository.git("rev-parse", "HEAD")[:12]
    repository.commit()
    (problem,) = repository.problems()
    assert f"it passed last on {tested}" in problem


@pytest.mark.parametrize("changed", ["before", "meanwhile", "committed meanwhile"])
def test_records_only_tests_of_one_commit(repository: Repository, changed: str) -> None:
    """Tests of a work tree that is not the commit, from the beginning to the end, are not recorded."""
    if changed == "before":
        repository.write("VERSION", "1.3.0\n")
    repository.release("begin-tests")
    if changed == "meanwhile":
        repository.write("new", "")
    if changed == "committed meanwhile":
        repository.commit()
    assert repository.release("end-tests").returncode == 0
    assert [problem for problem in repository.problems() if "no run is recorded" in problem]


def test_works_without_git(tmp_path: Path) -> None:
    """`make test` works in an unpacked archive, where nothing can be recorded."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/release", tmp_path / "tools")
    for command in ("begin-tests", "end-tests"):
        done = subprocess.run(
            [tmp_path / "tools/release", command],
            env=ENVIRONMENT | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / ".cache/tests-passed").exists()


@pytest.mark.parametrize("name", ["VERSION", "new"])
def test_rejects_uncommitted_changes(repository: Repository, name: str) -> None:
    """What is not committed would not be in the release."""
    repository.test()
    repository.write(name, "1.2.0\n\n")
    (problem,) = repository.problems()
    assert f"must be clean (changed: {name})" in problem


@pytest.mark.parametrize(
    ("version", "changelog", "message"),
    [
        ("1.2", CHANGELOG, "VERSION must be MAJOR.MINOR.PATCH, such as 0.1.0 (got '1.2')"),
        ("v1.2.0", CHANGELOG, "VERSION must be MAJOR.MINOR.PATCH"),
        ("01.2.0", CHANGELOG, "VERSION must be MAJOR.MINOR.PATCH"),
        ("", CHANGELOG, "(got '')"),
        ("1.3.0", CHANGELOG, "VERSION has 1.3.0, and the newest version of CHANGELOG.md is [1.2.0]"),
        ("1.1.0", CHANGELOG, "VERSION has 1.1.0, and the newest version of CHANGELOG.md is [1.2.0]"),
        ("1.2.0", "# Changelog\n", "the newest version of CHANGELOG.md is none"),
        ("1.2.0", CHANGELOG.replace("[Unreleased]\n", "[Unreleased]\n\n- More.\n"), "[Unreleased] has entries"),
        ("1.2.0", CHANGELOG.replace(" - 2026-01-31", ""), "must have the date of the release (got '')"),
        ("1.2.0", CHANGELOG.replace("2026-01-31", "soon"), "must have the date of the release (got 'soon')"),
        (
            "1.2.0",
            CHANGELOG.replace("2026-01-31", "2999-01-31"),
            "must have the date of the release (got '2999-01-31')",
        ),
        ("1.2.0", CHANGELOG.replace("- A setting.\n", ""), "[1.2.0] has no entry"),
        ("1.2.0", CHANGELOG.replace("### Added", "### New"), "[1.2.0] has the heading 'New'. Allowed are Added, "),
    ],
)
def test_rejects_versions(repository: Repository, version: str, changelog: str, message: str) -> None:
    """The version and the changelog agree, and the changelog follows Keep a Changelog."""
    repository.write("VERSION", f"{version}\n")
    repository.write("CHANGELOG.md", changelog)
    repository.commit()
    repository.test()
    (problem,) = repository.problems()
    assert message in problem


def test_rejects_used_versions(repository: Repository) -> None:
    """A version names one commit."""
    repository.git("tag", "v1.2.0")
    repository.commit()
    repository.test()
    (problem,) = repository.problems()
    assert "The tag v1.2.0 exists" in problem
    assert "Increase VERSION" in problem


def test_lists_all_problems(repository: Repository) -> None:
    """One call names everything that is missing."""
    repository.write("VERSION", "x")
    assert len(repository.problems()) == 3


def test_version_and_changelog_of_this_repository(repository: Repository) -> None:
    """VERSION and CHANGELOG.md agree at each commit, so that only new entries come before a release."""
    for name in ("VERSION", "CHANGELOG.md"):
        shutil.copy(ROOT / name, repository.directory)
    repository.commit()
    repository.test()
    assert [problem for problem in repository.problems() if "[Unreleased] has entries" not in problem] == []


def test_rejects_unknown_commands(repository: Repository) -> None:
    """A wrong call names the right ones."""
    done = repository.release("publish")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Usage: release check | begin-tests | end-tests (got: publish)\n"
