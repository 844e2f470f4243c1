"""Run commands in containers through persistent shells, since `docker exec` takes a tenth of a second for each."""

import atexit
import subprocess
import threading
from collections import defaultdict
from dataclasses import dataclass
from shlex import quote

from testinfra.backend.docker import DockerBackend

# The shell acknowledges a command, runs it as `docker exec` would (no stdin, in a shell of its own), and prints its
# exit status, the sizes of stdout and stderr, and their content.
SETUP = "d=$(mktemp -d -p /dev/shm) && trap 'rm -r $d' EXIT\n"
CALL = (
    "echo; /bin/sh -c {command} </dev/null >$d/out 2>$d/err; echo $? $(stat -c %s $d/out $d/err); cat $d/out $d/err\n"
)


class NotRunError(Exception):
    """The shell had exited before it received the command."""


@dataclass(frozen=True)
class CommandResult:
    """The result of a command."""

    status: int
    output: bytes
    errors: bytes


class Shell:
    """A shell that runs one command at a time. start: the command that starts it."""

    def __init__(self, start: list[str]):
        self._process = subprocess.Popen(
            start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._setup = SETUP

    def run(self, command: bytes) -> CommandResult:
        """Run a command. If the shell exits meanwhile, return its exit status. Raises NotRunError."""
        text = CALL.format(command=quote(command.decode("utf-8", "surrogateescape")))
        call, self._setup = self._setup + text, ""
        try:
            self._process.stdin.write(call.encode("utf-8", "surrogateescape"))
            self._process.stdin.flush()
        except BrokenPipeError:
            raise NotRunError from None
        if not self._process.stdout.readline():
            raise NotRunError
        reply = self._process.stdout.readline().split()
        if len(reply) != 3:
            return CommandResult(self._process.wait(), b"", b"The shell of this test has ended.\n")
        status, output, errors = map(int, reply)
        return CommandResult(status, self._process.stdout.read(output), self._process.stdout.read(errors))

    def close(self) -> None:
        """Close the shell."""
        self._process.stdin.close()
        self._process.stdout.close()


class Shells:
    """A thread-safe pool of idle shells, by host and user."""

    def __init__(self):
        self._idle: defaultdict[tuple[str, ...], list[Shell]] = defaultdict(list)
        self._lock = threading.Lock()
        atexit.register(self.close)

    def run(self, start: list[str], command: bytes) -> CommandResult | None:
        """Run a command in a shell. Returns None if no shell can be started."""
        idle = self._idle[tuple(start)]
        while True:
            with self._lock:
                is_new = not idle
                shell = None if is_new else idle.pop()
            shell = shell or Shell(start)
            try:
                result = shell.run(command)
            except NotRunError:
                if is_new:
                    return None
                continue
            with self._lock:
                idle.append(shell)
            return result

    def close(self) -> None:
        """Close all idle shells."""
        for idle in self._idle.values():
            for shell in idle:
                shell.close()


SHELLS = Shells()


class ShellBackend(DockerBackend):
    """testinfra's Docker backend, with persistent shells."""

    def run(self, command: str, *args: str, **_kwargs: object):
        """Run a shell command and return testinfra's result."""
        text = self.encode(self.get_command(command, *args))
        user = ["--user", self.user] if self.user else []
        result = SHELLS.run(["docker", "exec", "--interactive", *user, self.name, "/bin/sh"], text)
        if result is None:
            # The container is not running or has no shell: docker reports it.
            return super().run(command, *args)
        return self.result(result.status, text, result.output, result.errors)
