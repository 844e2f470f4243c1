"""The data directory carries a mark, and where that is missing it is not the index's: not mounted, most likely."""

import pytest


@pytest.fixture
def _without_mark(servers, all_settings):
    marks = {server: f"{all_settings[server]['pypi_data_dir']}/.wheelhouse" for server in servers}
    for server, host in servers.items():
        host.check_output(f"mv {marks[server]} /root/mark")
    yield
    for server, host in servers.items():
        host.check_output(f"mv /root/mark {marks[server]}")


@pytest.mark.usefixtures("_without_mark")
def test_health_tells(ask):
    """A monitor or a balancer sees that this server cannot do its work."""
    answer = ask("/-/health")
    assert answer.status == 503
    assert "its marker, .wheelhouse, cannot be read" in answer.body


@pytest.mark.usefixtures("_without_mark")
@pytest.mark.parametrize("path", ["/simple/", "/simple/acme-known/", "/packages/acme_known-1.0-py3-none-any.whl", "/"])
def test_never_empty(ask, path):
    """Clients that are told "nothing here" would take the name from elsewhere, and caches would remember it."""
    answer = ask(path, user="verify")
    assert answer.status == 503
    assert answer.headers["retry-after"] == "30"


def test_health(ask):
    """And sees when it can again."""
    answer = ask("/-/health")
    assert (answer.status, answer.body) == (200, "Ok")


@pytest.mark.usefixtures("_without_mark")
def test_deploy_refuses(deploy, servers):
    """A run would fill the empty directory under the mount point, and the index would start over without its data."""
    run = deploy()
    assert run.code != 0
    assert run.hosts == {server: {"changed": 0, "failed": 1} for server in servers}
    assert "The data of the existing deployment on" in run.words
    assert "or restore the backup." in run.words
    assert "-e pypi_data_is_new=true" in run.words
