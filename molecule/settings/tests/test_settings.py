"""Names, paths, rights, limits: that each setting does what it says."""

from pathlib import Path

import pytest
from shared.client_env import ClientEnvironment
from shared.http import curl
from shared.uploads import TYPE, form
from support.archives import fitting, wheel

HANA = ("hana", "The password of hana")

# Who, the project, status of the upload.
RIGHTS = [
    ("paul", "team_known", 200),
    ("paul", "shared", 403),
    ("paul", "teammate", 403),
    (HANA, "team_known", 200),
    (HANA, "shared", 200),
    (HANA, "shared_7", 200),
    (HANA, "shared_77", 403),
    (HANA, "other", 403),
    ("rita", "team_known", 403),
]


@pytest.mark.parametrize(("who", "project", "status"), RIGHTS)
def test_rights(send_from, who, project, status):
    """Rights come by group and by user, and add up; nothing is allowed that nobody has allowed."""
    name = f"{project}-1.0-py3-none-any.whl"
    assert send_from("inside", "either.test", name, fitting(name), who=who).status == status


def test_remove(request_from, send_from):
    """Who may publish may not therefore remove."""
    send_from("inside", "either.test", "shared_8-1.0-py3-none-any.whl", wheel("shared_8"), who=HANA)
    form_of = {":action": "remove_pkg", "name": "shared-8", "version": "1.0"}
    options = [word for item in form_of.items() for word in ("--form", "=".join(item))]
    assert request_from("inside", "either.test", "", *options, who="paul").status == 403
    assert request_from("inside", "either.test", "", *options, who=HANA).status == 200


@pytest.mark.parametrize("path", ["/srv/pypi", "/etc/pypi", "/opt/pypi", "/var/log/pypi", "/var/lib/pypi"])
def test_no_default_path(servers, path):
    """A path that is a setting is one everywhere: nothing is left at its default."""
    assert not servers["group.test"].file(path).exists


def test_data_directory(servers, send_from):
    """Uploads land where the settings say."""
    name = "team_here-1.0-py3-none-any.whl"
    assert send_from("inside", "group.test", name, fitting(name), who="paul").status == 200
    assert servers["group.test"].file(f"/data/index/packages/{name}").exists


def test_own_directives(request_from):
    """People know their Apache, and need not wait for a setting."""
    assert request_from("inside", "group.test", "-/health").headers["x-proof"] == "of a directive of one's own"


@pytest.mark.parametrize(
    ("server", "alias", "works"),
    [
        ("group.test:8443", "index.test:8443", True),
        ("group.test:8443", "mirror.index.test:8443", True),
        ("group.test:8443", "other.test:8443", False),
        ("either.test:443", "index.test:443", True),
        ("either.test:443", "mirror.index.test:443", False),
    ],
)
def test_alias(clients, server, alias, works):
    """The certificate holds under every name that the server is said to have, provided or self-signed, and no other."""
    command = f"curl --silent --show-error --connect-to {alias}:{server} https://{alias}/-/health"
    assert (clients["inside"].run(command).rc == 0) is works


def test_alias_without_encryption(clients):
    """Whoever comes by an alias is sent to the one address of the index."""
    response = curl(
        clients["inside"], "--connect-to", "index.test:8080:group.test:8080", "http://index.test:8080/simple/"
    )
    assert (response.status, response.headers["location"]) == (301, "https://group.test:8443/simple/")


def test_provided_certificate(servers, inventory):
    """The files that were given are those on the server, and the kit's own authority is not there."""
    given = Path(inventory, "secrets/tls/server.crt").read_bytes()
    assert servers["group.test"].file("/etc/index/tls/server.crt").content == given
    key = servers["group.test"].file("/etc/index/tls/server.key")
    assert (key.user, key.mode) == ("root", 0o600)
    assert not servers["group.test"].file("/etc/index/tls/ca.key").exists


def test_password_cost(servers):
    """Passwords are hashed at the cost that the settings say; a given hash stays what it is."""
    for host in servers.values():
        path = host.check_output("find /etc/pypi /etc/index -name htpasswd 2>/dev/null; true")
        lines = host.file(path).content_string.splitlines()
        assert {line.split(":")[0] for line in lines} == {"hana", "paul", "rita", "verify"}
        assert all(line.split(":", 1)[1].startswith("$2y$05$") for line in lines)


class TestLargestUpload:
    """200 KiB here."""

    @pytest.fixture
    def body(self, clients, put):
        """A way to write an upload's body on a client, too large for a command line."""

        def body(kilobytes: int) -> str:
            inside = clients["inside"]
            head, tail = form("team_large-1.0-py3-none-any.whl", b"<>", sha256_digest="").split(b"<>")
            put(inside, "/root/head", head)
            put(inside, "/root/tail", tail)
            inside.check_output(f"head -c {kilobytes}K /dev/zero | cat /root/head - /root/tail >/root/large")
            return "/root/large"

        return body

    @pytest.mark.parametrize("server", ["group.test", "either.test", "anyone.test"])
    def test_too_large(self, request_from, body, server):
        """Rejected by its size, before its body is read."""
        options = ["--header", TYPE, "--data-binary", f"@{body(300)}"]
        response = request_from("inside", server, "", *options, who="paul")
        assert response.status == 413
        assert "accepts at most 204800 (pypi_max_upload_size)" in response.body

    def test_unknown_size(self, request_from, body):
        """Who does not say how much will come (no client we know) is asked to (RFC 9110, section 15.5.12)."""
        options = ["--header", TYPE, "--header", "Transfer-Encoding: chunked", "--data-binary", f"@{body(300)}"]
        assert request_from("inside", "group.test", "", *options, who="paul").status == 411

    def test_large_enough(self, request_from, body):
        """Just below the limit it is looked at, and refused for what it is: zeros."""
        options = ["--header", TYPE, "--data-binary", f"@{body(190)}"]
        response = request_from("inside", "group.test", "", *options, who="paul")
        assert response.status == 400
        assert "Invalid or corrupt archive" in response.body

    # twine shows the status, uv the answer's text.
    @pytest.mark.parametrize(
        ("command", "words"),
        [
            ("twine upload --non-interactive --repository-url {url} --username {user} *.whl", "accepts at most 204800"),
            ("uv publish --publish-url {url} --username {user} *.whl", "accepts at most 204800"),
        ],
        ids=["twine", "uv"],
    )
    def test_people_read_the_reason(self, clients, put, password_of, command, words):
        """An answer that the program does not show is none."""
        password = password_of("anyone.test", "paul")
        login = {"url": "http://anyone.test:8080/", "user": "paul", "password": password}
        env = ClientEnvironment(clients["inside"], put, login)
        env.write(
            "make.py",
            "import zipfile, os\n"
            "with zipfile.ZipFile('team_large-1.0-py3-none-any.whl', 'w') as archive:\n"
            "    archive.writestr('team_large/data', os.urandom(300_000))\n"
            "    metadata = 'Metadata-Version: 2.1\\nName: team-large\\nVersion: 1.0\\n'\n"
            "    archive.writestr('team_large-1.0.dist-info/METADATA', metadata)\n",
        )
        assert env.run("python3 make.py").rc == 0
        result = env.run(command, TWINE_PASSWORD="{password}", UV_PUBLISH_PASSWORD="{password}")
        assert result.rc != 0
        assert words in " ".join((result.stdout + result.stderr).split())
