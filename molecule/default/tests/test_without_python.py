"""Reads never touch Python: with the application gone, everything is still installed."""

import time

import pytest
from shared.wheels import installable

FILE = "acme_steady-1.0-py3-none-any.whl"


@pytest.fixture
def _no_application(host, settings, upload):
    """The application killed, and the virtualenv and all that is in it away."""
    assert upload(FILE, installable("acme_steady", "1.0"), user="bob").status == 200
    current = f"{settings['pypi_program_dir']}/current"
    release = host.check_output(f"readlink -f {current}")
    host.check_output(f"mv {release} {release}.away")
    host.check_output("systemctl kill --signal=KILL pypi-application")
    yield
    host.check_output(f"mv {release}.away {release}")
    host.check_output("systemctl kill --signal=KILL pypi-application")


@pytest.mark.usefixtures("_no_application")
def test_reads_go_on(ask, upload, workplace):
    """The worst Friday of the index is nobody else's: builds go on, and publishing waits with a clear answer."""
    assert ask("/simple/", user="verify").status == 200
    here = workplace("verify")
    for program in ("/opt/clients/bin/pip", "uv pip"):
        result = here.run(f"{program} install --target there --index-url {{url_with_login}}simple/ acme-steady")
        assert result.rc == 0, result.stdout + result.stderr
        here.run("rm -r there")
    refused = upload("acme_steady-1.1-py3-none-any.whl", installable("acme_steady", "1.1"), user="bob")
    assert refused.status == 503
    assert "retry-after" in refused.headers
    assert ask("/-/health").status == 503


def test_it_comes_back(upload, ask):
    """Without anybody's help, once its files are there again."""
    for _ in range(60):
        if ask("/-/health").status == 200:
            break
        time.sleep(0.5)
    assert upload(FILE, installable("acme_steady", "1.0"), user="bob").status == 200
