"""Other sites of the same Apache are not affected."""

import pytest

OTHER = "<VirtualHost *:8081>\n    ServerName other.test\n    Redirect 204 /\n</VirtualHost>\n"
GET_STATUS = "python3 -c \"import urllib.request as r; print(r.urlopen('http://127.0.0.1:8081/').status)\""


@pytest.fixture
def other_site(deployed, servers, put):
    """Add another site whose port is configured in ports.conf."""
    assert deployed[1].code == 0
    for host in servers.values():
        put(host, "/etc/apache2/sites-available/other.conf", OTHER.encode())
        host.check_output("echo 'Listen 8081' >>/etc/apache2/ports.conf")
        host.check_output("a2ensite --quiet other && systemctl reload apache2")
    yield
    for host in servers.values():
        host.check_output("a2dissite --quiet other && sed -i /8081/d /etc/apache2/ports.conf")
        host.check_output("rm /etc/apache2/sites-available/other.conf && systemctl reload apache2")


@pytest.mark.usefixtures("other_site")
def test_keeps_ports_of_other_sites(deploy, servers):
    """The run stops before any change with instructions; after these, both sites work."""
    run = deploy()
    assert run.hosts == {server: {"changed": 0, "failed": 1} for server in servers}
    assert "Listen lines of other sites, for the ports 8081." in run.normalized_output
    for host in servers.values():
        assert host.check_output(GET_STATUS) == "204"
        host.check_output("sed -i '1i Listen 8081' /etc/apache2/sites-available/other.conf")
        host.check_output("sed -i /8081/d /etc/apache2/ports.conf")
    run = deploy()
    assert run.code == 0, run.output
    for host in servers.values():
        assert host.check_output(GET_STATUS) == "204"


@pytest.fixture
def prefork(deployed, servers):
    """Enable the prefork MPM, which mod_php needs."""
    assert deployed[1].code == 0
    for host in servers.values():
        host.check_output("a2dismod --quiet mpm_event && a2enmod --quiet mpm_prefork")
    yield
    for host in servers.values():
        host.check_output("a2dismod --quiet mpm_prefork && a2enmod --quiet mpm_event")


@pytest.mark.usefixtures("prefork")
def test_rejects_other_mpm(deploy, servers):
    """The run stops before any change."""
    run = deploy()
    assert run.hosts == {server: {"changed": 0, "failed": 1} for server in servers}
    assert "uses mpm_prefork; the index needs mpm_event." in run.normalized_output
