"""The index's pages over HTTP: which form a client gets, under which name, and what it need not fetch again."""

import base64
import gzip
import json

import pytest
from support.archives import wheel

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT = "text/html"
LATEST = "application/vnd.pypi.simple.latest"

# An Accept header, and the form that answers it (PEP 691; RFC 9110, section 12.5.1).
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

# A path, and where it leads (PEP 503: names are normalised).
NAMES = [
    ("/simple", "/simple/"),
    ("/simple/acme-pages", "/simple/acme-pages/"),
    ("/simple/Acme-Pages/", "/simple/acme-pages/"),
    ("/simple/acme_pages/", "/simple/acme-pages/"),
    ("/simple/ACME.-_.pages", "/simple/acme-pages/"),
    # pypiserver took its root for an index URL as well.
    ("/acme-pages/", "/simple/acme-pages/"),
    ("/ACME.-_.pages/", "/simple/acme-pages/"),
    ("/never-here/", "/simple/never-here/"),
]

FILE = "acme_pages-1.0-py3-none-any.whl"


@pytest.fixture(scope="module", autouse=True)
def _published(upload):
    """One project that is there, perhaps since an earlier run."""
    assert upload(FILE, wheel("acme_pages"), user="bob").status == 200


@pytest.mark.parametrize(("accept", "form"), FORMS)
@pytest.mark.parametrize("path", ["/simple/", "/simple/acme-pages/"])
def test_form(ask, path, accept, form):
    """pip and uv get JSON, browsers a page, and who takes neither is told."""
    answer = ask(path, "--header", f"Accept: {accept}", user="verify")
    assert answer.status == (200 if form else 406)
    if form:
        assert answer.headers["content-type"].split(";")[0] == form
        assert {"Accept", "Accept-Encoding"} <= {word.strip() for word in answer.headers["vary"].split(",")}


def test_no_accept(ask):
    """A client that says nothing takes anything."""
    answer = ask("/simple/acme-pages/", "--header", "Accept:", user="verify")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html;charset=utf-8")


@pytest.mark.parametrize(("path", "leads_to"), NAMES)
def test_name(ask, path, leads_to):
    """People write names as they like."""
    answer = ask(path, user="verify")
    assert (answer.status, answer.headers["location"].split(".test", 1)[-1]) == (301, leads_to)


@pytest.mark.parametrize("path", ["/acme-pages/", "/never-here/"])
def test_index_url_without_simple(ask, path):
    """It leads to the index's own URL, whatever Host says, after a login, and for reading only."""
    moved = ask(path, "--header", "Host: evil.example", user="verify")
    assert moved.status == 301
    assert "evil" not in moved.headers["location"]
    assert ask(path).status == 401
    assert ask(path, "--request", "PUT", user="verify").status == 405


def test_unchanged(ask):
    """A page is asked for each time, and sent once."""
    first = ask("/simple/acme-pages/", user="verify")
    assert first.headers["cache-control"] == "no-cache, private"
    again = ask("/simple/acme-pages/", "--header", f"If-None-Match: {first.headers['etag']}", user="verify")
    assert (again.status, again.body) == (304, "")
    other = ask("/simple/acme-pages/", "--header", 'If-None-Match: "another"', user="verify")
    assert other.status == 200


def test_compressed(ask, client, settings, password_of, server):
    """Compressed once, when the page is written; the same page."""
    login = f"verify:{password_of(server, 'verify')}"
    url = f"{settings['pypi_url']}simple/acme-pages/"
    fetch = f"curl --silent --user {login} --header 'Accept: {JSON}'"
    packed = client.check_output(f"{fetch} --header 'Accept-Encoding: gzip' {url} | base64 -w0")
    plain = client.check_output(f"{fetch} {url}")
    assert json.loads(gzip.decompress(base64.b64decode(packed))) == json.loads(plain)
    answer = ask("/simple/acme-pages/", "--head", "--header", "Accept-Encoding: gzip", user="verify")
    assert answer.headers["content-encoding"] == "gzip"


def test_file(ask):
    """A file is fetched once, and in parts: resumed downloads, and pip reading a wheel's end."""
    answer = ask(f"/packages/{FILE}", "--head", user="verify")
    assert answer.headers["cache-control"] == "max-age=31536000, immutable, private"
    assert answer.headers["content-type"] == "application/octet-stream"
    part = ask(f"/packages/{FILE}", "--range", "0-1", user="verify")
    assert (part.status, part.body) == (206, "PK")


def test_metadata(ask):
    """Installers read what a wheel needs before they download it (PEP 658)."""
    answer = ask(f"/packages/{FILE}.metadata", user="verify")
    assert answer.status == 200
    assert "Name: acme_pages" in answer.body
    assert ask(f"/packages/{FILE}.metadata").status == 401


def test_http2(client, settings, password_of, server):
    """Many small requests over one connection."""
    login = f"verify:{password_of(server, 'verify')}"
    url = f"{settings['pypi_url']}simple/acme-pages/"
    assert (
        client.check_output(f"curl --silent --output /dev/null --user {login} --write-out '%{{http_version}}' {url}")
        == "2"
    )


def test_landing(ask):
    """What a person sees who opens the address: how to use it, and what there is; not without a login."""
    answer = ask("/", user="verify")
    assert answer.status == 200
    assert "pip config set" in answer.body
    assert ask("/").status == 401
    assert ask("/-/style.css", user="verify").headers["content-type"].startswith("text/css")
    assert ask("/-/filter.js", user="verify").headers["content-type"].startswith("text/javascript")
