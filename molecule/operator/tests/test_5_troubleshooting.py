"""docs/troubleshooting.md: cause each problem on a server, check its message, and run the documented commands."""

import time

import pytest
from support.readme import blocks, paragraphs, section

DOCUMENT = "docs/troubleshooting.md"
# Only on servers with backups.
OPTIONAL = {"pypi-backup"}


@pytest.fixture(scope="module")
def fetch(node, server):
    """Send a request to the server from the control node. Returns (status, body)."""

    def fetch(path: str, *options: str) -> tuple[int, str]:
        trust = f"--cacert $(find inventory -name {server}.crt)"
        result = node.run(f"curl -sS {trust} -w '\\n%{{http_code}}' {' '.join(options)} https://{server}{path}")
        assert result.rc == 0, result.stderr
        body, _, status = result.stdout.rpartition("\n")
        return int(status), body

    return fetch


@pytest.fixture
def healthy(fetch):
    """Check after the test that the index becomes healthy within 30 seconds."""
    assert fetch("/-/health")[0] == 200
    yield
    for _ in range(30):
        if fetch("/-/health")[0] == 200:
            return
        time.sleep(1)
    raise AssertionError(fetch("/-/health"))


@pytest.fixture
def apply_fix(host, node, healthy):  # noqa: ARG001
    """Run the commands of a section of the document."""

    def apply_fix(title: str) -> None:
        for block in blocks(section(DOCUMENT, title)):
            for where, lines in paragraphs(block).items():
                text = f"set -e\n{lines}"
                result = (
                    host.run("bash -c %s", text) if where == "server" else node.run(f". .venv/bin/activate\n{text}")
                )
                assert result.rc == 0, f"{lines}\n{result.stdout}{result.stderr}"

    return apply_fix


def test_interrupted_dpkg(host, node, apply_fix):
    """After an interrupted upgrade, a run cannot install packages."""
    host.check_output("dpkg --remove logrotate && dpkg-query --status base-files >/var/lib/dpkg/updates/0001")
    run = node.playbook("site.yml", "--tags", "packages")
    assert run.code != 0
    assert "dpkg was interrupted, you must manually run" in run.normalized_output
    apply_fix("dpkg was interrupted")
    assert host.package("logrotate").is_installed


def test_wrong_uid(host, fetch, apply_fix):
    """Files have another UID, as after a restore on a new server."""
    host.check_output("chown -R 4242:4242 /srv/pypi/packages /srv/pypi/state /var/log/pypi/audit")
    status, body = fetch("/-/health")
    assert (status, "The data directory cannot be written: " in body) == (503, True), body
    apply_fix("User pypi has another uid")


def test_broken_release(host, fetch, apply_fix):
    """Uploads get 503 until the release is built again."""
    host.check_output("rm -r $(readlink -f /opt/pypi/current)/lib")
    assert fetch("/-/health")[0] == 503
    assert fetch("/", "-X POST -u alice:$(cat inventory/secrets/passwords/alice.txt)")[0] == 503
    apply_fix("Broken release")


def test_incomplete_pages(host, fetch, apply_fix):
    """Incomplete pages are not served, and requests are not redirected."""
    host.check_output("systemctl stop pypi-pages.timer pypi-pages.path && rm /var/lib/pypi/pages/projects/.complete")
    status, body = fetch("/-/health")
    assert status == 503
    assert "The pages are not complete, so Apache serves none" in body
    apply_fix("Pages are missing")
    host.check_output("systemctl start pypi-pages.timer pypi-pages.path")


def test_rotates_generated_password(node, fetch, apply_fix):
    """The new password works, the old one does not."""
    path = "/root/wheelhouse/inventory/secrets/passwords/alice.txt"
    old = node.machine.file(path).content_string.strip()
    assert fetch("/simple/", f"-u alice:{old}")[0] == 200
    apply_fix("Rotate a generated password")
    new = node.machine.file(path).content_string.strip()
    assert new != old
    assert (fetch("/simple/", f"-u alice:{new}")[0], fetch("/simple/", f"-u alice:{old}")[0]) == (200, 401)


def test_all_networks_denied(node, fetch, apply_fix):
    """Wrong networks can be corrected by a run, since SSH is not affected."""
    assert node.playbook("site.yml", "--tags", "apache", pypi_allowed_networks=["192.0.2.0/24"]).code == 0
    status, body = fetch("/simple/")
    assert (status, body.strip()) == (403, "Access denied for this address or this user.")
    apply_fix("All clients get 403")
    assert fetch("/simple/")[0] == 401


def test_documented_programs_are_installed(host):
    """The programs that the document uses exist on a deployed server."""
    programs = {
        line.split()[0]
        for block in blocks(section(DOCUMENT, "Troubleshooting"))
        for where, lines in paragraphs(block).items()
        for line in lines.splitlines()
        if where == "server" and line
    }
    assert [name for name in sorted(programs - OPTIONAL) if host.run("command -v %s", name).rc != 0] == []
