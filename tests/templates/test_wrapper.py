"""The command `wheelhouse` as root calls it: the user whom it becomes gains nothing, and the caller sees all."""

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

PATIENCE = 30
IS_ROOT = os.geteuid() == 0
# Root becomes another user; anybody else is that user already.
USER = "nobody" if IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name

# What stands for the release's Python: it runs its last argument.
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
    """A directory that every user may pass through: pytest's own are for one user."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def wrapper(home: Path) -> Path:
    """The command, of a host on which the user is one of this machine."""
    return installed(home, USER)


def installed(home: Path, user: str) -> Path:
    """Write the command, and what it runs."""
    program = home / "opt/current/bin/python"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(FAKE)
    program.chmod(0o755)
    text = ansible_templates.render("templates/usr/local/bin/wheelhouse.j2", pypi_program_dir=str(home / "opt"))
    assert text.startswith("#!/usr/bin/python3 -I\n")
    assert text.count('USER = "pypi"') == 1
    wrapper = home / "wheelhouse"
    wrapper.write_text(text.replace('USER = "pypi"', f'USER = "{user}"'))
    wrapper.chmod(0o755)
    return wrapper


def command(wrapper: Path, program: str) -> list[str]:
    """Return the call of the command that runs a piece of Python."""
    return [sys.executable, "-I", str(wrapper), program]


def relayed(wrapper: Path, program: str) -> list[str]:
    """Return a call that passes output on, also where the caller is no root: as the same user."""
    if IS_ROOT:
        return command(wrapper, program)
    code = f"import runpy, sys; wrapper = runpy.run_path({str(wrapper)!r}); "
    code += f"sys.exit(wrapper['relay']([wrapper['PROGRAM'], {program!r}], {{'LANG': 'C.UTF-8'}}, {{}}))"
    return [sys.executable, "-I", "-c", code]


def run(words: list[str], **how: object) -> subprocess.CompletedProcess:
    """Run a program, and wait for its end."""
    return subprocess.run(words, check=False, timeout=PATIENCE, **{"capture_output": True, "text": True, **how})


@pytest.mark.parametrize("sudo_user", ["alice", None])
def test_what_the_program_gets(wrapper: Path, home: Path, sudo_user: str | None) -> None:
    """The words of the call and who called, and otherwise nothing of the caller's: no variables, directory, groups."""
    (home / "json.py").write_text("raise SystemExit('imported from the working directory')")
    environment = {"WHEELHOUSE_USER": "mallory", "PYTHONPATH": str(home), "PYTHONSTARTUP": "x", "PATH": str(home)}
    environment |= {"SUDO_USER": sudo_user} if sudo_user else {}
    before = os.umask(0o077)
    try:
        done = run(command(wrapper, REPORT), cwd=home, env=environment, input="typed by root")
    finally:
        os.umask(before)
    assert done.stderr == ""
    seen = json.loads(done.stdout)
    called_by = sudo_user or pwd.getpwuid(os.geteuid()).pw_name
    expected = {"LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin", "WHEELHOUSE_USER": called_by}
    assert {name: seen["environment"].get(name) for name in expected} == expected
    assert set(seen["environment"]) <= {*expected, "LC_CTYPE"}
    assert seen["arguments"] == ["-I", "-m", "wheelhouse", "--settings", "/etc/pypi/settings.json"]
    assert (seen["directory"], seen["umask"]) == ("/", 0o027)
    account = pwd.getpwnam(USER)
    assert seen["ids"] == [[account.pw_uid] * 3, [account.pw_gid] * 3]
    if IS_ROOT:
        assert seen["groups"] == []
        assert seen["session"]
        assert seen["input"] == ""
        assert seen["descriptors"][:3] == ["/dev/null", "pipe", "pipe"]


def test_no_terminal(wrapper: Path) -> None:
    """Root types at a terminal: no descriptor of it gets to the program, which cannot put words into it, either."""
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
    shown, status = at_a_terminal(relayed(wrapper, program))
    assert status == 0
    terminals, *errors = shown.splitlines()
    assert terminals == str([False] * 20)
    assert [int(error) for error in errors] == [errno.ENXIO, *[errno.ENOTTY] * 3]


def at_a_terminal(words: list[str]) -> tuple[str, int]:
    """Run a program at a terminal of its own. Return what is shown there, and its exit status."""
    main, end = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        words, stdin=end, stdout=end, stderr=end, start_new_session=True, preexec_fn=take_terminal
    )
    os.close(end)
    shown = b""
    while select.select([main], [], [], PATIENCE)[0]:
        try:
            shown += os.read(main, 4096)
        except OSError:  # nobody has it open any more
            break
    os.close(main)
    return shown.decode().replace("\r\n", "\n"), process.wait(PATIENCE)


def test_order_at_a_terminal(wrapper: Path) -> None:
    """What is printed and what is complained about come as they were written."""
    program = "import os\nfor number in range(200): os.write(1 + number % 2, b'%d\\n' % number)"
    shown, _ = at_a_terminal(relayed(wrapper, program))
    assert shown.split() == [str(number) for number in range(200)]


def test_outputs_are_two(wrapper: Path) -> None:
    """Results and complaints can be told apart; bytes stay as they are; order is kept where both are one."""
    program = "import os\nos.write(1, bytes(range(256)))\nos.write(2, b'bad\\n')"
    done = run(relayed(wrapper, program), text=False)
    assert (done.stdout, done.stderr, done.returncode) == (bytes(range(256)), b"bad\n", 0)
    program = "import os\nfor number in range(200): os.write(1 + number % 2, b'%d\\n' % number)"
    done = run(relayed(wrapper, program), capture_output=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.stdout.split() == [str(number) for number in range(200)]


def test_large_output(wrapper: Path) -> None:
    """More than any pipe holds, on both at once."""
    program = "import sys\nfor _ in range(200): sys.stdout.write('o' * 50_000); sys.stderr.write('e' * 50_000)"
    done = run(relayed(wrapper, program))
    assert (done.stdout, done.stderr) == ("o" * 10_000_000, "e" * 10_000_000)


@pytest.mark.parametrize("status", [0, 1, 2, 77])
def test_exit_status(wrapper: Path, status: int) -> None:
    """Timers and people go by it."""
    assert run(relayed(wrapper, f"raise SystemExit({status})")).returncode == status


@pytest.fixture
def _signals_are_not_ignored() -> Iterator[None]:
    """The tests may be started with some ignored (nohup, a background job), which their processes would inherit."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals_are_not_ignored")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals(wrapper: Path, number: signal.Signals) -> None:
    """Whoever ends the command ends the program, though it is in a session of its own; and sees what ended it."""
    program = "import signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\nprint('begun')\nsignal.pause()"
    process = subprocess.Popen(relayed(wrapper, program), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.send_signal(number)
    assert process.wait(PATIENCE) == -number
    assert process.stdout.read() == ""


def test_a_program_that_ends_in_its_own_way(wrapper: Path) -> None:
    """A signal is passed on, and what the program makes of it counts."""
    program = "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(5))\nprint('begun')\nsignal.pause()"
    process = subprocess.Popen(relayed(wrapper, program), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.terminate()
    assert process.wait(PATIENCE) == 5
    process.stdout.close()


def test_nobody_reads_on(wrapper: Path) -> None:
    """As with `| head`: the program learns it as it would without the wrapper."""
    program = "import os, sys\ntry:\n    while True: os.write(1, b'line\\n' * 1000)\n"
    program += "except BrokenPipeError:\n    sys.stderr.write('closed'); sys.exit(9)"
    process = subprocess.Popen(relayed(wrapper, program), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    assert process.stderr.read() == b"closed"
    assert process.wait(PATIENCE) == 9
    process.stderr.close()


def test_a_process_that_is_left_over(wrapper: Path, home: Path) -> None:
    """It keeps the pipes open, and keeps nobody waiting; what the program itself had written is there."""
    fifo = home / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    program = f"import os\nprint('x' * 50_000)\nif os.fork() == 0: open({str(fifo)!r}).read()"
    done = run(relayed(wrapper, program))
    assert (done.returncode, done.stdout) == (0, "x" * 50_000 + "\n")
    os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))  # it is still there, and ends now


def test_closed_descriptors(wrapper: Path) -> None:
    """A service may call it without any input or output."""
    done = run(["sh", "-c", 'exec "$@" <&- >&-', "sh", *relayed(wrapper, "print('x'); raise SystemExit(3)")])
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_another_user(home: Path) -> None:
    """Anybody else is told how to call it."""
    wrapper = installed(home, "daemon")
    done = run(["/usr/bin/python3", "-I", str(wrapper), "check"], **({"user": "nobody"} if IS_ROOT else {}))
    caller = "nobody" if IS_ROOT else USER
    expected = f"wheelhouse: nothing was done: this command must be run by root or daemon, not by {caller}. Use sudo\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_no_release(wrapper: Path, home: Path) -> None:
    """One line says what is missing."""
    (home / "opt/current/bin/python").unlink()
    done = run(command(wrapper, "pass"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"{home}/opt/current/bin/python cannot be run as {USER}" in done.stderr


def test_the_real_program(home: Path, tmp_path: Path) -> None:
    """Isolated, Python finds the application by the release's wheelhouse.pth, and nothing by where it is called."""
    release = home / "opt/abc"
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", release], check=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}.0"
    facts = {"python_version": version}
    text = ansible_templates.read_yaml("roles/pypiserver/vars/main.yml")["__pypiserver_site_packages"]
    site_packages = Path(ansible_templates.evaluate(text, ansible_facts=facts, __pypiserver_release_dir=str(release)))
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


def test_the_end_of_a_pipe(tmp_path: Path) -> None:
    """`wheelhouse ... | head` ends quietly, with the status of a program that SIGPIPE has ended."""
    program = "import sys, wheelhouse.__main__ as m\nm.main = lambda: print('line\\n' * 100_000)\nsys.exit(m.run())"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path
    )
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(PATIENCE) == 128 + signal.SIGPIPE
    process.stderr.close()
