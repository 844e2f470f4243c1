"""The index pages over HTTP: content negotiation, normalized names, caching, compression."""

import base64
import gzip
import json

import pytest
from support.archives import wheel

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT = "text/html"
LATEST = "application/vnd.pypi.simple.latest"

# An Accept header and the resulting content type (PEP 691; RFC 9110, section 12.5.1).
FORMS = [
    (JSON, JSON),
    (HTML, HTML),
    (TEXT, TEXT),
    (f"{LATEST}+json", JSON),
    (f"{LATEST}+html", HTML),
    ("*/*", TEXT),
    ("text/*", TEXT),
    (f"{JSON}, {HTML};q=0.1, {TEXT};q=0.01", JSON),  # pip
    (f"{JSON}, {HTML};q=0.2, {TEXT};q=0.01", JSON),  # uv
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT),  # browsers
    (f"{TEXT};q=0.5, {JSON};q=0.8", JSON),
    (f"{JSON};q=0.5, {TEXT};q=0.8", TEXT),
    (f"{JSON} ; q=0.2 , {HTML} ; q=0.9", HTML),
    (f"{JSON};q=0.25, */*;q=0.2", JSON),
    (f"{JSON};q=0, */*", TEXT),
    (f"{TEXT};q=0, */*;q=0.5", HTML),
    ("image/png, application/*;q=0.1", HTML),
    ("image/png, */*;q=0.001", TEXT),
    ("application/json", None),
    ("image/png", None),
    ("text/html;q=0", None),
    ("text/html;q=0.0, image/*", None),
]

# A path and the location that it redirects to (PEP 503: normalized names).
NAMES = [
    ("/simple", "/simple/"),
    ("/simple/acme-pages", "/simple/acme-pages/"),
    ("/simple/Acme-Pages/", "/simple/acme-pages/"),
    ("/simple/acme_pages/", "/simple/acme-pages/"),
    ("/simple/ACME.-_.pages", "/simple/acme-pages/"),
    # pypiserver served its root as an index as well.
    ("/acme-pages/", "/simple/acme-pages/"),
    ("/ACME.-_.pages/", "/simple/acme-pages/"),
    ("/never-here/", "/simple/never-here/"),
]

FILE = "acme_pages-1.0-py3-none-any.whl"


@pytest.fixture(scope="module", autouse=True)
def _published(upload):
    """Publish a project, if an earlier run has not."""
    assert upload(FILE, wheel("acme_pages"), user="bob").status == 200


@pytest.mark.parametrize(("accept", "form"), FORMS)
@pytest.mark.parametrize("path", ["/simple/", "/simple/acme-pages/"])
def test_negotiates_content_type(fetch, path, accept, form):
    """Clients get JSON for installers or HTML for browsers; clients that accept neither get 406."""
    response = fetch(path, "--header", f"Accept: {accept}", user="verify")
    assert response.status == (200 if form else 406)
    if form:
        assert response.headers["content-type"].split(";")[0] == form
        assert {"Accept", "Accept-Encoding"} <= {word.strip() for word in response.headers["vary"].split(",")}


def test_missing_accept_header_gets_html(fetch):
    """A request without an Accept header gets HTML."""
    response = fetch("/simple/acme-pages/", "--header", "Accept:", user="verify")
    assert (response.status, response.headers["content-type"]) == (200, "text/html;charset=utf-8")


@pytest.mark.parametrize(("path", "leads_to"), NAMES)
def test_redirects_to_normalized_name(fetch, path, leads_to):
    """Names that are not normalized are redirected."""
    response = fetch(path, user="verify")
    assert (response.status, response.headers["location"].split(".test", 1)[-1]) == (301, leads_to)


@pytest.mark.parametrize("path", ["/acme-pages/", "/never-here/"])
def test_redirects_index_url_without_simple(fetch, path):
    """The redirect ignores the Host header, needs a login and applies to reads only."""
    moved = fetch(path, "--header", "Host: evil.example", user="verify")
    assert moved.status == 301
    assert "evil" not in moved.headers["location"]
    assert fetch(path).status == 401
    assert fetch(path, "--request", "PUT", user="verify").status == 405


def test_revalidation_returns_304(fetch):
    """Clients revalidate a page on each use, and receive it only if it has changed."""
    first = fetch("/simple/acme-pages/", user="verify")
    assert first.headers["cache-control"] == "no-cache, private"
    again = fetch("/simple/acme-pages/", "--header", f"If-None-Match: {first.headers['etag']}", user="verify")
    assert (again.status, again.body) == (304, "")
    other = fetch("/simple/acme-pages/", "--header", 'If-None-Match: "another"', user="verify")
    assert other.status == 200


def test_compressed_page_has_same_content(fetch, client, settings, password_of, server):
    """The precompressed page equals the uncompressed one."""
    login = f"verify:{password_of(server, 'verify')}"
    url = f"{settings['pypi_url']}simple/acme-pages/"
    command = f"curl --silent --user {login} --header 'Accept: {JSON}'"
    packed = client.check_output(f"{command} --header 'Accept-Encoding: gzip' {url} | base64 -w0")
    plain = client.check_output(f"{command} {url}")
    assert json.loads(gzip.decompress(base64.b64decode(packed))) == json.loads(plain)
    response = fetch("/simple/acme-pages/", "--head", "--header", "Accept-Encoding: gzip", user="verify")
    assert response.headers["content-encoding"] == "gzip"


def test_files_are_cacheable_and_support_ranges(fetch):
    """Files are immutable for caches, and range requests work, as pip and resumed downloads need."""
    response = fetch(f"/packages/{FILE}", "--head", user="verify")
    assert response.headers["cache-control"] == "max-age=31536000, immutable, private"
    assert response.headers["content-type"] == "application/octet-stream"
    part = fetch(f"/packages/{FILE}", "--range", "0-1", user="verify")
    assert (part.status, part.body) == (206, "PK")


def test_serves_metadata_file(fetch):
    """The metadata of a wheel is served separately (PEP 658), with the same access rules."""
    response = fetch(f"/packages/{FILE}.metadata", user="verify")
    assert response.status == 200
    assert "Name: acme_pages" in response.body
    assert fetch(f"/packages/{FILE}.metadata").status == 401


def test_serves_http2(client, settings, password_of, server):
    """Pages are available over HTTP/2."""
    login = f"verify:{password_of(server, 'verify')}"
    url = f"{settings['pypi_url']}simple/acme-pages/"
    assert (
        client.check_output(f"curl --silent --output /dev/null --user {login} --write-out '%{{http_version}}' {url}")
        == "2"
    )


def test_landing_page(fetch):
    """The landing page contains instructions, needs a login, and its static files are served."""
    response = fetch("/", user="verify")
    assert response.status == 200
    assert "pip config set" in response.body
    assert fetch("/").status == 401
    assert fetch("/-/style.css", user="verify").headers["content-type"].startswith("text/css")
    assert fetch("/-/filter.js", user="verify").headers["content-type"].startswith("text/javascript")
