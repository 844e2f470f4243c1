"""playbooks/verify.yml: cleanup, company certificate authorities, and users without the needed rights."""

import json
import time

import pytest

COMPANY = "/root/company"
VERIFY = "playbooks/verify.yml"


@pytest.fixture(scope="module")
def company(node, server):
    """Issue a server certificate by a company CA that the control node does not trust. Returns the settings."""
    made = node.machine.run(
        f"rm -rf {COMPANY} && mkdir {COMPANY} && cd {COMPANY} &&"
        " openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Company -keyout ca.key -out ca.crt"
        "  -addext keyUsage=critical,keyCertSign &&"
        " openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key -out request &&"
        f" printf 'subjectAltName=DNS:{server}\\nauthorityKeyIdentifier=keyid\\n' >names &&"
        " openssl x509 -req -in request -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names"
        "  -out server.crt"
    )
    assert made.rc == 0, made.stderr
    return {
        "pypi_tls": "provided",
        "pypi_tls_certificate": f"{COMPANY}/server.crt",
        "pypi_tls_private_key": f"{COMPANY}/server.key",
        "pypi_tls_ca": f"{COMPANY}/ca.crt",
        # Do not wait for an unreachable index when removed projects are looked up.
        "pypi_upstream": "redirect",
        "pypi_upstream_url": "https://upstream.invalid/simple/",
        "pypi_new_projects": "first_uploader",
    }


@pytest.fixture(scope="module")
def _deployed_with_company_certificate(node, company):
    """Deploy the server with that certificate and with project owners. The settings are restored afterwards."""
    run = node.playbook("site.yml", **company)
    assert run.code == 0, run.output
    yield
    run = node.playbook("site.yml")
    assert run.code == 0, run.output


def remaining_files(host) -> str:
    """List state and page files that contain or are named after verification projects.

    pypi-pages writes the landing page some seconds after a removal; waits for at most a minute.
    """
    for _ in range(60):
        found = host.check_output(
            "grep -rl wheelhouse-verify- /srv/pypi /var/lib/pypi/pages --exclude=audit-head.json; "
            "find /srv/pypi /var/lib/pypi/pages -name '*wheelhouse?verify*'; true"
        )
        if not found:
            break
        time.sleep(1)
    return found


def test_verify_leaves_no_traces(host, node, server):
    """Repeated runs leave nothing behind except audit entries."""
    before = host.check_output("grep -c wheelhouse-verify- /var/log/pypi/audit/audit.log")
    run = node.playbook(VERIFY)
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.output
    assert remaining_files(host) == ""
    for command in ("removed", "claims"):
        assert "verify" not in host.check_output(f"wheelhouse {command}")
    assert int(host.check_output("grep -c wheelhouse-verify- /var/log/pypi/audit/audit.log")) > int(before)
    assert host.run("wheelhouse audit verify").rc == 0
    assert host.run("wheelhouse check").rc == 0


@pytest.mark.usefixtures("_deployed_with_company_certificate")
def test_verify_accepts_company_ca(host, node, server, company):
    """With pypi_tls_ca, the certificate is trusted; nothing remains on the server, also with project owners."""
    run = node.playbook(VERIFY, **company)
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.output
    assert remaining_files(host) == ""


@pytest.mark.usefixtures("_deployed_with_company_certificate")
def test_verify_rejects_unknown_ca(node, company):
    """Without the setting, verification fails with a certificate error."""
    run = node.playbook(VERIFY, **company | {"pypi_tls_ca": ""})
    assert run.code != 0
    assert "CERTIFICATE_VERIFY_FAILED" in run.output


def test_deploy_rejects_wrong_ca(node, company, server):
    """A CA file that has not signed the certificate is detected before any change."""
    wrong = node.machine.check_output("ls /etc/ssl/certs/ca-certificates.crt")
    run = node.playbook("site.yml", **company | {"pypi_tls_ca": wrong})
    assert run.hosts[server] == {"changed": 0, "failed": 1}
    assert "Nothing was changed" in run.normalized_output
    assert "has signed none of the certificates in" in run.normalized_output


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"pypi_read": ["admins"]},
            "verify is not allowed to read (pypi_read: [admins]), so it cannot install the test project",
        ),
        ({"pypi_verify_user": "bob"}, "bob is not allowed to upload and remove wheelhouse-verify-*"),
        ({"pypi_verify_user": "alice"}, "alice is allowed to upload other projects than wheelhouse-verify-*"),
    ],
    ids=json.dumps,
)
def test_verify_rejects_user_without_rights(host, node, settings, message):
    """Verification fails before anything is published."""
    before = host.check_output("wc -l </var/log/pypi/audit/audit.log")
    run = node.playbook(VERIFY, **settings)
    assert run.code != 0
    assert message in run.normalized_output
    assert host.check_output("wc -l </var/log/pypi/audit/audit.log") == before
