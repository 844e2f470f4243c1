"""What everybody meets first: closed doors, redirects, encryption, and what the server tells about itself."""

import pytest

# Method, path, status. Nobody is signed in.
REQUESTS = [
    # What pypiserver or Apache would show besides the index.
    ("GET", "/RPC2", 404),
    ("POST", "/RPC2", 404),
    ("GET", "/packages", 404),
    ("GET", "/packages/", 404),
    ("GET", "/server-status", 404),
    ("GET", "/index.html", 404),
    ("GET", "/cgi-bin/test", 404),
    ("GET", "/simple/../RPC2", 404),
    ("GET", "/simple/a/b/", 404),
    # Uploads are posted, all else is only read.
    ("GET", "/legacy/", 405),
    ("PUT", "/", 405),
    ("DELETE", "/packages/acme-1.0.tar.gz", 405),
    ("PUT", "/simple/", 405),
    ("POST", "/simple/", 405),
    ("POST", "/-/health", 405),
    ("TRACE", "/simple/", 405),
    # Publishing needs a login, always.
    ("POST", "/", 401),
    ("POST", "/legacy", 401),
    ("POST", "/legacy/", 401),
    # A monitor has no account.
    ("GET", "/-/health", 200),
    ("HEAD", "/-/health", 200),
    ("GET", "/-/health/reads", 200),
    ("POST", "/-/health/uploads", 405),
    ("GET", "/-/health/x", 404),
    # Without "simple/", a project is as closed as with it.
    ("PUT", "/acme/", 405),
]

FORGED = ["X-Forwarded-User: alice", "X-Remote-User: alice", "Remote-User: alice", "REMOTE_USER: alice"]


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS)
def test_without_login(ask, method, path, status):
    """A stranger gets exactly this far."""
    how = ["--head"] if method == "HEAD" else ["--request", method]
    assert ask(path, "--path-as-is", *how).status == status


@pytest.mark.parametrize("header", FORGED)
def test_forged_user(ask, header):
    """Who somebody is, only a password tells: a header that some proxies set is a stranger's word."""
    assert ask("/", "--header", header, "--form", ":action=file_upload").status == 401


@pytest.mark.parametrize("password", ["", "wrong"])
def test_wrong_password(ask, password):
    """A known name alone opens nothing."""
    assert ask("/", "--form", ":action=file_upload", user=("alice", password)).status == 401


def test_allow(ask):
    """A 405 says what would be allowed (RFC 9110, section 15.5.6)."""
    assert ask("/legacy/").headers["allow"] == "POST"
    assert ask("/simple/", "--request", "PUT").headers["allow"] == "GET, HEAD"


def test_banner(ask):
    """Versions help nobody but attackers."""
    assert ask("/-/health").headers["server"] == "Apache"
    assert "Apache/" not in ask("/nothing").body


def test_protective_headers(ask):
    """Somebody's package name must not become a script in somebody else's browser, on error pages either."""
    for path in ("/-/health", "/nothing"):
        headers = ask(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.encrypted
class TestEncryption:
    """The two ports, one of which only sends people on."""

    @pytest.fixture
    def plain(self, settings):
        """The address of the port that does not encrypt, without a path."""
        return f"http://{settings['pypi_server_name']}:{settings['pypi_http_port']}"

    @pytest.mark.parametrize("path", ["/", "/simple/", "/packages/acme-1.0.tar.gz"])
    def test_redirect(self, ask, settings, plain, path):
        """People type addresses without a scheme."""
        answer = ask(plain + path)
        assert answer.status == 301
        assert answer.headers["location"] == settings["pypi_url"] + path.removeprefix("/")

    def test_no_password_in_the_clear(self, ask, plain):
        """A redirect would work, and go on giving the password away on every run; a refusal is noticed."""
        answer = ask(f"{plain}/simple/", user="verify")
        assert answer.status == 403
        assert "encryption" in answer.body
        assert "www-authenticate" not in ask(f"{plain}/simple/").headers

    def test_no_upload_in_the_clear(self, ask, plain):
        """Even a redirect would have made the client send the body first."""
        assert ask(f"{plain}/", "--request", "POST").status == 403

    @pytest.mark.parametrize(("version", "works"), [("1", False), ("1_1", False), ("1_2", True), ("1_3", True)])
    def test_tls_version(self, client, settings, version, works):
        """Versions before 1.2 are broken (RFC 8996). The client offers them, so it is the server that refuses."""
        address = f"{settings['pypi_server_name']}:{settings['pypi_https_port']}"
        command = f"openssl s_client -connect {address} -tls{version} -cipher DEFAULT@SECLEVEL=0 </dev/null"
        result = client.run(f"sh -c '{command}'")
        assert (result.rc == 0) is works
        if not works:
            assert "alert protocol version" in result.stderr

    def test_wrong_name(self, ask, client, settings):
        """The certificate is worth something: under a name that is not the server's, clients refuse it."""
        server, port = settings["pypi_server_name"], settings["pypi_https_port"]
        command = f"curl --silent --connect-to ::{server}:{port} https://another.test/-/health"
        assert client.run(command).rc == 60
        assert ask("/-/health").status == 200

    def test_hsts(self, ask, settings):
        """Announced where the settings say so, and only there: browsers do not forget it for its time."""
        expected = f"max-age={settings['pypi_hsts_max_age']}" if int(settings["pypi_hsts_max_age"]) else None
        assert ask("/-/health").headers.get("strict-transport-security") == expected
