"""The command `wheelhouse`, run by root: the unprivileged user gains nothing, and all output is relayed."""

import errno
import fcntl
import json
import os
import pty
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT, ansible_templates

TIMEOUT = 30
IS_ROOT = os.geteuid() == 0
# Root changes to another user; other users are tested as themselves.
USER = "nobody" if IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name

# A fake of the release's Python that runs its last argument.
FAKE = "#!/usr/bin/python3 -I\nimport sys\nsys.stdout.reconfigure(line_buffering=True)\nexec(sys.argv[-1])\n"
REPORT = """
import json, os, sys
def shown(number):
    try:
        return os.readlink(f"/proc/self/fd/{number}").partition(":")[0]
    except OSError:
        return None
print(json.dumps({
    "arguments": sys.argv[1:-1], "environment": dict(os.environ), "directory": os.getcwd(), "user": os.geteuid(),
    "ids": [os.getresuid(), os.getresgid()], "groups": os.getgroups(), "session": os.getsid(0) == os.getpid(),
    "umask": os.umask(0), "input": sys.stdin.read(), "terminals": [os.isatty(number) for number in range(3)],
    "descriptors": [shown(number) for number in range(20)],
}))
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """Create a directory that every user can access, unlike those of pytest."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def wrapper(home: Path) -> Path:
    """Install the command with a user of this machine."""
    return install(home, USER)


def install(home: Path, user: str) -> Path:
    """Write the command and a fake Python that it runs."""
    program = home / "opt/current/bin/python"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(FAKE)
    program.chmod(0o755)
    text = ansible_templates.render(
        "templates/opt/pypi/release/bin/wheelhouse.j2",
        pypi_program_dir=str(home / "opt"),
        __pypiserver_found={"build": "current"},
    )
    assert text.startswith("#!/usr/bin/python3 -I\n")
    assert text.count('USER = "pypi"') == 1
    wrapper = home / "wheelhouse"
    wrapper.write_text(text.replace('USER = "pypi"', f'USER = "{user}"'))
    wrapper.chmod(0o755)
    return wrapper


def command(wrapper: Path, program: str) -> list[str]:
    """Return a call of the command that runs a Python program."""
    return [sys.executable, "-I", str(wrapper), program]


def relayed(wrapper: Path, program: str) -> list[str]:
    """Return a call that relays output, even if the caller is not root: as the same user."""
    if IS_ROOT:
        return command(wrapper, program)
    code = f"import runpy, sys; wrapper = runpy.run_path({str(wrapper)!r}); "
    code += f"sys.exit(wrapper['relay']([wrapper['PROGRAM'], {program!r}], {{'LANG': 'C.UTF-8'}}, {{}}))"
    return [sys.executable, "-I", "-c", code]


def run(words: list[str], **options: object) -> subprocess.CompletedProcess:
    """Run a program and wait for its end."""
    return subprocess.run(words, check=False, timeout=TIMEOUT, **{"capture_output": True, "text": True, **options})


@pytest.mark.parametrize("sudo_user", ["alice", None])
def test_program_environment(wrapper: Path, home: Path, sudo_user: str | None) -> None:
    """The program gets the arguments and the caller's name, but no variables, directory or groups of the caller."""
    (home / "json.py").write_text("raise SystemExit('imported from the working directory')")
    environment = {"WHEELHOUSE_USER": "mallory", "PYTHONPATH": str(home), "PYTHONSTARTUP": "x", "PATH": str(home)}
    environment |= {"SUDO_USER": sudo_user} if sudo_user else {}
    before = os.umask(0o077)
    try:
        done = run(command(wrapper, REPORT), cwd=home, env=environment, input="typed by root")
    finally:
        os.umask(before)
    assert done.stderr == ""
    report = json.loads(done.stdout)
    caller_name = sudo_user or pwd.getpwuid(os.geteuid()).pw_name
    expected = {"LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin", "WHEELHOUSE_USER": caller_name}
    assert {name: report["environment"].get(name) for name in expected} == expected
    assert set(report["environment"]) <= {*expected, "LC_CTYPE"}
    assert report["arguments"] == ["-I", "-m", "wheelhouse", "--settings", "/etc/pypi/settings.json"]
    assert (report["directory"], report["umask"]) == ("/", 0o027)
    account = pwd.getpwnam(USER)
    assert report["ids"] == [[account.pw_uid] * 3, [account.pw_gid] * 3]
    if IS_ROOT:
        assert report["groups"] == []
        assert report["session"]
        assert report["input"] == ""
        assert report["descriptors"][:3] == ["/dev/null", "pipe", "pipe"]


def test_program_has_no_terminal(wrapper: Path) -> None:
    """The program gets no descriptor of root's terminal and cannot inject input (TIOCSTI)."""
    program = """
import fcntl, os, termios
print([os.isatty(number) for number in range(20)])
try:
    os.open("/dev/tty", os.O_RDWR)
except OSError as error:
    print(error.errno)
for number in range(3):
    try:
        fcntl.ioctl(number, termios.TIOCSTI, b"x")
    except OSError as error:
        print(error.errno)
"""
    shown, status = run_in_terminal(relayed(wrapper, program))
    assert status == 0
    terminals, *errors = shown.splitlines()
    assert terminals == str([False] * 20)
    assert [int(error) for error in errors] == [errno.ENXIO, *[errno.ENOTTY] * 3]


def run_in_terminal(words: list[str]) -> tuple[str, int]:
    """Run a program in a new terminal. Return its output and exit status."""
    main, end = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        words, stdin=end, stdout=end, stderr=end, start_new_session=True, preexec_fn=take_terminal
    )
    os.close(end)
    shown = b""
    while select.select([main], [], [], TIMEOUT)[0]:
        try:
            shown += os.read(main, 4096)
        except OSError:  # closed by all processes
            break
    os.close(main)
    return shown.decode().replace("\r\n", "\n"), process.wait(TIMEOUT)


def test_terminal_output_keeps_order(wrapper: Path) -> None:
    """Standard output and standard error appear in the order in which they were written."""
    program = "import os\nfor number in range(200): os.write(1 + number % 2, b'%d\\n' % number)"
    shown, _ = run_in_terminal(relayed(wrapper, program))
    assert shown.split() == [str(number) for number in range(200)]


def test_output_and_errors_are_separate(wrapper: Path) -> None:
    """Both are relayed unchanged; the order is kept if both are one file."""
    program = "import os\nos.write(1, bytes(range(256)))\nos.write(2, b'bad\\n')"
    done = run(relayed(wrapper, program), text=False)
    assert (done.stdout, done.stderr, done.returncode) == (bytes(range(256)), b"bad\n", 0)
    program = "import os\nfor number in range(200): os.write(1 + number % 2, b'%d\\n' % number)"
    done = run(relayed(wrapper, program), capture_output=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.stdout.split() == [str(number) for number in range(200)]


def test_large_output(wrapper: Path) -> None:
    """More output than a pipe can buffer is relayed, on both at once."""
    program = "import sys\nfor _ in range(200): sys.stdout.write('o' * 50_000); sys.stderr.write('e' * 50_000)"
    done = run(relayed(wrapper, program))
    assert (done.stdout, done.stderr) == ("o" * 10_000_000, "e" * 10_000_000)


@pytest.mark.parametrize("status", [0, 1, 2, 77])
def test_returns_exit_status(wrapper: Path, status: int) -> None:
    """The exit status of the program is returned."""
    assert run(relayed(wrapper, f"raise SystemExit({status})")).returncode == status


@pytest.fixture
def _signals_are_not_ignored() -> Iterator[None]:
    """Reset signals that are ignored (nohup, a background job), which child processes would inherit."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals_are_not_ignored")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_forwards_signals(wrapper: Path, number: signal.Signals) -> None:
    """Signals end the program, although it has a session of its own, and are the cause of the wrapper's end."""
    program = "import signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\nprint('begun')\nsignal.pause()"
    process = subprocess.Popen(relayed(wrapper, program), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    assert process.wait(TIMEOUT) == -number
    assert process.stdout.read() == ""


def test_program_handles_signal(wrapper: Path) -> None:
    """A signal is forwarded, and the program's exit status is returned."""
    program = "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(5))\nprint('begun')\nsignal.pause()"
    process = subprocess.Popen(relayed(wrapper, program), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.terminate()
    assert process.wait(TIMEOUT) == 5
    process.stdout.close()


def test_closed_output_reaches_program(wrapper: Path) -> None:
    """The program gets EPIPE as it would without the wrapper, as with `| head`."""
    program = "import os, sys\ntry:\n    while True: os.write(1, b'line\\n' * 1000)\n"
    program += "except BrokenPipeError:\n    sys.stderr.write('closed'); sys.exit(9)"
    process = subprocess.Popen(relayed(wrapper, program), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    assert process.stderr.read() == b"closed"
    assert process.wait(TIMEOUT) == 9
    process.stderr.close()


def test_does_not_wait_for_background_process(wrapper: Path, home: Path) -> None:
    """A background process keeps the pipes open, but the wrapper does not wait for it."""
    fifo = home / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    program = f"import os\nprint('x' * 50_000)\nif os.fork() == 0: open({str(fifo)!r}).read()"
    done = run(relayed(wrapper, program))
    assert (done.returncode, done.stdout) == (0, "x" * 50_000 + "\n")
    os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))  # it is still running, and ends now


def test_works_with_closed_descriptors(wrapper: Path) -> None:
    """A service may run it without any input or output."""
    done = run(["sh", "-c", 'exec "$@" <&- >&-', "sh", *relayed(wrapper, "print('x'); raise SystemExit(3)")])
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_rejects_other_users(home: Path) -> None:
    """Other users get a message with the correct call."""
    wrapper = install(home, "daemon")
    done = run(["/usr/bin/python3", "-I", str(wrapper), "check"], **({"user": "nobody"} if IS_ROOT else {}))
    caller = "nobody" if IS_ROOT else USER
    expected = f"wheelhouse: nothing was done: this command must be run by root or daemon, not by {caller}. Use sudo\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_reports_missing_release(wrapper: Path, home: Path) -> None:
    """One line contains the missing path."""
    (home / "opt/current/bin/python").unlink()
    done = run(command(wrapper, "pass"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"{home}/opt/current/bin/python cannot be run as {USER}" in done.stderr


def test_isolated_python_finds_application(home: Path, tmp_path: Path) -> None:
    """Isolated, Python finds the application by wheelhouse.pth and ignores the working directory."""
    release = home / "opt/abc"
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", release], check=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}.0"
    text = ansible_templates.read_yaml("roles/pypiserver/vars/main.yml")["__pypiserver_site_packages"]
    site_packages = Path(
        ansible_templates.evaluate(text, pypi_shared_python_version=version, __pypiserver_release_dir=str(release))
    )
    assert site_packages.is_dir()
    shutil.copy(ROOT / "roles/pypiserver/files/wheelhouse.pth", site_packages)
    application = release / "application/wheelhouse"
    application.mkdir(parents=True)
    (application / "__init__.py").touch()
    (application / "__main__.py").write_text("import wheelhouse; print(wheelhouse.__file__)")
    (tmp_path / "wheelhouse..py").write_text("print('the wrong one')")
    (home / "opt/current").symlink_to("abc")
    python = home / "opt/current/bin/python"
    done = run([python, "-I", "-m", "wheelhouse"], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert Path(done.stdout.strip()).resolve() == application / "__init__.py"


def test_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    """`wheelhouse ... | head` ends without a traceback, with the status of SIGPIPE."""
    program = "import sys, wheelhouse.__main__ as m\nm.main = lambda: print('line\\n' * 100_000)\nsys.exit(m.run())"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path
    )
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(TIMEOUT) == 128 + signal.SIGPIPE
    process.stderr.close()
