"""The command that generates an entry of users.yml."""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import termios

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


def run_at_terminal(*words: str, typed: bytes) -> tuple[int, str, str]:
    """Run the command in a terminal and type one line at each prompt.

    Returns its exit status, what the terminal showed, and what it wrote to standard output and standard error. These
    are a file, because a terminal loses unread output when the process that controls it exits.
    """
    with tempfile.TemporaryFile() as output:
        process, terminal = pty.fork()
        if process == 0:
            # A shell starts background commands with SIGINT ignored, and exec keeps that: Ctrl-C would have no effect.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os.execv(sys.executable, [str(word) for word in (*COMMAND, *words)])  # noqa: S606  (a list of arguments)
        shown = b""
        for line in typed.splitlines(keepends=True):
            # getpass turns off the echo and discards earlier input before it prompts.
            prompt = b""
            while b": " not in prompt:
                prompt += os.read(terminal, 1000)
            assert not termios.tcgetattr(terminal)[3] & termios.ECHO
            os.write(terminal, line)
            shown += prompt
        try:
            while more := os.read(terminal, 1000):
                shown += more
        except OSError:
            pass  # the terminal is closed with the process
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        os.close(terminal)
        output.seek(0)
        return status, shown.decode(), output.read().decode()


def hash_in(text: str) -> str:
    """Return the hash in an entry of users.yml."""
    (user,) = yaml.safe_load(text)
    assert user["name"] == "alice"
    return user["password_hash"]


def test_prompts_twice_without_echo() -> None:
    """The command prompts twice, echoes nothing, and prints the entry."""
    status, shown, output = run_at_terminal("alice", "4", typed=b"canary\ncanary\n")
    assert status == 0
    assert "canary" not in shown + output
    (line,) = re.findall(r"^  - \{.*\}", output, re.MULTILINE)
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


@pytest.mark.parametrize("key", [b"\x03\n", b"\x04\n"], ids=["Ctrl-C", "Ctrl-D"])
def test_interrupt_prints_no_traceback(key: bytes) -> None:
    """Ctrl-C and Ctrl-D end the command with a message."""
    status, _, output = run_at_terminal("alice", typed=key)
    assert (status, output) == (1, "\nInterrupted: no line was printed.\n")
