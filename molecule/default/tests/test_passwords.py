"""The password cache: changed and removed passwords are rejected at once."""

import time

import bcrypt
import pytest


def hashed(password: str) -> str:
    """Return the bcrypt hash of a password in htpasswd's format."""
    return "$2y$" + bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()[4:]


@pytest.fixture
def carol(host, settings):
    """Set the user's password or remove the user (None), by replacing the file as a run of the kit does."""
    file = f"{settings['pypi_config_dir']}/htpasswd"

    def carol(password: str | None) -> None:
        line = f"carol:{hashed(password)}" if password else ""
        host.check_output(
            "cp -p %s /root/htpasswd && sed -i '/^carol:/d' /root/htpasswd && echo %s >> /root/htpasswd"
            " && mv /root/htpasswd %s",
            file,
            line,
            file,
        )

    yield carol
    carol(None)
    host.check_output("sed -i '/^$/d' %s", file)


def test_changed_password_invalidates_cache(fetch, carol):
    """All processes reject the old password with the next request."""
    carol("first")
    assert {fetch("/simple/", user=("carol", "first")).status for _ in range(20)} == {200}
    carol("second")
    assert {fetch("/simple/", user=("carol", "first")).status for _ in range(20)} == {401}
    assert fetch("/simple/", user=("carol", "second")).status == 200
    carol(None)
    assert {fetch("/simple/", user=("carol", "second")).status for _ in range(20)} == {401}


def test_logs_failed_logins(fetch, host, settings):
    """The error log contains the user name and the client address, as fail2ban needs, but no password."""
    name = f"unknown{time.time_ns()}"
    assert fetch("/simple/", user=(name, "guess")).status == 401
    assert fetch("/simple/", user=("alice", "guess")).status == 401
    log = host.check_output(f"tail -n 20 {settings['pypi_log_dir']}/error.log")
    found = [line for line in log.splitlines() if name in line]
    assert len(found) == 1
    assert "[client " in found[0] or "[remote " in found[0]
    assert "guess" not in log


FLOOD = """
for i in $(seq 200); do
    printf 'url = %s\\nuser = alice:wrong%s\\noutput = /dev/null\\n' "$1" "$i"
done >/root/flood
timeout 20 curl --silent --max-time 20 --parallel --parallel-max 40 --config /root/flood &
sleep 1
for i in 1 2 3 4 5 6 7 8 9 10; do
    curl --silent --output /dev/null --max-time 5 --user "$2" --write-out '%{http_code} ' "$1"
done
kill %1
"""


def test_wrong_passwords_do_not_block_other_users(client, fetch, settings, password_of, server, put):
    """Many concurrent wrong passwords do not delay users whose passwords are cached."""
    assert fetch("/simple/", user="verify").status == 200
    script = put(client, "/root/flood.sh", FLOOD.encode())
    url, login = f"{settings['pypi_url']}simple/", f"verify:{password_of(server, 'verify')}"
    assert client.run("bash %s %s %s", script, url, login).stdout.split() == ["200"] * 10
