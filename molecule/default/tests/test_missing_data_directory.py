"""A data directory without its marker file: it is probably not mounted."""

import pytest


@pytest.fixture
def _without_marker(servers, all_settings):
    markers = {server: f"{all_settings[server]['pypi_data_dir']}/.wheelhouse" for server in servers}
    for server, host in servers.items():
        host.check_output(f"mv {markers[server]} /root/mark")
    yield
    for server, host in servers.items():
        host.check_output(f"mv /root/mark {markers[server]}")


@pytest.mark.usefixtures("_without_marker")
def test_health_reports_missing_data(fetch):
    """The health check returns 503 with the reason."""
    response = fetch("/-/health")
    assert response.status == 503
    assert "its marker, .wheelhouse, cannot be read" in response.body


@pytest.mark.usefixtures("_without_marker")
@pytest.mark.parametrize("path", ["/simple/", "/simple/acme-known/", "/packages/acme_known-1.0-py3-none-any.whl", "/"])
def test_missing_data_is_not_an_empty_index(fetch, path):
    """Pages return 503, not 404: clients would look for the project elsewhere, and caches would store the response."""
    response = fetch(path, user="verify")
    assert response.status == 503
    assert response.headers["retry-after"] == "30"


def test_health_recovers(fetch):
    """The health check returns 200 as soon as the marker exists again."""
    response = fetch("/-/health")
    assert (response.status, response.body) == (200, "Ok")


@pytest.mark.usefixtures("_without_marker")
def test_deploy_fails_without_data(deploy, servers):
    """A run would fill the directory below the mount point, and the index would start without its data."""
    run = deploy()
    assert run.code != 0
    assert run.hosts == {server: {"changed": 0, "failed": 1} for server in servers}
    assert "The data of the existing deployment on" in run.normalized_output
    assert "or restore the backup." in run.normalized_output
    assert "-e pypi_data_is_new=true" in run.normalized_output
