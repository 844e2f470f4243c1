"""The module that writes a role's directories and files, run whole, as Ansible runs it."""

import grp
import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from support import load

module = load("roles/pypi/library/pypi_files.py")
ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


class Server:
    """A directory of a server's, and the one who runs it."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture):
        self.home = directory
        self._capsys = capsys

    def run(self, files: list[dict] = (), directories: list[dict] = (), **how: Any) -> dict:
        """Run the module once, paths being below the directory. Returns its result."""
        arguments = {
            name: [ME | entry | {"path": str(self.home / entry["path"])} for entry in entries]
            for name, entries in (("files", files), ("directories", directories))
        }
        with patch_module_args(arguments | how), pytest.raises(SystemExit):
            module.main()
        return json.loads(self._capsys.readouterr().out)

    def mode(self, name: str) -> int:
        """Return a file's permissions."""
        return (self.home / name).stat().st_mode & 0o7777


@pytest.fixture
def server(tmp_path: Path, capsys: pytest.CaptureFixture) -> Server:
    """A server with nothing on it."""
    return Server(tmp_path, capsys)


def test_makes_what_is_missing(server: Server) -> None:
    """Directories come first, so that files may lie in them."""
    made = server.run([{"path": "a/b/c", "content": "1\n", "mode": "0640"}], [{"path": "a/b", "mode": "0711"}])
    assert made["changed"] is True
    assert made["changed_paths"] == [str(server.home / "a/b"), str(server.home / "a/b/c")]
    assert (server.home / "a/b/c").read_text() == "1\n"
    assert (server.mode("a/b"), server.mode("a/b/c")) == (0o711, 0o640)


def test_makes_the_way_to_a_file(server: Server) -> None:
    """A file's directory needs no entry of its own, and is open to those who are to read the file."""
    umask = os.umask(0o077)
    try:
        server.run([{"path": "a/b/c", "content": "1"}])
    finally:
        os.umask(umask)
    assert (server.mode("a"), server.mode("a/b"), server.mode("a/b/c")) == (0o755, 0o755, 0o644)


def test_second_run_changes_nothing(server: Server) -> None:
    """A second run is a proof that nothing has drifted, so it must report no change, and touch nothing."""
    entries = [{"path": "a/c", "content": "ä\n"}], [{"path": "a", "mode": "2750"}]
    server.run(*entries)
    before = (server.home / "a/c").stat()
    again = server.run(*entries)
    assert (again["changed"], again["changed_paths"], again["diff"]) == (False, [], [])
    assert (server.home / "a/c").stat() == before


@pytest.mark.parametrize("drifted", ["file", "directory"])
def test_mends_modes(server: Server, drifted: str) -> None:
    """Somebody's chmod is undone, and only that is reported."""
    entries = [{"path": "a/c", "content": "1"}], [{"path": "a", "mode": "0755"}]
    server.run(*entries)
    path = server.home / {"file": "a/c", "directory": "a"}[drifted]
    path.chmod(0o700)
    assert server.run(*entries)["changed_paths"] == [str(path)]
    assert server.run(*entries)["changed"] is False


def test_names_only_what_changed(server: Server) -> None:
    """What follows from a change follows from that file's change alone."""
    server.run([{"path": "a", "content": "1"}, {"path": "b", "content": "2"}])
    result = server.run([{"path": "a", "content": "1"}, {"path": "b", "content": "3"}])
    assert result["changed_paths"] == [str(server.home / "b")]
    assert [(part["before"], part["after"]) for part in result["diff"]] == [("2", "3")]


def test_keeps_what_is_in_a_log(server: Server) -> None:
    """A log is there from the start, with its permissions, and what it has gathered since is nobody's to replace."""
    log = {"path": "log", "keep": True, "mode": "0640"}
    assert server.run([log])["changed_paths"] == [str(server.home / "log")]
    assert ((server.home / "log").read_bytes(), server.mode("log")) == (b"", 0o640)
    (server.home / "log").write_bytes(b"a line \xff\n")
    (server.home / "log").chmod(0o644)
    result = server.run([log])
    assert (result["changed_paths"], result["diff"]) == ([str(server.home / "log")], [])
    assert ((server.home / "log").read_bytes(), server.mode("log")) == (b"a line \xff\n", 0o640)
    assert server.run([log])["changed"] is False


def test_check_mode_only_tells(server: Server) -> None:
    """A dry run says what would change, also where a directory and its owner are still to come."""
    server.run([{"path": "old", "content": "1"}])
    files = [{"path": "old", "content": "2"}, {"path": "a/new", "content": "3", "owner": "nobody-has-this-name"}]
    result = server.run(files, [{"path": "a", "mode": "0755"}], _ansible_check_mode=True)
    assert result["changed_paths"] == [str(server.home / name) for name in ("a", "old", "a/new")]
    assert (server.home / "old").read_text() == "1"
    assert not (server.home / "a").exists()


def test_nothing_is_replaced_before_all_is_validated(server: Server) -> None:
    """A file that its program refuses leaves the others as they were, too, and the program's words are shown."""
    server.run([{"path": "ports", "content": "1"}, {"path": "site", "content": "1"}])
    refusing = "sh -c 'echo line 7 is wrong; grep -q 1 %s'"
    files = [{"path": "ports", "content": "2"}, {"path": "site", "content": "2", "validate": refusing}]
    result = server.run(files)
    assert result["failed"] is True
    assert "site stays as it was" in result["msg"]
    assert "line 7 is wrong" in result["stdout"]
    assert [(server.home / name).read_text() for name in ("ports", "site")] == ["1", "1"]


def test_validated_files_are_written(server: Server) -> None:
    """The program sees the new file, not the old one; where nothing differs it is not asked."""
    files = [{"path": "site", "content": "1", "validate": "grep -q 1 %s"}]
    assert server.run(files)["changed"] is True
    assert server.run([files[0] | {"validate": "false"}])["changed"] is False
