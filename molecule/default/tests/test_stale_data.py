"""pypi_data_dir is moved back to a copy from before: the run says so, and so does check."""

import time

import pytest
from shared.http import curl
from shared.uploads import TYPE, form
from shared.wheels import installable

OLDER = "/srv/older"
SAID = "the data directory is older than the log"


@pytest.fixture(scope="module")
def run(deploy, servers, all_settings, upload_to):
    """A run that moves all servers to copies of their data in which the last upload is missing, until the tests end."""
    for server, host in servers.items():
        host.check_output(f"rm -rf {OLDER} && cp -a {all_settings[server]['pypi_data_dir']} {OLDER}")
        assert upload_to(server) == 200
    yield deploy("--extra-vars", f"pypi_data_dir={OLDER}")
    again = deploy()
    assert again.code == 0, again.output
    for host in servers.values():
        host.check_output(f"rm -rf {OLDER}")
        assert SAID not in host.run("wheelhouse check").stdout


@pytest.fixture(scope="module")
def uploaded():
    """The name of the project that is uploaded after the copy was made."""
    return f"acme_stale{time.time_ns()}"


@pytest.fixture(scope="module")
def upload_to(all_settings, client_of, password_of, put, uploaded):
    """A way to upload a file to a server as bob. Returns the status."""

    def upload_to(server: str) -> int:
        client = client_of(server)
        body = put(client, "/root/body", form(f"{uploaded}-1.0-py3-none-any.whl", installable(uploaded, "1.0")))
        how = ["--header", TYPE, "--header", "Expect:", "--data-binary", f"@{body}"]
        url = all_settings[server]["pypi_url"]
        return curl(client, "--user", f"bob:{password_of(server, 'bob')}", *how, url).status

    return upload_to


def test_the_run_says_so(run, servers):
    """It goes on: a restore from a backup looks like that, too."""
    assert run.code == 0, run.output
    assert run.words.count(f"audit log: {SAID}") == len(servers)
    assert f"WARNING: {OLDER} on " in run.words


def test_check_says_so(run, host, uploaded):
    """With the time since when, and each upload that is missing."""
    assert run.code == 0
    checked = host.run("wheelhouse check")
    assert checked.rc == 1
    assert f"audit log: {SAID}" in checked.stdout
    missing = f"{uploaded}-1.0-py3-none-any.whl: missing: according to the audit log, bob uploaded it at "
    assert missing in checked.stdout
    assert "wheelhouse audit accept" in checked.stdout
