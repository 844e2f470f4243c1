"""docs/troubleshooting.md on real servers: trouble is made, its message is seen, and the page's commands end it."""

import time

import pytest
from support.readme import blocks, paragraphs, section

DOCUMENT = "docs/troubleshooting.md"


@pytest.fixture(scope="module")
def ask(node, server):
    """A way to ask the server from the control node, as people do. Returns (status, body)."""

    def ask(path: str, *options: str) -> tuple[int, str]:
        trust = f"--cacert $(find inventory -name {server}.crt)"
        done = node.run(f"curl -sS {trust} -w '\\n%{{http_code}}' {' '.join(options)} https://{server}{path}")
        assert done.rc == 0, done.stderr
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    return ask


@pytest.fixture
def healthy(ask):
    """Fails afterwards if the index does not get healthy within seconds."""
    assert ask("/-/health")[0] == 200
    yield
    for _ in range(30):
        if ask("/-/health")[0] == 200:
            return
        time.sleep(1)
    raise AssertionError(ask("/-/health"))


@pytest.fixture
def cure(host, node, healthy):  # noqa: ARG001
    """A way to do what a section of the page says."""

    def cure(title: str) -> None:
        for block in blocks(section(DOCUMENT, title)):
            for where, lines in paragraphs(block).items():
                text = f"set -e\n{lines}"
                done = host.run("bash -c %s", text) if where == "server" else node.run(f". .venv/bin/activate\n{text}")
                assert done.rc == 0, f"{lines}\n{done.stdout}{done.stderr}"

    return cure


def test_dpkg(host, node, cure):
    """An upgrade that was cut off keeps a run from installing what is missing."""
    host.check_output("dpkg --remove logrotate && dpkg-query --status base-files >/var/lib/dpkg/updates/0001")
    run = node.playbook("site.yml", "--tags", "packages")
    assert run.code != 0
    assert "dpkg was interrupted, you must manually run" in run.normalized_output
    cure("dpkg was interrupted")
    assert host.package("logrotate").is_installed


def test_uid(host, ask, cure):
    """Files of another user's number, as a restore on a new server brings them."""
    host.check_output("chown -R 4242:4242 /srv/pypi/packages /srv/pypi/state /var/log/pypi/audit")
    status, body = ask("/-/health")
    assert (status, "The data directory cannot be written: " in body) == (503, True), body
    cure("User pypi has another uid")


def test_broken_release(host, ask, cure):
    """Uploads get 503, and the release is built again."""
    host.check_output("rm -r $(readlink -f /opt/pypi/current)/lib")
    assert ask("/-/health")[0] == 503
    assert ask("/", "-X POST -u alice:$(cat inventory/secrets/passwords/alice.txt)")[0] == 503
    cure("Broken release")


def test_pages(host, ask, cure):
    """Until they are complete nothing is read, and nobody is sent elsewhere."""
    host.check_output("systemctl stop pypi-pages.timer pypi-pages.path && rm /var/lib/pypi/pages/projects/.complete")
    status, body = ask("/-/health")
    assert status == 503
    assert "The pages are not complete, so Apache serves none" in body
    cure("Pages are missing")
    host.check_output("systemctl start pypi-pages.timer pypi-pages.path")


def test_password(node, ask, cure):
    """The new one works, the old one no longer."""
    path = "/root/wheelhouse/inventory/secrets/passwords/alice.txt"
    old = node.machine.file(path).content_string.strip()
    assert ask("/simple/", f"-u alice:{old}")[0] == 200
    cure("Rotate a generated password")
    new = node.machine.file(path).content_string.strip()
    assert new != old
    assert (ask("/simple/", f"-u alice:{new}")[0], ask("/simple/", f"-u alice:{old}")[0]) == (200, 401)


def test_networks(node, ask, cure):
    """A mistake in the networks is taken back by a run, since SSH is another door."""
    assert node.playbook("site.yml", "--tags", "apache", pypi_allowed_networks=["192.0.2.0/24"]).code == 0
    status, body = ask("/simple/")
    assert (status, body.strip()) == (403, "Access denied for this address or this user.")
    cure("All clients get 403")
    assert ask("/simple/")[0] == 401


def test_programs(host):
    """What the page has people type is there on a server that the kit has deployed."""
    programs = {
        line.split()[0]
        for block in blocks(section(DOCUMENT, "Troubleshooting"))
        for where, lines in paragraphs(block).items()
        for line in lines.splitlines()
        if where == "server" and line
    }
    assert [name for name in sorted(programs) if host.run("command -v %s", name).rc != 0] == []
