"""What the logs say, and what they must never say."""

import uuid

import pytest


@pytest.fixture(scope="module")
def attempts(ask, server, password_of):
    """A marked request of each kind: with the right password, with a wrong one, with none.

    Uploads, since these need a login whatever the settings say about reading.
    """
    mark, user = uuid.uuid4().hex, "verify"
    wrong = "Wrong" + mark
    empty = ["--form", ":action=file_upload"]
    # The application answers it, whether or not this user has any right.
    assert ask(f"/?right={mark}", *empty, user=user).status in (400, 403)
    assert ask(f"/?wrong={mark}", *empty, user=(user, wrong)).status == 401
    ask(f"/-/health?nobody={mark}")
    return {"mark": mark, "user": user, "passwords": [password_of(server, user), wrong]}


def line(host, settings, text: str) -> str:
    """The one line of the access log with a text."""
    return host.check_output("grep -F %s %s/access.log", text, settings["pypi_log_dir"])


def test_user_name(host, settings, attempts):
    """Who did it: the first question after an incident. The client's address is in front of it."""
    address, _, user, *_ = line(host, settings, f"right={attempts['mark']}").split()
    assert user == attempts["user"]
    assert address not in ("-", "127.0.0.1")


def test_nobody_is_named_nobody(host, settings, attempts):
    """Where nobody signed in, the log does not make one up."""
    assert line(host, settings, f"nobody={attempts['mark']}").split()[2] == "-"


def test_no_password(host, settings, attempts, put):
    """Logs are read, copied and kept by many: no password gets there, neither right nor mistyped."""
    # By way of a file, since sudo logs commands.
    patterns = put(host, "/root/patterns", "\n".join([*attempts["passwords"], attempts["mark"]]).encode())
    places = f"/var/log {settings['pypi_log_dir']} {settings['pypi_data_dir']}"
    found = host.check_output(f"grep -rhoFf {patterns} {places}; journalctl --no-pager | grep -oFf {patterns}; true")
    assert set(found.split()) == {attempts["mark"]}


def test_rotation(host, settings):
    """logrotate takes the rules, and Apache has logs to write after it."""
    access = f"{settings['pypi_log_dir']}/access.log"
    assert access in host.run("logrotate --debug /etc/logrotate.d/pypi").stderr
    host.check_output("logrotate --force /etc/logrotate.d/pypi")
    assert host.file(access).mode == 0o640
    assert host.file(f"{access}.1").exists


def test_rotation_of_the_audit_log(host, settings):
    """The chain goes on from file to file, and user pypi has a log to write after it."""
    log = f"{settings['pypi_log_dir']}/audit/audit.log"
    assert log in host.run("logrotate --debug /etc/logrotate.d/pypi").stderr
    host.check_output("logrotate --force /etc/logrotate.d/pypi")
    host.check_output("wheelhouse audit verify")
    file = host.file(log)
    assert (file.user, file.group, oct(file.mode)) == ("pypi", "adm", "0o640")
