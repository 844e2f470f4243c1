"""The command that generates an entry of users.yml."""

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
    """Run the command without a terminal, with some standard input."""
    return subprocess.run(
        [*COMMAND, *words], input=typed, capture_output=True, text=True, check=False, start_new_session=True
    )


def run_at_terminal(*words: str, typed: bytes) -> tuple[int, str]:
    """Run the command in a terminal. Returns its exit status and output."""
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
    """Return the hash in an entry of users.yml."""
    (user,) = yaml.safe_load(text)
    assert user["name"] == "alice"
    return user["password_hash"]


def test_prompts_twice_without_echo() -> None:
    """The command prompts twice, echoes nothing, and prints the entry."""
    code, seen = run_at_terminal("alice", "4", typed=b"canary\ncanary\n")
    assert code == 0
    assert "canary" not in seen
    (line,) = re.findall(r"^  - \{.*\}", seen, re.MULTILINE)
    assert bcrypt.checkpw(b"canary", hash_in(line).encode())


@pytest.mark.parametrize("typed", ["canary\ncanary\n", "canary\ncanary"])
def test_reads_password_from_pipe(typed: str) -> None:
    """Standard input contains the password in two lines."""
    finished = run("alice", "4", typed=typed)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert bcrypt.checkpw(b"canary", hash_in(finished.stdout).encode())


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "no terminal"),
        ("canary\n", "no terminal"),
        ("\n\n", "1 to 72 bytes"),
        ("x" * 73 + "\n", "1 to 72 bytes"),
        ("canary\nother\n", "The passwords differ"),
    ],
)
def test_invalid_input_prints_one_line(typed: str, message: str) -> None:
    """The error has one line, no traceback and a non-zero exit status."""
    finished = run("alice", "4", typed=typed)
    assert finished.returncode != 0
    assert finished.stdout == ""
    assert len(finished.stderr.splitlines()) == 1, finished.stderr
    assert message in finished.stderr
    assert "canary" not in finished.stderr


def test_requires_name() -> None:
    """The message contains the correct command."""
    finished = run("")
    assert finished.returncode != 0
    assert finished.stderr.splitlines() == ["The name of the user is missing. Run: make password NAME=alice"]


def test_interrupt_prints_no_traceback() -> None:
    """Ctrl-C and Ctrl-D end the command with a message."""
    for key in (b"\x03\n", b"\x04\n"):
        code, seen = run_at_terminal("alice", typed=key)
        assert code not in (0, -2)
        assert "Traceback" not in seen
        assert "no line was printed" in seen
