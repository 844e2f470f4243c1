"""The module that finds an intact build of a release, run whole, as Ansible runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from support import load

module = load("roles/pypiserver/library/pypi_release.py")


class Host:
    """A directory with releases. One of them, "one", is built and in use."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture):
        self.directory = directory
        self._capsys = capsys
        self.build("one")
        self.use("one")

    def build(self, name: str) -> Path:
        """Build a release."""
        build = self.interrupt(name)
        assert self.run(name, state="complete")["changed"]
        return build

    def interrupt(self, name: str) -> Path:
        """Build a release but for its manifest."""
        build = self.directory / name
        (build / "lib/__pycache__").mkdir(parents=True)
        (build / "lib/module.py").write_text("1")
        (build / "lib/__pycache__/module.pyc").write_text("1")
        (build / "bin").mkdir()
        (build / "bin/python").symlink_to("/usr/bin/python3")
        (build / "lib64").symlink_to("lib")
        return build

    def use(self, name: str) -> None:
        """Have the link lead to a build."""
        (self.directory / "current").unlink(missing_ok=True)
        (self.directory / "current").symlink_to(name)

    def run(self, name: str, **how: object) -> dict:
        """Run the module. Returns its result, without what Ansible adds."""
        with patch_module_args({"directory": str(self.directory), "name": name} | how), pytest.raises(SystemExit):
            module.main()
        result = json.loads(self._capsys.readouterr().out)
        return {key: result[key] for key in ("changed", "build", "intact", "in_use", "damage")}


@pytest.fixture
def host(tmp_path: Path, capsys: pytest.CaptureFixture) -> Host:
    """A host with an intact release."""
    return Host(tmp_path, capsys)


INTACT = {"changed": False, "build": "one", "intact": True, "in_use": True, "damage": []}
TO_BUILD = {"changed": False, "intact": False, "in_use": False}


def test_intact(host: Host) -> None:
    """An unchanged build is used as it is."""
    assert host.run("one") == INTACT


def test_new_release(host: Host) -> None:
    """A release that was never built gets a directory of its own name."""
    assert host.run("two") == TO_BUILD | {"build": "two", "damage": []}


def test_built_but_not_in_use(host: Host) -> None:
    """The run was interrupted before the switch, or goes back to an older release: it is tried, and not built again."""
    host.build("two")
    assert host.run("two") == INTACT | {"build": "two", "in_use": False}


def test_first_release(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """On a fresh host there is nothing."""
    host = Host(tmp_path, capsys)
    (tmp_path / "current").unlink()
    (tmp_path / "one/manifest.json").unlink()
    assert host.run("one") == TO_BUILD | {"build": "one", "damage": []}


def test_interrupted_build(host: Host) -> None:
    """Without a manifest the build was not completed. Its directory is used again."""
    host.interrupt("two")
    assert host.run("two") == TO_BUILD | {"build": "two", "damage": []}


def change(build: Path) -> str:
    (build / "lib/module.py").write_text("2")
    return "lib/module.py was changed"


def remove(build: Path) -> str:
    (build / "lib/module.py").unlink()
    return "lib/module.py is missing"


def add(build: Path) -> str:
    (build / "lib/another.py").write_text("")
    return "lib/another.py was added"


def lead_elsewhere(build: Path) -> str:
    (build / "bin/python").unlink()
    (build / "bin/python").symlink_to("/tmp/python")  # noqa: S108
    return "bin/python was changed"


def lose_manifest(build: Path) -> str:
    (build / "manifest.json").write_text("{")
    return "manifest.json is missing or damaged"


def change_compiled(build: Path) -> str:
    (build / "lib/__pycache__/module.pyc").write_text("2")
    return "lib/__pycache__/module.pyc was changed"


@pytest.mark.parametrize("spoil", [change, remove, add, lead_elsewhere, lose_manifest, change_compiled])
def test_damaged(host: Host, spoil: Callable[[Path], str]) -> None:
    """A damaged build stays in use until another one can take its place: it may still serve."""
    damage = spoil(host.directory / "one")
    assert host.run("one") == TO_BUILD | {"build": "one-2", "damage": [damage]}
    host.interrupt("one-2")
    assert host.run("one") == TO_BUILD | {"build": "one-2", "damage": [damage]}
    host.run("one-2", state="complete")
    assert host.run("one") == INTACT | {"build": "one-2", "in_use": False, "damage": [damage]}
    host.use("one-2")
    assert host.run("one") == INTACT | {"build": "one-2"}
    spoil(host.directory / "one-2")
    assert host.run("one")["build"] == "one-3"


def test_everything_lost(host: Host) -> None:
    """As after `rm -rf current/lib`: the message has the first of the files that are missing."""
    for number in range(30):
        (host.directory / "one/lib" / f"{number}.py").write_text("")
    assert len(host.run("one")["damage"]) == 10


def test_what_root_compiles(host: Host) -> None:
    """Python writes these beside modules when root runs them. They harm nothing."""
    (host.directory / "one/lib/__pycache__/more.pyc").write_text("")
    assert host.run("one") == INTACT


def test_complete_again(host: Host) -> None:
    """A manifest that is right is left alone."""
    assert not host.run("one", state="complete")["changed"]


def test_check_mode(host: Host) -> None:
    """A dry run writes no manifest."""
    build = host.interrupt("two")
    assert host.run("two", state="complete", _ansible_check_mode=True)["changed"]
    assert not (build / "manifest.json").exists()
