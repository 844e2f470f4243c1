"""The module that finds an intact build of a release, run as Ansible runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from support import load

module = load("roles/pypiserver/library/pypi_release.py")


class Host:
    """A directory with releases. One of them, "one", is built and active."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture):
        self.directory = directory
        self._capsys = capsys
        self.build("one")
        self.activate("one")

    def build(self, name: str) -> Path:
        """Build a release."""
        build = self.interrupt(name)
        assert self.run(name, state="complete")["changed"]
        return build

    def interrupt(self, name: str) -> Path:
        """Build a release without its manifest."""
        build = self.directory / name
        (build / "lib/__pycache__").mkdir(parents=True)
        (build / "lib/module.py").write_text("1")
        (build / "lib/__pycache__/module.pyc").write_text("1")
        (build / "bin").mkdir()
        (build / "bin/python").symlink_to("/usr/bin/python3")
        (build / "lib64").symlink_to("lib")
        return build

    def activate(self, name: str) -> None:
        """Set the link to a build."""
        (self.directory / "current").unlink(missing_ok=True)
        (self.directory / "current").symlink_to(name)

    def run(self, name: str, **options: object) -> dict:
        """Run the module. Returns its result, without the keys that Ansible adds."""
        with patch_module_args({"directory": str(self.directory), "name": name} | options), pytest.raises(SystemExit):
            module.main()
        result = json.loads(self._capsys.readouterr().out)
        return {key: result[key] for key in ("changed", "build", "intact", "in_use", "damage")}


@pytest.fixture
def host(tmp_path: Path, capsys: pytest.CaptureFixture) -> Host:
    """Return a host with an intact release."""
    return Host(tmp_path, capsys)


INTACT = {"changed": False, "build": "one", "intact": True, "in_use": True, "damage": []}
TO_BUILD = {"changed": False, "intact": False, "in_use": False}


def test_uses_intact_build(host: Host) -> None:
    """An unchanged build is used."""
    assert host.run("one") == INTACT


def test_new_release_needs_build(host: Host) -> None:
    """The directory of a new release has its name."""
    assert host.run("two") == TO_BUILD | {"build": "two", "damage": []}


def test_inactive_build_is_not_rebuilt(host: Host) -> None:
    """An interrupted run, or an older release: the build is tested but not built again."""
    host.build("two")
    assert host.run("two") == INTACT | {"build": "two", "in_use": False}


def test_fresh_host_needs_build(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """On a fresh host, the release is built."""
    host = Host(tmp_path, capsys)
    (tmp_path / "current").unlink()
    (tmp_path / "one/manifest.json").unlink()
    assert host.run("one") == TO_BUILD | {"build": "one", "damage": []}


def test_incomplete_build_is_rebuilt(host: Host) -> None:
    """A build without a manifest is incomplete. Its directory is used again."""
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


def change_link(build: Path) -> str:
    (build / "bin/python").unlink()
    (build / "bin/python").symlink_to("/tmp/python")  # noqa: S108
    return "bin/python was changed"


def damage_manifest(build: Path) -> str:
    (build / "manifest.json").write_text("{")
    return "manifest.json is missing or damaged"


def change_compiled(build: Path) -> str:
    (build / "lib/__pycache__/module.pyc").write_text("2")
    return "lib/__pycache__/module.pyc was changed"


@pytest.mark.parametrize("damage_build", [change, remove, add, change_link, damage_manifest, change_compiled])
def test_damaged_build_is_replaced(host: Host, damage_build: Callable[[Path], str]) -> None:
    """A damaged build remains active until another one can replace it."""
    damage = damage_build(host.directory / "one")
    assert host.run("one") == TO_BUILD | {"build": "one-2", "damage": [damage]}
    host.interrupt("one-2")
    assert host.run("one") == TO_BUILD | {"build": "one-2", "damage": [damage]}
    host.run("one-2", state="complete")
    assert host.run("one") == INTACT | {"build": "one-2", "in_use": False, "damage": [damage]}
    host.activate("one-2")
    assert host.run("one") == INTACT | {"build": "one-2"}
    damage_build(host.directory / "one-2")
    assert host.run("one")["build"] == "one-3"


def test_reports_few_missing_files(host: Host) -> None:
    """The message contains only some of many missing files."""
    for number in range(30):
        (host.directory / "one/lib" / f"{number}.py").write_text("")
    assert len(host.run("one")["damage"]) == 10


def test_ignores_additional_bytecode(host: Host) -> None:
    """Python writes bytecode files beside modules if root runs them."""
    (host.directory / "one/lib/__pycache__/more.pyc").write_text("")
    assert host.run("one") == INTACT


def test_manifest_is_idempotent(host: Host) -> None:
    """A correct manifest is not changed."""
    assert not host.run("one", state="complete")["changed"]


def test_check_mode_writes_nothing(host: Host) -> None:
    """A dry run writes no manifest."""
    build = host.interrupt("two")
    assert host.run("two", state="complete", _ansible_check_mode=True)["changed"]
    assert not (build / "manifest.json").exists()
