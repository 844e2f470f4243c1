"""The module that writes a role's directories, files and links, run whole, as Ansible runs it."""

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

    def run(
        self,
        files: list[dict] = (),
        directories: list[dict] = (),
        links: dict[str, str] | None = None,
        absent: list[str] = (),
        **how: Any,
    ) -> dict:
        """Run the module once, paths being below the directory. Returns its result."""
        arguments = {
            name: [ME | entry | {"path": str(self.home / entry["path"])} for entry in entries]
            for name, entries in (("files", files), ("directories", directories))
        }
        arguments["links"] = [{"path": str(self.home / path), "src": src} for path, src in (links or {}).items()]
        arguments["absent"] = [str(self.home / path) for path in absent]
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


def test_links(server: Server) -> None:
    """A link says exactly what it is told to, leads elsewhere when told so, and is left alone otherwise."""
    made = server.run([{"path": "a/1", "content": "1"}], links={"a/current": "1"})
    assert made["changed_paths"] == [str(server.home / "a/1"), str(server.home / "a/current")]
    assert (server.home / "a/current").read_text() == "1"
    before = (server.home / "a/current").lstat()
    again = server.run(links={"a/current": "1"})
    assert (again["changed"], again["diff"]) == (False, [])
    assert (server.home / "a/current").lstat() == before
    other = server.run(links={"a/current": "../2"})
    assert [(part["before"], part["after"]) for part in other["diff"]] == [("link to 1\n", "link to ../2\n")]
    assert (server.home / "a/current").readlink() == Path("../2")
    assert sorted(path.name for path in (server.home / "a").iterdir()) == ["1", "current"]


def test_a_link_in_the_place_of_a_file(server: Server) -> None:
    """A copy that somebody has put there is no longer what the file is that the link leads to."""
    server.run([{"path": "site", "content": "a copy"}])
    assert server.run(links={"site": "../site"})["diff"][0]["before"] == "file\n"
    assert (server.home / "site").readlink() == Path("../site")


def test_no_link_in_the_place_of_a_directory(server: Server) -> None:
    """Whatever is in it is not this module's to throw away."""
    server.run([{"path": "current/data", "content": "1"}])
    result = server.run(links={"current": "1"})
    assert result["failed"] is True
    assert "current is a directory" in result["msg"]
    assert (server.home / "current/data").read_text() == "1"


def test_removes(server: Server) -> None:
    """What is to be absent goes, be it a file, a directory, or a link; what a link leads to stays."""
    server.run(
        [{"path": "file", "content": "1"}, {"path": "wheels/a", "content": "1"}, {"path": "b/c", "content": "1"}]
    )
    server.run(links={"link": "b", "dangling": "nowhere"})
    absent = ["file", "wheels", "link", "dangling", "never-there"]
    result = server.run(absent=absent)
    assert result["changed_paths"] == [str(server.home / name) for name in absent[:-1]]
    assert [part["before"] for part in result["diff"]] == ["file\n", "directory\n", "link to b\n", "link to nowhere\n"]
    assert [path.name for path in server.home.iterdir()] == ["b"]
    assert (server.home / "b/c").exists()
    assert server.run(absent=absent)["changed"] is False


def test_links_and_removals_wait_for_what_is_validated(server: Server) -> None:
    """A site that its program refuses is not turned on, and the one in its place not turned off."""
    server.run([{"path": "default", "content": "1"}])
    site = {"path": "site", "content": "2", "validate": "test x = %s"}
    assert server.run([site], links={"on": "site"}, absent=["default"])["failed"] is True
    assert [path.name for path in server.home.iterdir()] == ["default"]
    assert server.run([site | {"validate": "test -s %s"}], links={"on": "site"}, absent=["default"])["changed"] is True
    assert sorted(path.name for path in server.home.iterdir()) == ["on", "site"]


def test_check_mode_only_tells_of_links(server: Server) -> None:
    """A dry run neither links nor removes, also where what a link is to lead to is still to come."""
    server.run([{"path": "old", "content": "1"}], links={"current": "1"})
    result = server.run(links={"current": "2", "a/new": "3"}, absent=["old", "gone"], _ansible_check_mode=True)
    assert result["changed_paths"] == [str(server.home / name) for name in ("old", "current", "a/new")]
    assert (server.home / "current").readlink() == Path("1")
    assert sorted(path.name for path in server.home.iterdir()) == ["current", "old"]


def test_first_content_of_a_file_that_is_kept(server: Server) -> None:
    """A file that is restored only where it is missing."""
    key = {"path": "key", "keep": True, "mode": "0600", "content": "restored"}
    assert server.run(files=[key])["changed"]
    assert (server.home / "key").read_text() == "restored"
    (server.home / "key").write_text("new")
    assert not server.run(files=[key])["changed"]
    assert (server.home / "key").read_text() == "new"
