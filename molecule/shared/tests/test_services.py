"""What runs on the server, as whom, and since when."""

import re

import pytest

MODULES_ON = [
    "asis", "auth_basic", "authz_groupfile", "headers", "http2", "mpm_event", "proxy_http", "remoteip", "reqtimeout",
    "unique_id", "wsgi",
]  # fmt: skip
MODULES_OFF = [
    "access_compat", "autoindex", "cgi", "cgid", "dav", "dav_fs", "deflate", "include", "info", "mpm_prefork",
    "mpm_worker",
    "negotiation", "php8.2", "status", "userdir",
]  # fmt: skip


def test_apache_runs(host):
    """Now, and when the host starts again."""
    apache = host.service("apache2")
    assert apache.is_running
    assert apache.is_enabled


def test_ports(host, settings):
    """Apache listens where the settings say and nowhere else: Debian's own ports would be more doors."""
    expected = {int(settings["pypi_http_port"])}
    if settings["pypi_tls"] != "none":
        expected.add(int(settings["pypi_https_port"]))
    listening = [line.split() for line in host.check_output("ss -Hltnp").splitlines() if '"apache2"' in line]
    assert {int(fields[3].rpartition(":")[2]) for fields in listening} == expected


UNITS = ["pypi-application", "pypi-application-proxy", "pypi-pages", "pypi-certificate"]


def properties(host, unit: str, *names: str) -> dict[str, str]:
    """What systemd says of a unit."""
    return dict(
        line.split("=", 1)
        for line in host.check_output(f"systemctl show {unit} --property={','.join(names)}").splitlines()
    )


def test_application_runs_as_its_own_user(host):
    """A takeover of pypiserver must not open Apache's passwords or key."""
    application = properties(host, "pypi-application.service", "MainPID", "ActiveState", "UnitFileState")
    assert (application["ActiveState"], application["UnitFileState"]) == ("active", "enabled")
    users = host.check_output("ps -o user= --pid %s --ppid %s", application["MainPID"], application["MainPID"])
    assert set(users.split()) == {"pypi"}
    assert host.user("pypi").shell == "/usr/sbin/nologin"


def test_proxy_has_started(host, ask):
    """The first request starts it, and it stays: one that systemd waits for in vain is ended after 90 seconds."""
    assert ask("/-/health").status == 200
    assert properties(host, "pypi-application-proxy.service", "ActiveState") == {"ActiveState": "active"}


def test_application_has_no_network(host):
    """Only the proxy in its network namespace reaches it, and it reaches nothing: no port of the host is its."""
    assert "127.0.0.1:8080" not in host.check_output("ss -Hltn")
    assert host.socket("unix:///run/pypi-application.sock").is_listening
    socket = host.file("/run/pypi-application.sock")
    assert (socket.user, socket.group, oct(socket.mode)) == ("root", "www-data", "0o660")


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_sandboxed(host, settings, unit):
    """Each unit has an exposure of at most 3.0 by systemd's own measure, and bounded memory and tasks."""
    if unit == "pypi-certificate" and settings["pypi_tls"] != "self_signed":
        assert not host.file(f"/etc/systemd/system/{unit}.service").exists
        return
    report = host.check_output(f"systemd-analyze security {unit}.service")
    exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)[1])
    assert exposure <= 3.0, report
    limits = properties(host, f"{unit}.service", "MemoryMax", "TasksMax")
    assert all(limit.isdigit() for limit in limits.values()), limits


def test_certificate_timer(host, settings):
    """A self-signed certificate is renewed by the server itself; any other one is none of its business."""
    timer = host.service("pypi-certificate.timer")
    if settings["pypi_tls"] == "self_signed":
        assert timer.is_running
        assert timer.is_enabled
    else:
        assert not timer.exists
        assert not host.file("/usr/local/sbin/pypi-certificate").exists


@pytest.mark.parametrize("module", MODULES_ON)
def test_module_is_on(host, module):
    """What the site is built on."""
    assert host.run("a2query -q -m %s", module).rc == 0


@pytest.mark.parametrize("module", MODULES_OFF)
def test_module_is_off(host, module):
    """Listings, status pages, old access rules, programs run from files: each would be a way around the rules."""
    assert host.run("a2query -q -m %s", module).rc != 0


def test_encryption_module(host, settings):
    """With TLS there is mod_ssl, without it nothing of OpenSSL's runs in Apache."""
    assert (host.run("a2query -q -m ssl").rc == 0) is (settings["pypi_tls"] != "none")


def test_sites(host):
    """Debian's welcome page is gone, and the index is the one site."""
    assert re.findall(r"^(\S+) ", host.check_output("a2query -s"), re.MULTILINE) == ["pypi"]


def test_configuration_is_valid(host):
    """The next start must not be the moment in which this turns out."""
    assert host.run("apache2ctl configtest").rc == 0
