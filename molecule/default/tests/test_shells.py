"""The persistent shells that tests use: each command runs as in a shell of its own."""

from concurrent.futures import ThreadPoolExecutor


def test_returns_status_and_output(client):
    """The result contains the exit status, stdout and stderr unchanged."""
    result = client.run("printf 'one\\n\\377'; echo two >&2; exit 3")
    assert (result.rc, result.stdout_bytes, result.stderr_bytes) == (3, b"one\n\xff", b"two\n")


def test_commands_are_isolated(client):
    """A command has no stdin and does not affect the next one."""
    assert client.check_output("cat; cd /tmp; left=1; umask 077") == ""
    assert client.check_output("pwd; echo $left; umask") == client.check_output("sh -c 'pwd; echo; umask'")


def test_concurrent_commands_have_separate_output(client):
    """Each command returns its own output."""
    with ThreadPoolExecutor(20) as pool:
        outputs = list(pool.map(lambda number: client.check_output("sleep 0.2; echo %s", str(number)), range(40)))
    assert outputs == [str(number) for number in range(40)]


def test_recovers_from_killed_shell(client):
    """The interrupted command fails, and the next one succeeds."""
    assert client.run("kill -9 $PPID; sleep 10").rc != 0
    assert client.run("true").rc == 0
