"""The content of the logs, and their rotation."""

import uuid

import pytest


@pytest.fixture(scope="module")
def attempts(fetch, server, password_of):
    """Make a marked request of each kind: correct password, wrong password, no password.

    Use uploads, since these need a login whatever the settings say about reading.
    """
    mark, user = uuid.uuid4().hex, "verify"
    wrong = "Wrong" + mark
    empty = ["--form", ":action=file_upload"]
    # The application responds, whether or not this user has any right.
    assert fetch(f"/?right={mark}", *empty, user=user).status in (400, 403)
    assert fetch(f"/?wrong={mark}", *empty, user=(user, wrong)).status == 401
    fetch(f"/-/health?anonymous={mark}")
    return {"mark": mark, "user": user, "passwords": [password_of(server, user), wrong]}


def line(host, settings, text: str) -> str:
    """Return the only line of the access log that contains a text."""
    return host.check_output("grep -F %s %s/access.log", text, settings["pypi_log_dir"])


def test_access_log_has_user_and_address(host, settings, attempts):
    """A line contains the client's address and the authenticated user."""
    address, _, user, *_ = line(host, settings, f"right={attempts['mark']}").split()
    assert user == attempts["user"]
    assert address not in ("-", "127.0.0.1")


def test_access_log_has_no_user_without_login(host, settings, attempts):
    """The user field is "-" without a login."""
    assert line(host, settings, f"anonymous={attempts['mark']}").split()[2] == "-"


def test_logs_contain_no_passwords(host, settings, attempts, put):
    """No log contains a password, neither a correct nor a wrong one."""
    # Written to a file, since sudo logs commands.
    patterns = put(host, "/root/patterns", "\n".join([*attempts["passwords"], attempts["mark"]]).encode())
    directories = f"/var/log {settings['pypi_log_dir']} {settings['pypi_data_dir']}"
    found = host.check_output(
        f"grep -rhoFf {patterns} {directories}; journalctl --no-pager | grep -oFf {patterns}; true"
    )
    assert set(found.split()) == {attempts["mark"]}


def test_rotates_access_log(host, settings):
    """The configuration of logrotate is valid, and Apache writes to a new log afterwards."""
    access = f"{settings['pypi_log_dir']}/access.log"
    assert access in host.run("logrotate --debug /etc/logrotate.d/pypi").stderr
    host.check_output("logrotate --force /etc/logrotate.d/pypi")
    assert host.file(access).mode == 0o640
    assert host.file(f"{access}.1").exists


def test_rotates_audit_log(host, settings):
    """The hash chain continues across files, and user pypi can write to the new log."""
    log = f"{settings['pypi_log_dir']}/audit/audit.log"
    assert log in host.run("logrotate --debug /etc/logrotate.d/pypi").stderr
    host.check_output("logrotate --force /etc/logrotate.d/pypi")
    host.check_output("wheelhouse audit verify")
    file = host.file(log)
    assert (file.user, file.group, oct(file.mode)) == ("pypi", "adm", "0o640")
