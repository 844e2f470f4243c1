"""A data directory that was replaced by an older copy: the run and `wheelhouse check` report it."""

import time

import pytest
from shared.http import curl
from shared.uploads import TYPE, form
from shared.wheels import installable

OLDER = "/srv/older"
MESSAGE = "the data directory is older than the log"


@pytest.fixture(scope="module")
def run(deploy, servers, all_settings, upload_to):
    """Deploy with older copies of the data that lack the last upload. The settings are restored afterwards."""
    for server, host in servers.items():
        host.check_output(f"rm -rf {OLDER} && cp -a {all_settings[server]['pypi_data_dir']} {OLDER}")
        assert upload_to(server) == 200
    yield deploy("--extra-vars", f"pypi_data_dir={OLDER}")
    again = deploy()
    assert again.code == 0, again.output
    for host in servers.values():
        host.check_output(f"rm -rf {OLDER}")
        assert MESSAGE not in host.run("wheelhouse check").stdout


@pytest.fixture(scope="module")
def uploaded():
    """Return the name of the project that is uploaded after the copy."""
    return f"acme_stale{time.time_ns()}"


@pytest.fixture(scope="module")
def upload_to(all_settings, client_of, password_of, put, uploaded):
    """Upload a file to a server as bob. Returns the status."""

    def upload_to(server: str) -> int:
        client = client_of(server)
        body = put(client, "/root/body", form(f"{uploaded}-1.0-py3-none-any.whl", installable(uploaded, "1.0")))
        options = ["--header", TYPE, "--header", "Expect:", "--data-binary", f"@{body}"]
        url = all_settings[server]["pypi_url"]
        return curl(client, "--user", f"bob:{password_of(server, 'bob')}", *options, url).status

    return upload_to


def test_run_warns_about_stale_data(run, servers):
    """The run does not fail, since a restore from a backup has the same effect."""
    assert run.code == 0, run.output
    assert run.normalized_output.count(f"audit log: {MESSAGE}") == len(servers)
    assert f"WARNING: {OLDER} on " in run.normalized_output


def test_check_lists_missing_uploads(run, host, uploaded):
    """The output contains each missing upload with its user and time."""
    assert run.code == 0
    checked = host.run("wheelhouse check")
    assert checked.rc == 1
    assert f"audit log: {MESSAGE}" in checked.stdout
    missing = f"{uploaded}-1.0-py3-none-any.whl: missing: according to the audit log, bob uploaded it at "
    assert missing in checked.stdout
    assert "wheelhouse audit accept" in checked.stdout
