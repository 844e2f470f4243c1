"""An upgrade from Debian 12 to 13: a new host gets the last backup of the old one."""

import pytest

OLD, NEW = "debian12.test", "upgraded.test"


@pytest.fixture(scope="session")
def upgraded(servers, loads, back_up, restore, replace_host):
    """Publish a file, back up, and restore on a host with Debian 13. Returns the run."""
    sent = loads[OLD].run("acme_upgraded", [{"name": "acme_upgraded-1.0-py3-none-any.whl", "size": 100}])["files"]
    assert sent[0]["statuses"] == [200]
    # The last backup, and no uploads after it.
    servers[OLD].check_output("systemctl stop apache2")
    run = back_up("--limit", OLD)
    assert run.code == 0, run.output
    replace_host(OLD, NEW)
    return restore("--limit", OLD)


def test_index_runs_on_debian_13(upgraded, servers, loads):
    """All files are served by the new release, whose Python is another one, and uploads are accepted."""
    assert upgraded.code == 0, upgraded.output
    host = servers[OLD]
    assert host.check_output("sed -n 's/^VERSION_ID=//p' /etc/os-release") == '"13"'
    assert host.check_output("wheelhouse check") == ""
    assert host.check_output("wheelhouse audit verify").startswith("OK: ")
    result = loads[OLD].run("acme", [{"name": "acme_upgraded-2.0-py3-none-any.whl", "size": 100}], list_files=True)
    assert result["files"][0]["statuses"] == [200]
    listed = {name for name in result["listed"] if name.startswith("acme_upgraded")}
    assert listed == {"acme_upgraded-1.0-py3-none-any.whl", "acme_upgraded-2.0-py3-none-any.whl"}
