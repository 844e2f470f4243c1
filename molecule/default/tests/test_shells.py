"""The way into the machines that all these tests use: a command there does what it would do alone."""

from concurrent.futures import ThreadPoolExecutor


def test_what_comes_back(client):
    """The exit status, and both outputs as they are."""
    result = client.run("printf 'one\\n\\377'; echo two >&2; exit 3")
    assert (result.rc, result.stdout_bytes, result.stderr_bytes) == (3, b"one\n\xff", b"two\n")


def test_nothing_is_shared(client):
    """A command has nothing to read, and leaves nothing to the next one."""
    assert client.check_output("cat; cd /tmp; left=1; umask 077") == ""
    assert client.check_output("pwd; echo $left; umask") == client.check_output("sh -c 'pwd; echo; umask'")


def test_many_at_once(client):
    """Each gets its own output."""
    with ThreadPoolExecutor(20) as pool:
        outputs = list(pool.map(lambda number: client.check_output("sleep 0.2; echo %s", str(number)), range(40)))
    assert outputs == [str(number) for number in range(40)]


def test_a_shell_that_ends(client):
    """The command that was cut off has failed, and the next one is run."""
    assert client.run("kill -9 $PPID; sleep 10").rc != 0
    assert client.run("true").rc == 0
