"""The module that writes directories, files and links of a role, run as Ansible runs it."""

import grp
import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible.module_utils.testing import patch_module_args
from support import action, load

module = load("roles/pypi/library/pypi_files.py")
plugin = load("roles/pypi/action_plugins/pypi_files.py")
ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


class Server:
    """A directory of a server, and the user who runs the module."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture):
        self.home = directory
        self._capsys = capsys

    def run(
        self,
        files: list[dict] = (),
        directories: list[dict] = (),
        links: dict[str, str] | None = None,
        absent: list[str] = (),
        **how: Any,
    ) -> dict:
        """Run the module once with --diff; paths are relative to the directory. Returns its result."""
        arguments = {
            name: [ME | entry | {"path": str(self.home / entry["path"])} for entry in entries]
            for name, entries in (("files", files), ("directories", directories))
        }
        arguments["links"] = [{"path": str(self.home / path), "src": src} for path, src in (links or {}).items()]
        arguments["absent"] = [str(self.home / path) for path in absent]
        with patch_module_args(arguments | {"_ansible_diff": True} | how), pytest.raises(SystemExit):
            module.main()
        return json.loads(self._capsys.readouterr().out)

    def diff(self, result: dict) -> list[tuple[object, object]]:
        """Return before and after of a result's diff; of states without their path."""
        parts = [(part["before"], part["after"]) for part in result["diff"]]
        return [tuple(_without_path(side) for side in part) for part in parts]

    def mode(self, name: str) -> int:
        """Return the mode of a file."""
        return (self.home / name).stat().st_mode & 0o7777


def _without_path(side: object) -> object:
    return {name: value for name, value in side.items() if name != "path"} if isinstance(side, dict) else side


@pytest.fixture
def server(tmp_path: Path, capsys: pytest.CaptureFixture) -> Server:
    """Return a server without files."""
    return Server(tmp_path, capsys)


def test_creates_missing_files(server: Server) -> None:
    """Directories are created first, so that files can be written into them."""
    made = server.run([{"path": "a/b/c", "content": "1\n", "mode": "0640"}], [{"path": "a/b", "mode": "0711"}])
    assert made["changed"] is True
    assert made["changed_paths"] == [str(server.home / "a/b"), str(server.home / "a/b/c")]
    assert (server.home / "a/b/c").read_text() == "1\n"
    assert (server.mode("a/b"), server.mode("a/b/c")) == (0o711, 0o640)


def test_creates_parent_directories(server: Server) -> None:
    """The parent directories of a file need no entry, and have mode 0755."""
    umask = os.umask(0o077)
    try:
        server.run([{"path": "a/b/c", "content": "1"}])
    finally:
        os.umask(umask)
    assert (server.mode("a"), server.mode("a/b"), server.mode("a/b/c")) == (0o755, 0o755, 0o644)


def test_second_run_changes_nothing(server: Server) -> None:
    """A second run reports no change and writes nothing: it is idempotent."""
    entries = [{"path": "a/c", "content": "ä\n"}], [{"path": "a", "mode": "2750"}]
    server.run(*entries)
    before = (server.home / "a/c").stat()
    again = server.run(*entries)
    assert (again["changed"], again["changed_paths"], again["diff"]) == (False, [], [])
    assert (server.home / "a/c").stat() == before


@pytest.mark.parametrize("drifted", ["file", "directory"])
def test_corrects_modes(server: Server, drifted: str) -> None:
    """A changed mode is corrected (drift), and only that is reported."""
    entries = [{"path": "a/c", "content": "1"}], [{"path": "a", "mode": "0755"}]
    server.run(*entries)
    path = server.home / {"file": "a/c", "directory": "a"}[drifted]
    path.chmod(0o700)
    assert server.run(*entries)["changed_paths"] == [str(path)]
    assert server.run(*entries)["changed"] is False


def test_reports_changed_files_only(server: Server) -> None:
    """The result has the changed files, for tasks that depend on them."""
    server.run([{"path": "a", "content": "1"}, {"path": "b", "content": "2"}])
    result = server.run([{"path": "a", "content": "1"}, {"path": "b", "content": "3"}])
    assert result["changed_paths"] == [str(server.home / "b")]
    assert server.diff(result) == [("2", "3")]


def test_force_false_keeps_the_content(server: Server) -> None:
    """A log is created empty with owner and mode; later runs correct these and keep the content."""
    log = {"path": "log", "force": False, "mode": "0640"}
    assert server.run([log])["changed_paths"] == [str(server.home / "log")]
    assert ((server.home / "log").read_bytes(), server.mode("log")) == (b"", 0o640)
    (server.home / "log").write_bytes(b"a line \xff\n")
    (server.home / "log").chmod(0o644)
    result = server.run([log])
    assert result["changed_paths"] == [str(server.home / "log")]
    assert server.diff(result) == [({"state": "file", "mode": "0644"}, {"state": "file", "mode": "0640"})]
    assert ((server.home / "log").read_bytes(), server.mode("log")) == (b"a line \xff\n", 0o640)
    assert server.run([log])["changed"] is False


def test_check_mode_only_reports(server: Server) -> None:
    """A dry run reports what would change, even if a directory and its owner do not exist yet."""
    server.run([{"path": "old", "content": "1"}])
    files = [{"path": "old", "content": "2"}, {"path": "a/new", "content": "3", "owner": "nobody-has-this-name"}]
    result = server.run(files, [{"path": "a", "mode": "0755"}], _ansible_check_mode=True)
    assert result["changed_paths"] == [str(server.home / name) for name in ("a", "old", "a/new")]
    assert (server.home / "old").read_text() == "1"
    assert not (server.home / "a").exists()


def test_nothing_is_replaced_before_all_is_validated(server: Server) -> None:
    """If the validation of one file fails, no file is replaced, and the message has the program's output."""
    server.run([{"path": "ports", "content": "1"}, {"path": "site", "content": "1"}])
    refusing = "sh -c 'echo line 7 is wrong; grep -q 1 %s'"
    files = [{"path": "ports", "content": "2"}, {"path": "site", "content": "2", "validate": refusing}]
    result = server.run(files)
    assert result["failed"] is True
    assert f"Validation of {server.home / 'site'} failed: {refusing.split(' %s')[0]}" in result["msg"]
    assert "line 7 is wrong" in result["stdout"]
    assert [(server.home / name).read_text() for name in ("ports", "site")] == ["1", "1"]


def test_validated_files_are_written(server: Server) -> None:
    """The validation gets the new file; an unchanged file is not validated."""
    files = [{"path": "site", "content": "1", "validate": "grep -q 1 %s"}]
    assert server.run(files)["changed"] is True
    assert server.run([files[0] | {"validate": "false"}])["changed"] is False


def test_links(server: Server) -> None:
    """A link has exactly the given target, is changed if it differs, and is not written otherwise."""
    made = server.run([{"path": "a/1", "content": "1"}], links={"a/current": "1"})
    assert made["changed_paths"] == [str(server.home / "a/1"), str(server.home / "a/current")]
    assert (server.home / "a/current").read_text() == "1"
    before = (server.home / "a/current").lstat()
    again = server.run(links={"a/current": "1"})
    assert (again["changed"], again["diff"]) == (False, [])
    assert (server.home / "a/current").lstat() == before
    other = server.run(links={"a/current": "../2"})
    assert server.diff(other) == [({"state": "link to 1"}, {"state": "link to ../2"})]
    assert (server.home / "a/current").readlink() == Path("../2")
    assert sorted(path.name for path in (server.home / "a").iterdir()) == ["1", "current"]


def test_a_link_in_the_place_of_a_file(server: Server) -> None:
    """A regular file in place of a link is replaced."""
    server.run([{"path": "site", "content": "a copy"}])
    assert server.diff(server.run(links={"site": "../site"})) == [({"state": "file"}, {"state": "link to ../site"})]
    assert (server.home / "site").readlink() == Path("../site")


def test_no_link_in_the_place_of_a_directory(server: Server) -> None:
    """A directory in place of a link is kept, since its content would be lost."""
    server.run([{"path": "current/data", "content": "1"}])
    result = server.run(links={"current": "1"})
    assert result["failed"] is True
    assert "current is a directory" in result["msg"]
    assert (server.home / "current/data").read_text() == "1"


def test_removes(server: Server) -> None:
    """Files, directories and links are removed; the target of a link is kept."""
    server.run(
        [{"path": "file", "content": "1"}, {"path": "wheels/a", "content": "1"}, {"path": "b/c", "content": "1"}]
    )
    server.run(links={"link": "b", "dangling": "nowhere"})
    absent = ["file", "wheels", "link", "dangling", "never-there"]
    result = server.run(absent=absent)
    assert result["changed_paths"] == [str(server.home / name) for name in absent[:-1]]
    found = ["file", "directory", "link to b", "link to nowhere"]
    assert server.diff(result) == [({"state": state}, {"state": "absent"}) for state in found]
    assert [path.name for path in server.home.iterdir()] == ["b"]
    assert (server.home / "b/c").exists()
    assert server.run(absent=absent)["changed"] is False


def test_links_and_removals_wait_for_what_is_validated(server: Server) -> None:
    """If the validation of a site fails, no link is created or removed."""
    server.run([{"path": "default", "content": "1"}])
    site = {"path": "site", "content": "2", "validate": "test x = %s"}
    assert server.run([site], links={"on": "site"}, absent=["default"])["failed"] is True
    assert [path.name for path in server.home.iterdir()] == ["default"]
    assert server.run([site | {"validate": "test -s %s"}], links={"on": "site"}, absent=["default"])["changed"] is True
    assert sorted(path.name for path in server.home.iterdir()) == ["on", "site"]


def test_check_mode_only_reports_links(server: Server) -> None:
    """A dry run neither creates nor removes links, even if the target does not exist yet."""
    server.run([{"path": "old", "content": "1"}], links={"current": "1"})
    result = server.run(links={"current": "2", "a/new": "3"}, absent=["old", "gone"], _ansible_check_mode=True)
    assert result["changed_paths"] == [str(server.home / name) for name in ("old", "current", "a/new")]
    assert (server.home / "current").readlink() == Path("1")
    assert sorted(path.name for path in server.home.iterdir()) == ["current", "old"]


def test_force_false_writes_missing_files(server: Server) -> None:
    """A file with content and `force: false` is only written if it is missing."""
    key = {"path": "key", "force": False, "mode": "0600", "content": "restored"}
    assert server.run(files=[key])["changed"]
    assert (server.home / "key").read_text() == "restored"
    (server.home / "key").write_text("new")
    assert not server.run(files=[key])["changed"]
    assert (server.home / "key").read_text() == "new"


@pytest.mark.parametrize("check", [False, True])
def test_diff_of_new_paths(server: Server, check: bool) -> None:
    """A diff shows the content, owner, group and mode of what is created, in check mode as well."""
    result = server.run([{"path": "a/b", "content": "1\n"}], [{"path": "a", "mode": "0750"}], _ansible_check_mode=check)
    assert server.diff(result) == [
        ({"state": "absent"}, {"state": "directory", "mode": "0750"} | ME),
        ("", "1\n"),
        ({"state": "absent"}, {"state": "file", "mode": "0644"} | ME),
    ]


@pytest.mark.parametrize("check", [False, True])
def test_diff_of_changed_paths(server: Server, check: bool) -> None:
    """A diff shows each attribute that changes, and no others."""
    server.run([{"path": "a/b", "content": "1\n", "mode": "0600"}], [{"path": "a", "mode": "0700"}])
    result = server.run([{"path": "a/b", "content": "2\n"}], [{"path": "a", "mode": "0750"}], _ansible_check_mode=check)
    assert server.diff(result) == [
        ({"state": "directory", "mode": "0700"}, {"state": "directory", "mode": "0750"}),
        ("1\n", "2\n"),
        ({"state": "file", "mode": "0600"}, {"state": "file", "mode": "0644"}),
    ]


def test_diff_names_the_source(server: Server) -> None:
    """The header of a diff names the file or template that the new content comes from, as those of Ansible do."""
    (part, _state) = server.run([{"path": "a", "content": "1", "template": "/etc/b"}])["diff"]
    assert (part["before_header"], part["after_header"]) == (str(server.home / "a"), f"{server.home / 'a'} (/etc/b)")


def test_diff_of_a_binary_file(server: Server) -> None:
    """A binary file is replaced, and its bytes are not printed."""
    (server.home / "a").write_bytes(b"\0\1")
    assert server.run([{"path": "a", "content": "1", "mode": "0644"}])["diff"] == [{"dst_binary": 1}]


@pytest.mark.parametrize("check", [False, True])
def test_no_diff_unless_asked(server: Server, check: bool) -> None:
    """The content of files may be secret: it is in no result without --diff, or with `diff: false`."""
    result = server.run([{"path": "a", "content": "secret"}], _ansible_diff=False, _ansible_check_mode=check)
    assert result["changed"] is True
    assert "diff" not in result


def documented(options: dict) -> dict:
    """Return the argument spec that a DOCUMENTATION describes."""
    found = {}
    for name, option in options.items():
        assert option["description"]
        spec = {key: value for key, value in option.items() if key not in ("description", "suboptions")}
        found[name] = spec | ({"options": documented(option["suboptions"])} if "suboptions" in option else {})
    return found


def declared(spec: dict) -> dict:
    """Return an argument spec without what DOCUMENTATION cannot say."""
    found = {}
    for name, option in spec.items():
        found[name] = {key: value for key, value in option.items() if key not in ("options", "mutually_exclusive")}
        found[name] |= {"options": declared(option["options"])} if "options" in option else {}
    return found


def test_documentation_is_the_argument_spec() -> None:
    """The documentation has exactly the accepted options, with their types and defaults."""
    assert documented(yaml.safe_load(module.DOCUMENTATION)["options"]) == declared(module.ARGUMENTS)


def test_examples_are_accepted() -> None:
    """The examples of the documentation have options that the module knows."""
    for task in yaml.safe_load(module.EXAMPLES):
        for entry in task["pypi_files"]["files"]:
            assert entry.keys() <= module.FILE.keys()


def rendered(*files: dict) -> list[dict]:
    """Run the action plugin. Returns the files that the module gets."""
    given: list[dict] = []

    def execute_module(_name: str, module_args: dict, **_how: object) -> dict:
        given.extend(module_args["files"])
        return {}

    action.run(plugin, {"files": list(files)}, _execute_module=execute_module)
    return given


def test_the_plugin_sets_the_content(tmp_path: Path) -> None:
    """The plugin reads src on the control node; a file that is kept needs neither src nor a template."""
    source = tmp_path / "source"
    source.write_text("1\n")
    log = {"path": "/log", "force": False}
    assert rendered({"path": "/a", "src": str(source)}, log) == [
        {"path": "/a", "src": str(source), "content": "1\n"},
        log,
    ]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({"path": "/a", "content": "1"}, "/a has content"),
        ({"path": "/a", "src": "b", "template": "c"}, "/a has both src and template"),
        ({"src": "b"}, "a list of dictionaries with a path"),
        ("b", "a list of dictionaries with a path"),
    ],
)
def test_the_plugin_rejects(file: object, message: str) -> None:
    """An invalid entry is an error that contains the file."""
    with pytest.raises(AnsibleActionFail, match=message):
        rendered(file)
