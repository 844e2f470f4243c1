"""Services, their users and sandboxes, and Apache's modules."""

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


def test_apache_is_running_and_enabled(host):
    """Apache runs and starts with the host."""
    apache = host.service("apache2")
    assert apache.is_running
    assert apache.is_enabled


def test_apache_listens_on_configured_ports_only(host, settings):
    """Apache listens on the configured ports and not on Debian's default ones."""
    expected = {int(settings["pypi_http_port"])}
    if settings["pypi_tls"] != "none":
        expected.add(int(settings["pypi_https_port"]))
    listening = [line.split() for line in host.check_output("ss -Hltnp").splitlines() if '"apache2"' in line]
    assert {int(fields[3].rpartition(":")[2]) for fields in listening} == expected


UNITS = ["pypi-application", "pypi-application-proxy", "pypi-pages", "pypi-certificate", "pypi-metrics", "pypi-canary"]


def properties(host, unit: str, *names: str) -> dict[str, str]:
    """Return properties of a systemd unit."""
    return dict(
        line.split("=", 1)
        for line in host.check_output(f"systemctl show {unit} --property={','.join(names)}").splitlines()
    )


def test_application_runs_as_user_pypi(host):
    """A compromised pypiserver cannot read Apache's password file or private key."""
    application = properties(host, "pypi-application.service", "MainPID", "ActiveState", "UnitFileState")
    assert (application["ActiveState"], application["UnitFileState"]) == ("active", "enabled")
    users = host.check_output("ps -o user= --pid %s --ppid %s", application["MainPID"], application["MainPID"])
    assert set(users.split()) == {"pypi"}
    assert host.user("pypi").shell == "/usr/sbin/nologin"


def test_proxy_keeps_running(host, fetch):
    """The first request starts the proxy, and it stays: without a readiness message, systemd kills it after 90 s."""
    assert fetch("/-/health").status == 200
    assert properties(host, "pypi-application-proxy.service", "ActiveState") == {"ActiveState": "active"}


def test_application_has_no_network(host):
    """Only the proxy in its network namespace can connect to the application; it has no port on the host."""
    assert "127.0.0.1:8080" not in host.check_output("ss -Hltn")
    assert host.socket("unix:///run/pypi-application.sock").is_listening
    socket = host.file("/run/pypi-application.sock")
    assert (socket.user, socket.group, oct(socket.mode)) == ("root", "www-data", "0o660")


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_sandboxed(host, settings, unit):
    """Each unit has an exposure of at most 3.0 in systemd-analyze, and limits for memory and tasks."""
    is_off = {
        "pypi-certificate": settings["pypi_tls"] != "self_signed",
        "pypi-metrics": not settings["pypi_monitoring"],
        "pypi-canary": not settings["pypi_monitoring"],
    }
    if is_off.get(unit):
        assert not host.file(f"/etc/systemd/system/{unit}.service").exists
        return
    report = host.check_output(f"systemd-analyze security {unit}.service")
    exposure = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)[1])
    assert exposure <= 3.0, report
    limits = properties(host, f"{unit}.service", "MemoryMax", "TasksMax")
    assert all(limit.isdigit() for limit in limits.values()), limits


def test_certificate_timer_follows_pypi_tls(host, settings):
    """The timer exists only for self-signed certificates."""
    timer = host.service("pypi-certificate.timer")
    if settings["pypi_tls"] == "self_signed":
        assert timer.is_running
        assert timer.is_enabled
    else:
        assert not timer.exists
        assert not host.file("/usr/local/sbin/pypi-certificate").exists


@pytest.mark.parametrize("module", MODULES_ON)
def test_module_is_enabled(host, module):
    """The modules that the site needs are enabled."""
    assert host.run("a2query -q -m %s", module).rc == 0


@pytest.mark.parametrize("module", MODULES_OFF)
def test_module_is_disabled(host, module):
    """Modules that would bypass the access rules (listings, status pages, CGI, old directives) are disabled."""
    assert host.run("a2query -q -m %s", module).rc != 0


def test_tls_module_follows_pypi_tls(host, settings):
    """mod_ssl is enabled only with TLS."""
    assert (host.run("a2query -q -m ssl").rc == 0) is (settings["pypi_tls"] != "none")


def test_index_is_the_only_site(host):
    """Debian's default site is disabled."""
    assert re.findall(r"^(\S+) ", host.check_output("a2query -s"), re.MULTILINE) == ["pypi"]


def test_configuration_is_valid(host):
    """Apache accepts the configuration on disk, so the next start succeeds."""
    assert host.run("apache2ctl configtest").rc == 0
