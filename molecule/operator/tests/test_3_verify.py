"""playbooks/verify.yml: what it leaves behind, a company's certificate authority, and users who cannot verify."""

import json

import pytest

COMPANY = "/root/company"
VERIFY = "playbooks/verify.yml"


@pytest.fixture(scope="module")
def company(node, server):
    """A certificate of the server's that a company's authority has signed, which the control node does not trust."""
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
        # What is removed must not be looked for at an index that nobody can reach.
        "pypi_upstream": "redirect",
        "pypi_upstream_url": "https://upstream.invalid/simple/",
        "pypi_new_projects": "first_uploader",
    }


@pytest.fixture(scope="module")
def _deployed_with_it(node, company):
    """The server with that certificate, and with owners of projects; afterwards as before."""
    run = node.playbook("site.yml", **company)
    assert run.code == 0, run.output
    yield
    run = node.playbook("site.yml")
    assert run.code == 0, run.output


def remembered(host) -> str:
    """What the server's state and pages know of the projects that were published to verify it."""
    return host.check_output(
        "grep -rl wheelhouse-verify- /srv/pypi /var/lib/pypi/pages --exclude=audit-head.json; "
        "find /srv/pypi /var/lib/pypi/pages -name '*wheelhouse?verify*'; true"
    )


def test_leaves_nothing(host, node, server):
    """However often, nothing is listed afterwards; what was done is in the audit log."""
    before = host.check_output("grep -c wheelhouse-verify- /var/log/pypi/audit/audit.log")
    run = node.playbook(VERIFY)
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.output
    assert remembered(host) == ""
    for command in ("removed", "claims"):
        assert "verify" not in host.check_output(f"wheelhouse {command}")
    assert int(host.check_output("grep -c wheelhouse-verify- /var/log/pypi/audit/audit.log")) > int(before)
    assert host.run("wheelhouse audit verify").rc == 0
    assert host.run("wheelhouse check").rc == 0


@pytest.mark.usefixtures("_deployed_with_it")
def test_authority_of_a_company(host, node, server, company):
    """With pypi_tls_ca all of it is trusted; with owners of projects, too, nothing is left behind."""
    run = node.playbook(VERIFY, **company)
    assert run.hosts == {server: {"changed": 0, "failed": 0}}, run.output
    assert remembered(host) == ""


@pytest.mark.usefixtures("_deployed_with_it")
def test_unknown_authority(node, company):
    """Without the setting nobody trusts it, and verify says so instead of looking away."""
    run = node.playbook(VERIFY, **company | {"pypi_tls_ca": ""})
    assert run.code != 0
    assert "CERTIFICATE_VERIFY_FAILED" in run.output


def test_authority_that_has_not_signed(node, company, server):
    """A wrong file is found before anything is touched."""
    wrong = node.machine.check_output("ls /etc/ssl/certs/ca-certificates.crt")
    run = node.playbook("site.yml", **company | {"pypi_tls_ca": wrong})
    assert run.hosts[server] == {"changed": 0, "failed": 1}
    assert "Nothing was changed" in run.normalized_output
    assert "has signed none of the certificates in" in run.normalized_output


@pytest.mark.parametrize(
    ("settings", "said"),
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
def test_user_who_cannot_verify(host, node, settings, said):
    """Told before anything is published."""
    before = host.check_output("wc -l </var/log/pypi/audit/audit.log")
    run = node.playbook(VERIFY, **settings)
    assert run.code != 0
    assert said in run.normalized_output
    assert host.check_output("wc -l </var/log/pypi/audit/audit.log") == before
