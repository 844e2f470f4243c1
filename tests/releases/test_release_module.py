"""The module that finds, completes and removes builds of releases, run as Ansible runs it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from support import load

module = load("roles/pypiserver/library/pypi_release.py")

# The name of Debian's Python, such as python3.11, to which /usr/bin/python3 is a link.
PYTHON = Path("/usr/bin/python3").resolve().name


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
        (build / f"lib/{PYTHON}/site-packages").mkdir(parents=True)
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
        return {key: value for key, value in result.items() if key != "invocation"}


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


def test_detects_another_python(host: Host) -> None:
    """After an upgrade of Debian, bin/python is another minor version, without the release's packages."""
    assert host.run("one") == INTACT
    packages = host.directory / f"one/lib/{PYTHON}"
    packages.rename(packages.with_name("python3.9"))
    damage = f"bin/python is now {PYTHON}, and the packages were installed for another version"
    assert host.run("one") == TO_BUILD | {"build": "one-2", "damage": [damage]}


def test_detects_removed_python(host: Host) -> None:
    """The target of bin/python is not part of the release, and may disappear."""
    python = host.directory / "python3"
    python.write_text("")
    (host.directory / "one/bin/python").unlink()
    (host.directory / "one/bin/python").symlink_to(python)
    host.run("one", state="complete")
    python.unlink()
    (damage,) = host.run("one")["damage"]
    assert damage == f"bin/python links to {python}, which does not exist"


# Builds in the order in which they are completed. The last one is active.
OLDEST, OLDER, OLD, ACTIVE = ("0" * 12, "1" * 12, "2" * 12, "3" * 12)
NEW = "4" * 12
SETTINGS = {"url": "u", "limits": {"a": 1, "b": 2}}


@pytest.fixture
def history(host: Host) -> Host:
    """Return a host with four releases that can be activated."""
    (host.directory / "current").unlink()
    for name in (OLDEST, OLDER, OLD, ACTIVE):
        add_build(host, name)
    host.activate(ACTIVE)
    (host.directory / "settings.json").write_text(json.dumps(SETTINGS))
    return host


def add_build(host: Host, name: str, settings: dict = SETTINGS) -> Path:
    """Build a release of this version of the kit, with a time that follows from its name."""
    build = host.interrupt(name)
    (build / "bin/wheelhouse").write_text("")
    (build / "settings.json").write_text(json.dumps(settings))
    host.run(name, state="complete")
    os.utime(build / "manifest.json", (int(name[0]) * 60 + 60,) * 2)
    return build


def names(host: Host) -> list[str]:
    """Return the first digits of the builds of the history, and what follows the digest."""
    found = (path.name for path in host.directory.iterdir() if module.BUILD.fullmatch(path.name))
    return sorted(name[0] + name[12:] for name in found)


def prune(host: Host, kept: int, name: str = ACTIVE, **options: object) -> list[str]:
    """Remove builds. Returns the names of those that are left, as names() does."""
    result = host.run(name, state="pruned", kept=kept, **options)
    assert result["changed"] is bool(result["removed"])
    return names(host)


@pytest.mark.parametrize(
    ("kept", "left"), [(9, ["0", "1", "2", "3"]), (3, ["0", "1", "2", "3"]), (2, ["1", "2", "3"]), (1, ["2", "3"])]
)
def test_keeps_newest_builds(history: Host, kept: int, left: list[str]) -> None:
    """The setting is the number of builds besides the active one. The second run changes nothing."""
    assert prune(history, kept) == left
    assert not history.run(ACTIVE, state="pruned", kept=kept)["changed"]


def test_prune_keeps_build_in_use_until_it_is_replaced(history: Host) -> None:
    """Old builds are removed before the switch: processes of the one in use may still import modules."""
    add_build(history, NEW)
    assert prune(history, 1, NEW) == ["3", "4"]


def test_prune_keeps_damaged_build_in_use(history: Host) -> None:
    """The damaged build in use is kept, and so is the one that a rollback would activate."""
    add_build(history, NEW)
    change(history.directory / ACTIVE)
    assert prune(history, 1, NEW) == ["2", "3", "4"]
    history.activate(NEW)
    assert prune(history, 1, NEW) == ["2", "4"]


def test_prune_prefers_intact_builds(history: Host) -> None:
    """A damaged build is of no use, however new it is."""
    change(history.directory / OLD)
    assert prune(history, 1) == ["1", "3"]


def test_prune_keeps_target_of_rollback_among_newer_builds(history: Host) -> None:
    """After a return to an old version of the kit, newer builds do not replace the one before it."""
    history.activate(OLDER)
    assert prune(history, 1, OLDER) == ["0", "1"]


def test_prune_removes_interrupted_builds(history: Host) -> None:
    """A build without a manifest was interrupted. The named one and the one in use are kept."""
    for name in (NEW, f"{OLD}-2"):
        history.interrupt(name)
    (history.directory / ACTIVE / "manifest.json").unlink()
    assert prune(history, 9, NEW) == ["0", "1", "2", "3", "4"]


def test_prune_removes_nothing_else(history: Host) -> None:
    """Files and directories with other names are not builds."""
    (history.directory / "notes").mkdir()
    (history.directory / ("a" * 12)).symlink_to(OLDEST)
    prune(history, 1)
    assert {path.name for path in history.directory.iterdir()} >= {"notes", "one", "current", "a" * 12}


def test_prune_of_a_fresh_host_in_check_mode(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A dry run of the first deployment finds no directory."""
    host = Host(tmp_path, capsys)
    host.directory = tmp_path / "none"
    assert not host.run(NEW, state="pruned", kept=3, _ansible_check_mode=True)["changed"]


def test_prune_in_check_mode_removes_nothing(history: Host) -> None:
    """A dry run reports what would be removed."""
    result = history.run(ACTIVE, state="pruned", kept=1, _ansible_check_mode=True)
    assert (result["changed"], result["removed"]) == (True, [OLDER, OLDEST])
    assert names(history) == ["0", "1", "2", "3"]


def roll_back(host: Host, name: str = "") -> dict:
    """Find the release to return to."""
    return host.run(name, state="earlier", settings=str(host.directory / "settings.json"))


def test_returns_to_previous_release(history: Host) -> None:
    """Without a name, it is the newest one that was built before the active one. Its settings are those in use."""
    found = roll_back(history)
    assert (found["build"], found["previous"], found["problem"]) == (OLD, ACTIVE, "")
    assert (found["intact"], found["in_use"], found["changed"]) == (True, False, False)
    assert found["settings"] == json.dumps(SETTINGS)
    history.activate(OLD)
    assert roll_back(history)["build"] == OLDER


@pytest.mark.parametrize("name", [OLDEST, ACTIVE])
def test_returns_to_named_release(history: Host, name: str) -> None:
    """A name selects any release, also a newer one."""
    history.activate(OLDER)
    assert roll_back(history, name)["build"] == name


def test_skips_damaged_releases(history: Host) -> None:
    """Damaged, incomplete and too old builds are skipped."""
    change(history.directory / OLD)
    (history.directory / OLDER / "manifest.json").unlink()
    assert roll_back(history)["build"] == OLDEST


def without_command(build: Path) -> str:
    (build / "bin/wheelhouse").unlink()
    module.complete(build)
    return "was built by a version of the kit that had no rollback"


def without_manifest(build: Path) -> str:
    (build / "manifest.json").unlink()
    return "was not completed"


def of_another_python(build: Path) -> str:
    (build / f"lib/{PYTHON}").rename(build / "lib/python3.9")
    return f"is damaged: bin/python is now {PYTHON}"


@pytest.mark.parametrize("spoil", [change, damage_manifest, without_command, without_manifest, of_another_python])
def test_rejects_unusable_release(history: Host, spoil: Callable[[Path], str]) -> None:
    """The message has the reason, and the state of all releases."""
    reason = spoil(history.directory / OLD)
    found = roll_back(history, OLD)
    assert reason in found["problem"]
    assert f"The release {OLD} " in found["problem"]
    assert f"{ACTIVE} (1970-01-01 00:04 UTC) is active" in found["problem"]
    assert f"{OLDER} (1970-01-01 00:02 UTC) can be activated" in found["problem"]
    assert not found["intact"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (ACTIVE, f"The release {ACTIVE} is already active"),
        ("5" * 12, f"There is no release '{'5' * 12}'"),
        ("current", "There is no release 'current'"),
        ("../etc", "There is no release '../etc'"),
    ],
)
def test_rejects_other_names(history: Host, name: str, message: str) -> None:
    """The message says what is wrong with the name."""
    assert message in roll_back(history, name)["problem"]


def test_rejects_rollback_from_the_oldest_release(history: Host) -> None:
    """A rollback without a name never goes forward."""
    history.activate(OLDEST)
    assert "There is no intact release that was built before the active one" in roll_back(history)["problem"]


def test_rejects_unreadable_settings(history: Host) -> None:
    """Without the settings in use, no settings can be written for the release."""
    (history.directory / "settings.json").write_text("{")
    assert "settings.json cannot be read" in roll_back(history)["problem"]


def test_adapts_settings_to_the_release(history: Host) -> None:
    """The release gets the values in use for the settings that it knows, and its own for those that no longer exist."""
    add_build(history, OLD + "-2", {"url": "old", "limits": {"a": 7, "c": 3}, "gone": [1]})
    found = roll_back(history, OLD + "-2")
    assert json.loads(found["settings"]) == {"url": "u", "limits": {"a": 1, "c": 3}, "gone": [1]}
