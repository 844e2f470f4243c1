"""Reads do not depend on Python: packages can be installed while the application is missing."""

import time

import pytest
from shared.wheels import installable

FILE = "acme_steady-1.0-py3-none-any.whl"


@pytest.fixture
def _no_application(host, settings, upload):
    """Kill the application and move its release directory away."""
    assert upload(FILE, installable("acme_steady", "1.0"), user="bob").status == 200
    current = f"{settings['pypi_program_dir']}/current"
    release = host.check_output(f"readlink -f {current}")
    host.check_output(f"mv {release} {release}.away")
    host.check_output("systemctl kill --signal=KILL pypi-application")
    yield
    host.check_output(f"mv {release}.away {release}")
    host.check_output("systemctl kill --signal=KILL pypi-application")


@pytest.mark.usefixtures("_no_application")
def test_reads_work_without_application(fetch, upload, client_env):
    """Installers work; uploads get 503 with Retry-After."""
    assert fetch("/simple/", user="verify").status == 200
    env = client_env("verify")
    for program in ("/opt/clients/bin/pip", "uv pip"):
        result = env.run(f"{program} install --target there --index-url {{url_with_login}}simple/ acme-steady")
        assert result.rc == 0, result.stdout + result.stderr
        env.run("rm -r there")
    response = upload("acme_steady-1.1-py3-none-any.whl", installable("acme_steady", "1.1"), user="bob")
    assert response.status == 503
    assert "retry-after" in response.headers
    assert fetch("/-/health").status == 503


def test_uploads_recover(upload, fetch):
    """Uploads work as soon as the application's files are restored."""
    for _ in range(60):
        if fetch("/-/health").status == 200:
            break
        time.sleep(0.5)
    assert upload(FILE, installable("acme_steady", "1.0"), user="bob").status == 200
