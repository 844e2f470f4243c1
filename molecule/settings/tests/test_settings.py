"""Names, paths, rights and limits: each setting has its effect."""

from pathlib import Path

import pytest
from shared.client_env import ClientEnvironment
from shared.http import curl
from shared.uploads import TYPE, form
from support.archives import fitting, wheel

HANA = ("hana", "The password of hana")

# User, project, status of the upload.
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


@pytest.mark.parametrize(("user", "project", "status"), RIGHTS)
def test_upload_rights(send_from, user, project, status):
    """Rights of groups and users are combined; access is denied by default."""
    name = f"{project}-1.0-py3-none-any.whl"
    assert send_from("inside", "either.test", name, fitting(name), user=user).status == status


def test_upload_right_does_not_include_removal(request_from, send_from):
    """Removing needs a right of its own."""
    send_from("inside", "either.test", "shared_8-1.0-py3-none-any.whl", wheel("shared_8"), user=HANA)
    form_of = {":action": "remove_pkg", "name": "shared-8", "version": "1.0"}
    options = [word for item in form_of.items() for word in ("--form", "=".join(item))]
    assert request_from("inside", "either.test", "", *options, user="paul").status == 403
    assert request_from("inside", "either.test", "", *options, user=HANA).status == 200


@pytest.mark.parametrize("path", ["/srv/pypi", "/etc/pypi", "/opt/pypi", "/var/log/pypi", "/var/lib/pypi"])
def test_uses_no_default_path(servers, path):
    """A changed path is used everywhere: no default path exists."""
    assert not servers["group.test"].file(path).exists


def test_stores_uploads_in_data_directory(servers, send_from):
    """Uploads are stored in pypi_data_dir."""
    name = "team_here-1.0-py3-none-any.whl"
    assert send_from("inside", "group.test", name, fitting(name), user="paul").status == 200
    assert servers["group.test"].file(f"/data/index/packages/{name}").exists


def test_applies_custom_apache_directives(request_from):
    """Directives in pypi_apache_directives are in effect."""
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
def test_certificate_covers_aliases(clients, server, alias, works):
    """A provided or self-signed certificate is valid for all configured names and no others."""
    command = f"curl --silent --show-error --connect-to {alias}:{server} https://{alias}/-/health"
    assert (clients["inside"].run(command).rc == 0) is works


def test_alias_redirects_over_http(clients):
    """Plain HTTP under an alias is redirected to the index's URL."""
    response = curl(
        clients["inside"], "--connect-to", "index.test:8080:group.test:8080", "http://index.test:8080/simple/"
    )
    assert (response.status, response.headers["location"]) == (301, "https://group.test:8443/simple/")


def test_installs_provided_certificate(servers, inventory):
    """The server has the provided files, and no CA of its own."""
    expected = Path(inventory, "secrets/tls/server.crt").read_bytes()
    assert servers["group.test"].file("/etc/index/tls/server.crt").content == expected
    key = servers["group.test"].file("/etc/index/tls/server.key")
    assert (key.user, key.mode) == ("root", 0o600)
    assert not servers["group.test"].file("/etc/index/tls/ca.key").exists


def test_hashes_passwords_with_configured_cost(servers):
    """Passwords are hashed with pypi_bcrypt_cost; provided hashes are unchanged."""
    for host in servers.values():
        path = host.check_output("find /etc/pypi /etc/index -name htpasswd 2>/dev/null; true")
        lines = host.file(path).content_string.splitlines()
        assert {line.split(":")[0] for line in lines} == {
            "canary",
            "hana",
            "paul",
            "rita",
            "robin",
            "verify",
        }
        assert all(line.split(":", 1)[1].startswith("$2y$05$") for line in lines)


class TestLargestUpload:
    """pypi_max_upload_size, which is 200 KiB here."""

    @pytest.fixture
    def body(self, clients, put):
        """Write an upload body on a client container; it is too large for a command line."""

        def body(kilobytes: int) -> str:
            inside = clients["inside"]
            head, tail = form("team_large-1.0-py3-none-any.whl", b"<>", sha256_digest="").split(b"<>")
            put(inside, "/root/head", head)
            put(inside, "/root/tail", tail)
            inside.check_output(f"head -c {kilobytes}K /dev/zero | cat /root/head - /root/tail >/root/large")
            return "/root/large"

        return body

    @pytest.mark.parametrize("server", ["group.test", "either.test", "anyone.test"])
    def test_rejects_larger_upload(self, request_from, body, server):
        """The upload is rejected by its Content-Length, before the body is read."""
        options = ["--header", TYPE, "--data-binary", f"@{body(300)}"]
        response = request_from("inside", server, "", *options, user="paul")
        assert response.status == 413
        assert "accepts at most 204800 (pypi_max_upload_size)" in response.body

    def test_rejects_upload_without_content_length(self, request_from, body):
        """A chunked upload gets 411 (RFC 9110, section 15.5.12)."""
        options = ["--header", TYPE, "--header", "Transfer-Encoding: chunked", "--data-binary", f"@{body(300)}"]
        assert request_from("inside", "group.test", "", *options, user="paul").status == 411

    def test_reads_upload_below_limit(self, request_from, body):
        """An upload just below the limit is read, and rejected as an invalid archive."""
        options = ["--header", TYPE, "--data-binary", f"@{body(190)}"]
        response = request_from("inside", "group.test", "", *options, user="paul")
        assert response.status == 400
        assert "Invalid or corrupt archive" in response.body

    # The output of twine contains the status, that of uv the response body.
    @pytest.mark.parametrize(
        ("command", "message"),
        [
            ("twine upload --non-interactive --repository-url {url} --username {user} *.whl", "accepts at most 204800"),
            ("uv publish --publish-url {url} --username {user} *.whl", "accepts at most 204800"),
        ],
        ids=["twine", "uv"],
    )
    def test_clients_show_the_reason(self, clients, put, password_of, command, message):
        """The output of upload tools contains the reason."""
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
        assert message in " ".join((result.stdout + result.stderr).split())
