"""The command that makes a line for users.yml."""

import os
import pty
import re
import subprocess
import sys
import time

import bcrypt
import pytest
import yaml
from support import ROOT

COMMAND = [sys.executable, ROOT / "tools/password"]


def run(*words: str, typed: str = "") -> subprocess.CompletedProcess:
    """Run the command without a terminal, with something on standard input."""
    return subprocess.run(
        [*COMMAND, *words], input=typed, capture_output=True, text=True, check=False, start_new_session=True
    )


def run_at_terminal(*words: str, typed: bytes) -> tuple[int, str]:
    """Run the command at a terminal. Returns its exit status and what is seen there."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [str(word) for word in (*COMMAND, *words)])  # noqa: S606  (a list of arguments)
    seen = b""
    for line in typed.splitlines(keepends=True):
        while b": " not in seen.rpartition(b"\n")[2]:
            seen += os.read(terminal, 1000)
        time.sleep(0.1)
        os.write(terminal, line)
        seen += b"\n"
    try:
        while more := os.read(terminal, 1000):
            seen += more
    except OSError:
        pass  # the terminal is closed with the process
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), seen.decode()


def hash_in(text: str) -> str:
    """Return the hash in a line for users.yml."""
    (user,) = yaml.safe_load(text)
    assert user["name"] == "alice"
    return user["password_hash"]


def test_at_a_terminal() -> None:
    """It asks twice, shows nothing of what is typed, and prints the line."""
    code, seen = run_at_terminal("alice", "4", typed=b"canary\ncanary\n")
    assert code == 0
    assert "canary" not in seen
    (line,) = re.findall(r"^  - \{.*\}", seen, re.MULTILINE)
    assert bcrypt.checkpw(b"canary", hash_in(line).encode())


@pytest.mark.parametrize("typed", ["canary\ncanary\n", "canary\ncanary"])
def test_from_a_pipe(typed: str) -> None:
    """Programs type as well: the password in two lines."""
    finished = run("alice", "4", typed=typed)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert bcrypt.checkpw(b"canary", hash_in(finished.stdout).encode())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "no terminal"),
        ("canary\n", "no terminal"),
        ("\n\n", "1 to 72 bytes"),
        ("x" * 73 + "\n", "1 to 72 bytes"),
        ("canary\nother\n", "The passwords differ"),
    ],
)
def test_one_line_of_error(typed: str, said: str) -> None:
    """No traceback, no warning of Python's, nothing on standard output, and another exit status."""
    finished = run("alice", "4", typed=typed)
    assert finished.returncode != 0
    assert finished.stdout == ""
    assert len(finished.stderr.splitlines()) == 1, finished.stderr
    assert said in finished.stderr
    assert "canary" not in finished.stderr


def test_without_a_name() -> None:
    """`make password` alone says what is missing."""
    finished = run("")
    assert finished.returncode != 0
    assert finished.stderr.splitlines() == ["The name of the user is missing. Run: make password NAME=alice"]


def test_interrupted() -> None:
    """Whoever presses Ctrl-C or Ctrl-D has changed their mind, and needs no traceback."""
    for key in (b"\x03\n", b"\x04\n"):
        code, seen = run_at_terminal("alice", typed=key)
        assert code not in (0, -2)
        assert "Traceback" not in seen
        assert "no line was printed" in seen
