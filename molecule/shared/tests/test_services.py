"""What runs on the server, as whom, and since when."""

import re
from pathlib import Path

import pytest
from shared.snapshot import APPLICATION

MODULES_ON = ["auth_basic", "authz_groupfile", "headers", "http2", "mpm_event", "remoteip", "reqtimeout", "wsgi"]
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


def test_the_application_runs_as_its_own_user(host, settings):
    """A hole in pypiserver must not open Apache's passwords or key: mod_wsgi's processes are the user pypi's."""
    processes = host.check_output(APPLICATION).split()
    assert len(processes) == int(settings["pypi_processes"])
    assert {host.file(str(Path(process).parent)).user for process in processes} == {"pypi"}
    shell = host.user("pypi").shell
    assert shell == "/usr/sbin/nologin"


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
