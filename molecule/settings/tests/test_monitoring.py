"""Metrics and canary: on Debian 12 (group.test) and 13 (either.test); anyone.test has no monitoring."""

import time
import uuid
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from shared.deployment import PROJECT
from support.archives import fitting

MONITORED = ["group.test", "either.test"]
PATHS = [
    "/usr/local/lib/pypi/monitoring",
    "/var/lib/pypi-monitoring",
    "/etc/systemd/system/pypi-metrics.service",
    "/etc/systemd/system/pypi-metrics.timer",
    "/etc/systemd/system/pypi-canary.service",
    "/etc/systemd/system/pypi-canary.service.d",
    "/etc/systemd/system/pypi-canary.timer",
    "/etc/pypi/monitoring.json",
    "/etc/pypi/canary.json",
]


@pytest.fixture
def fetch_metrics(servers, all_settings):
    """Update the metrics of a server and request them on the server itself. Returns the text."""

    def fetch_metrics(server: str, update: bool = True) -> str:
        host, settings = servers[server], all_settings[server]
        if update:
            host.check_output("systemctl start pypi-metrics.service")
        probe = "import ssl, sys, urllib.request as r; c = ssl._create_unverified_context();"
        probe += "sys.stdout.buffer.write(r.urlopen(sys.argv[1], context=c).read())"
        return (
            host.check_output(f"python3 -c %s https://127.0.0.1:{settings['pypi_https_port']}/-/metrics", probe) + "\n"
        )

    return fetch_metrics


@pytest.fixture
def samples(fetch_metrics):
    """Return the samples of a server: {"name" or "name{label value}": value}."""

    def samples(server: str, update: bool = True) -> dict[str, float]:
        found = {}
        for family in text_string_to_metric_families(fetch_metrics(server, update)):
            for sample in family.samples:
                found[sample.name + "".join(f"{{{value}}}" for value in sample.labels.values())] = sample.value
        return found

    return samples


@pytest.fixture
def publish(send_from):
    """Upload a new file of a project as paul. Returns its name."""

    def publish(server: str) -> str:
        name = f"team_{uuid.uuid4().hex[:8]}-1.0-py3-none-any.whl"
        assert send_from("inside", server, name, fitting(name), user="paul").status == 200
        return name

    return publish


@pytest.mark.parametrize(
    ("server", "client", "status"),
    [
        ("group.test", "outside", 200),  # in pypi_metrics_networks, not in pypi_allowed_networks
        ("group.test", "inside", 403),
        ("either.test", "inside", 403),
        ("either.test", "outside", 403),
        ("anyone.test", "inside", 404),
    ],
)
def test_metrics_access(request_from, server, client, status):
    """Metrics need no login, but an address in pypi_metrics_networks, which is empty by default."""
    assert request_from(client, server, "-/metrics").status == status
    if status == 403:
        assert request_from(client, server, "-/metrics", user="rita").status == 403


@pytest.mark.parametrize("server", MONITORED)
def test_metrics_are_valid(servers, clients, put, fetch_metrics, samples, server):
    """Prometheus' own check accepts the metrics, which the timer updates, and every part is collected."""
    text = put(clients["inside"], "/root/metrics", fetch_metrics(server).encode())
    assert clients["inside"].check_output(f"promtool check metrics <{text} 2>&1") == ""
    found = samples(server)
    assert {name: value for name, value in found.items() if "collector_success" in name and not value} == {}
    assert found["wheelhouse_data_available"] == found["wheelhouse_pages_complete"] == 1
    for timer in ("pypi-metrics.timer", "pypi-canary.timer"):
        assert servers[server].service(timer).is_running
        assert servers[server].service(timer).is_enabled


def test_rules_are_valid(clients, put):
    """The alert rules are valid, and fire as they should."""
    for path in ("monitoring/alerts.yml", "tests/monitoring/alerts.test.yml"):
        clients["inside"].check_output("mkdir -p %s", f"/root/kit/{Path(path).parent}")
        put(clients["inside"], f"/root/kit/{path}", Path(PROJECT, path).read_bytes())
    clients["inside"].check_output("promtool check rules /root/kit/monitoring/alerts.yml")
    clients["inside"].check_output("promtool test rules /root/kit/tests/monitoring/alerts.test.yml")


def test_timer_updates_metrics(samples):
    """group.test has an interval of 10 seconds; systemd reads a changed interval without a restart."""
    before = samples("group.test", update=False)["wheelhouse_metrics_timestamp_seconds"]
    for _ in range(40):
        if samples("group.test", update=False)["wheelhouse_metrics_timestamp_seconds"] > before + 5:
            return
        time.sleep(1)
    raise AssertionError("the metrics were not updated")


@pytest.mark.parametrize("server", MONITORED)
def test_counts_uploads_and_rejections(request_from, send_from, publish, samples, server):
    """Uploads, rejections by reason, wrong logins, files and projects."""
    before = samples(server)
    name = publish(server)
    send_from("inside", server, name, fitting(name), user="paul")
    send_from("inside", server, name, fitting(name)[:-9], user="paul")
    send_from("inside", server, "other-1.0-py3-none-any.whl", fitting("other-1.0-py3-none-any.whl"), user="paul")
    # An upload: either.test permits reads from this network without a login.
    request_from("inside", server, "", "--request", "POST", user=("rita", "wrong"))
    after = samples(server)
    grown = {name: after[name] - before[name] for name in before if name.startswith("wheelhouse_") and name in after}
    assert grown["wheelhouse_uploads_total{stored}"] == 1
    assert grown["wheelhouse_uploads_total{identical}"] == 1
    assert grown["wheelhouse_rejections_total{forbidden}"] == 1
    assert grown["wheelhouse_rejections_total{invalid}"] + grown["wheelhouse_rejections_total{conflict}"] == 1
    assert grown["wheelhouse_authentication_failures_total{wrong}"] == 1
    assert (grown["wheelhouse_files"], grown["wheelhouse_projects"]) == (1, 1)
    assert grown["wheelhouse_files_bytes"] == len(fitting(name))


@pytest.mark.parametrize("server", MONITORED)
def test_counters_survive_rotation(servers, publish, samples, server):
    """Both logs are rotated, and Apache is reloaded."""
    before = samples(server)
    publish(server)
    servers[server].check_output("logrotate --force /etc/logrotate.d/pypi")
    publish(server)
    after = samples(server)
    assert after["wheelhouse_uploads_total{stored}"] == before["wheelhouse_uploads_total{stored}"] + 2
    assert after["wheelhouse_http_requests_total{2xx}"] >= before["wheelhouse_http_requests_total{2xx}"] + 2


@pytest.mark.parametrize("server", MONITORED)
def test_metrics_do_not_need_the_application(servers, samples, server):
    """The exporter and Apache work without the application and its release."""
    host = servers[server]
    host.check_output("systemctl stop pypi-application")
    try:
        assert samples(server)["wheelhouse_data_available"] == 1
    finally:
        host.check_output("systemctl start pypi-application")


@pytest.mark.parametrize("server", MONITORED)
def test_canary_uses_the_index(servers, publish, samples, server):
    """The canary lists, downloads and verifies, and is rejected where it must be."""
    publish(server)
    host = servers[server]
    host.check_output("systemctl start pypi-canary.service")
    found = samples(server)
    steps = {name: value for name, value in found.items() if name.startswith("wheelhouse_canary_step_success")}
    assert steps == {
        f"wheelhouse_canary_step_success{{{step}}}": 1 for step in ("connect", "list", "download", "forbidden")
    }
    assert found["wheelhouse_canary_success"] == 1
    assert found["wheelhouse_certificate_expiry_timestamp_seconds"] > time.time() + 86400
    assert "canary: no fault: " in host.check_output("journalctl --unit pypi-canary --lines 20 --output cat")


@pytest.mark.parametrize("server", MONITORED)
def test_canary_reports_a_fault(servers, all_settings, samples, server):
    """A page that is not served is a metric and a journal entry; the unit has failed."""
    host, root = servers[server], f"{all_settings[server]['pypi_pages_dir']}/root"
    host.check_output(f"mv {root}/index.json {root}/hidden")
    try:
        assert host.run("systemctl start pypi-canary.service").rc != 0
        found = samples(server)
    finally:
        host.check_output(f"mv {root}/hidden {root}/index.json")
    assert found["wheelhouse_canary_success"] == found["wheelhouse_canary_step_success{list}"] == 0
    assert "canary: FAULT: " in host.check_output("journalctl --unit pypi-canary --lines 20 --output cat")
    host.check_output("systemctl start pypi-canary.service")
    assert samples(server)["wheelhouse_canary_success"] == 1


@pytest.mark.parametrize("server", MONITORED)
def test_password_of_the_canary_is_protected(servers, all_settings, password_of, server):
    """Only root can read the file; neither the units nor the journal have the password."""
    host, settings = servers[server], all_settings[server]
    password = password_of(server, settings["pypi_canary_user"])
    file = host.file(f"{settings['pypi_config_dir']}/canary.json")
    assert (file.user, file.group, oct(file.mode)) == ("root", "root", "0o600")
    for output in ("systemctl cat pypi-canary.service", "journalctl --unit pypi-canary --output cat"):
        assert password not in host.check_output(output)
    readable = host.run("setpriv --reuid=pypi-monitoring --regid=pypi-monitoring --clear-groups cat %s", file.path)
    assert readable.rc != 0


@pytest.mark.parametrize("server", MONITORED)
def test_emptied_index_is_reported(servers, all_settings, publish, samples, server):
    """If all files disappear, the metrics of the alert are as its rule expects, and check reports it."""
    publish(server)
    host, settings = servers[server], all_settings[server]
    packages, aside = f"{settings['pypi_data_dir']}/packages", f"{settings['pypi_config_dir']}/aside"
    before = host.run("wheelhouse check")
    host.check_output(f"mkdir {aside} && mv {packages}/* {aside}/")
    try:
        host.run("wheelhouse rebuild --changed")
        found = samples(server)
        check = host.run("wheelhouse check")
    finally:
        host.check_output(f"mv {aside}/* {packages}/ && rmdir {aside}")
        host.run("wheelhouse rebuild --changed")
    assert found["wheelhouse_files"] == 0
    assert found["wheelhouse_projects_without_files"] > 0
    assert found["wheelhouse_uploads_total{stored}"] > 0
    assert check.rc == 1
    assert "the index is empty" in check.stdout
    after = host.run("wheelhouse check")
    assert (after.rc, after.stdout) == (before.rc, before.stdout)


def absent(host, config_dir: str) -> None:
    """Assert that a server has no part of monitoring."""
    for path in PATHS:
        assert not host.file(path.replace("/etc/pypi", config_dir)).exists, path
    assert not host.user("pypi-monitoring").exists
    assert "metrics" not in host.file("/etc/apache2/sites-available/pypi.conf").content_string
    assert host.check_output("systemctl list-units --all --plain --no-legend 'pypi-metrics*' 'pypi-canary*'") == ""


def test_monitoring_is_free_when_off(servers):
    """Without monitoring, there is no package, unit, file, user or directive for it."""
    absent(servers["anyone.test"], "/etc/pypi")
    assert not servers["anyone.test"].package("python3-prometheus-client").is_installed


def test_monitoring_can_be_switched_off(deploy, servers, samples):
    """Its units, files and user are removed, once; it can be switched on again."""
    off = ["--limit", "either.test", "--extra-vars", "pypi_monitoring=false"]
    host = servers["either.test"]
    checked = deploy(*off, "--check", "--diff")
    assert checked.code == 0, checked.output
    assert host.service("pypi-metrics.timer").is_running
    run = deploy(*off)
    assert run.code == 0, run.output
    absent(host, "/etc/pypi")
    again = deploy(*off)
    assert again.hosts == {"either.test": {"changed": 0, "failed": 0}}, again.changes
    on = deploy("--limit", "either.test")
    assert on.code == 0, on.output
    assert samples("either.test")["wheelhouse_data_available"] == 1
