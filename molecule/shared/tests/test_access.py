"""Access without a login, redirects to HTTPS, TLS versions, and information disclosure by headers."""

import pytest

# Method, path, status; all without a login.
REQUESTS = [
    # URLs that pypiserver or Apache would serve by default.
    ("GET", "/RPC2", 404),
    ("POST", "/RPC2", 404),
    ("GET", "/packages", 404),
    ("GET", "/packages/", 404),
    ("GET", "/server-status", 404),
    ("GET", "/index.html", 404),
    ("GET", "/cgi-bin/test", 404),
    ("GET", "/simple/../RPC2", 404),
    ("GET", "/simple/a/b/", 404),
    # Uploads use POST; everything else is read-only.
    ("GET", "/legacy/", 405),
    ("PUT", "/", 405),
    ("DELETE", "/packages/acme-1.0.tar.gz", 405),
    ("PUT", "/simple/", 405),
    ("POST", "/simple/", 405),
    ("POST", "/-/health", 405),
    ("TRACE", "/simple/", 405),
    # Publishing always needs a login.
    ("POST", "/", 401),
    ("POST", "/legacy", 401),
    ("POST", "/legacy/", 401),
    # Monitoring has no account.
    ("GET", "/-/health", 200),
    ("HEAD", "/-/health", 200),
    ("GET", "/-/health/reads", 200),
    ("POST", "/-/health/uploads", 405),
    ("GET", "/-/health/x", 404),
    # Without "simple/", a project is as protected as with it.
    ("PUT", "/acme/", 405),
]

FORGED = ["X-Forwarded-User: alice", "X-Remote-User: alice", "Remote-User: alice", "REMOTE_USER: alice"]


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS)
def test_status_without_login(fetch, method, path, status):
    """Unauthenticated clients get exactly these responses."""
    options = ["--head"] if method == "HEAD" else ["--request", method]
    assert fetch(path, "--path-as-is", *options).status == status


@pytest.mark.parametrize("header", FORGED)
def test_rejects_forged_identity_header(fetch, header):
    """Only a password authenticates: the identity headers that some proxies set are ignored."""
    assert fetch("/", "--header", header, "--form", ":action=file_upload").status == 401


@pytest.mark.parametrize("password", ["", "wrong"])
def test_rejects_wrong_password(fetch, password):
    """A valid user name without its password is rejected."""
    assert fetch("/", "--form", ":action=file_upload", user=("alice", password)).status == 401


def test_405_lists_allowed_methods(fetch):
    """A 405 response has an Allow header (RFC 9110, section 15.5.6)."""
    assert fetch("/legacy/").headers["allow"] == "POST"
    assert fetch("/simple/", "--request", "PUT").headers["allow"] == "GET, HEAD"


def test_hides_apache_version(fetch):
    """Response headers and error pages do not disclose versions."""
    assert fetch("/-/health").headers["server"] == "Apache"
    assert "Apache/" not in fetch("/nothing").body


def test_sends_security_headers(fetch):
    """All responses, error pages included, protect against script injection by package names."""
    for path in ("/-/health", "/nothing"):
        headers = fetch(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.encrypted
class TestEncryption:
    """The HTTPS port, and the HTTP port that redirects to it."""

    @pytest.fixture
    def http_url(self, settings):
        """Return the base URL of the unencrypted port."""
        return f"http://{settings['pypi_server_name']}:{settings['pypi_http_port']}"

    @pytest.mark.parametrize("path", ["/", "/simple/", "/packages/acme-1.0.tar.gz"])
    def test_redirects_to_https(self, fetch, settings, http_url, path):
        """Requests without credentials are redirected."""
        response = fetch(http_url + path)
        assert response.status == 301
        assert response.headers["location"] == settings["pypi_url"] + path.removeprefix("/")

    def test_rejects_credentials_over_http(self, fetch, http_url):
        """Credentials over HTTP get 403: a redirect would succeed, hide the leak and repeat it on every run."""
        response = fetch(f"{http_url}/simple/", user="verify")
        assert response.status == 403
        assert "encryption" in response.body
        assert "www-authenticate" not in fetch(f"{http_url}/simple/").headers

    def test_rejects_upload_over_http(self, fetch, http_url):
        """The upload gets 403: with a redirect, clients would send the body unencrypted first."""
        assert fetch(f"{http_url}/", "--request", "POST").status == 403

    @pytest.mark.parametrize(("version", "works"), [("1", False), ("1_1", False), ("1_2", True), ("1_3", True)])
    def test_tls_version(self, client, settings, version, works):
        """Reject TLS before 1.2 (RFC 8996). The client offers these versions, so it is the server that rejects them."""
        address = f"{settings['pypi_server_name']}:{settings['pypi_https_port']}"
        command = f"openssl s_client -connect {address} -tls{version} -cipher DEFAULT@SECLEVEL=0 </dev/null"
        result = client.run(f"sh -c '{command}'")
        assert (result.rc == 0) is works
        if not works:
            assert "alert protocol version" in result.stderr

    def test_certificate_does_not_match_other_names(self, fetch, client, settings):
        """Clients reject the certificate under a name that is not the server's."""
        server, port = settings["pypi_server_name"], settings["pypi_https_port"]
        command = f"curl --silent --connect-to ::{server}:{port} https://another.test/-/health"
        assert client.run(command).rc == 60
        assert fetch("/-/health").status == 200

    def test_hsts_follows_setting(self, fetch, settings):
        """The header is sent only if pypi_hsts_max_age is set: browsers remember it for that time."""
        expected = f"max-age={settings['pypi_hsts_max_age']}" if int(settings["pypi_hsts_max_age"]) else None
        assert fetch("/-/health").headers.get("strict-transport-security") == expected
