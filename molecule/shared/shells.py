"""Commands in containers by shells that go on running, since `docker exec` takes a tenth of a second for each."""

import atexit
import subprocess
import threading
from collections import defaultdict
from dataclasses import dataclass
from shlex import quote

from testinfra.backend.docker import DockerBackend

# The shell confirms that it has got a command, runs it as `docker exec` would (nothing to read, no shell of ours), and
# answers with its exit status and the sizes of both outputs, and with these.
SETUP = "d=$(mktemp -d -p /dev/shm) && trap 'rm -r $d' EXIT\n"
CALL = (
    "echo; /bin/sh -c {command} </dev/null >$d/out 2>$d/err; echo $? $(stat -c %s $d/out $d/err); cat $d/out $d/err\n"
)


class NotRunError(Exception):
    """The shell had ended before it got the command."""


@dataclass(frozen=True)
class Outcome:
    """What became of a command."""

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

    def run(self, command: bytes) -> Outcome:
        """Run a command. If the shell ends meanwhile, the status is its own. Raises NotRunError."""
        text = CALL.format(command=quote(command.decode("utf-8", "surrogateescape")))
        call, self._setup = self._setup + text, ""
        try:
            self._process.stdin.write(call.encode("utf-8", "surrogateescape"))
            self._process.stdin.flush()
        except BrokenPipeError:
            raise NotRunError from None
        if not self._process.stdout.readline():
            raise NotRunError
        answer = self._process.stdout.readline().split()
        if len(answer) != 3:
            return Outcome(self._process.wait(), b"", b"The shell of this test has ended.\n")
        status, output, errors = map(int, answer)
        return Outcome(status, self._process.stdout.read(output), self._process.stdout.read(errors))

    def close(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.stdout.close()


class Shells:
    """The idle shells of each machine and user, for any number of threads."""

    def __init__(self):
        self._idle: defaultdict[tuple[str, ...], list[Shell]] = defaultdict(list)
        self._lock = threading.Lock()
        atexit.register(self.close)

    def run(self, start: list[str], command: bytes) -> Outcome | None:
        """Run a command in a shell. Returns None if none can be started."""
        idle = self._idle[tuple(start)]
        while True:
            with self._lock:
                is_new = not idle
                shell = None if is_new else idle.pop()
            shell = shell or Shell(start)
            try:
                outcome = shell.run(command)
            except NotRunError:
                if is_new:
                    return None
                continue
            with self._lock:
                idle.append(shell)
            return outcome

    def close(self) -> None:
        """End all that are idle."""
        for idle in self._idle.values():
            for shell in idle:
                shell.close()


SHELLS = Shells()


class ShellBackend(DockerBackend):
    """testinfra's way into containers, by shells that go on running."""

    def run(self, command: str, *args: str, **_kwargs: object):
        """Run a shell command, and return testinfra's result."""
        text = self.encode(self.get_command(command, *args))
        user = ["--user", self.user] if self.user else []
        outcome = SHELLS.run(["docker", "exec", "--interactive", *user, self.name, "/bin/sh"], text)
        if outcome is None:
            # The container does not run, or has no shell: docker says so.
            return super().run(command, *args)
        return self.result(outcome.status, text, outcome.output, outcome.errors)
