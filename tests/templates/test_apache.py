"""What the site's configuration means: who is let in, from where, to what."""

import re
import shlex
from dataclasses import dataclass, field

import pytest
from support import kit

SITE = "templates/etc/apache2/sites-available/pypi.conf.j2"
PORTS = "templates/etc/apache2/ports.conf.j2"

NETWORKS = ["10.0.0.0/8", "2001:db8::/32"]
IP = "ip 10.0.0.0/8 2001:db8::/32"


@dataclass
class Section:
    """A section of the configuration: <kind argument> with directives and sections in it."""

    kind: str = ""
    argument: str = ""
    lines: list[str] = field(default_factory=list)
    sections: list["Section"] = field(default_factory=list)

    def all(self, kind: str) -> list["Section"]:
        """Return the sections of a kind that are right in this one."""
        return [section for section in self.sections if section.kind == kind]

    def values(self, directive: str) -> list[str]:
        """Return the arguments of a directive, for each time that it is right in this section."""
        return [line.partition(" ")[2] for line in self.lines if line.partition(" ")[0] == directive]


def parse(text: str) -> Section:
    """Read Apache's configuration. Raises AssertionError where sections are not closed as they were opened."""
    stack = [Section()]
    for line in text.replace("\\\n", " ").splitlines():
        stripped = re.sub(r"\s+", " ", line.strip())
        if not stripped or stripped.startswith("#"):
            continue
        if closing := re.fullmatch(r"</(\w+)>", stripped):
            assert stack.pop().kind == closing[1], line
        elif opening := re.fullmatch(r"<(\w+) ?(.*)>", stripped):
            stack[-1].sections.append(Section(opening[1], opening[2].strip('"')))
            stack.append(stack[-1].sections[-1])
        else:
            stack[-1].lines.append(stripped)
    (whole,) = stack
    return whole


def hosts(**changed: object) -> list[Section]:
    """Return the virtual hosts that some settings make."""
    return parse(kit.render(SITE, **changed)).all("VirtualHost")


def index(**changed: object) -> Section:
    """Return the virtual host that serves the index: the last one."""
    return hosts(**changed)[-1]


def rules(host: Section, path: str) -> list:
    """Return the access rules of the last Location with rules that covers a path: Apache goes by those."""
    return [outline(section) for section in covering(host, path) if outline(section)][-1]


def covering(host: Section, path: str) -> list[Section]:
    """Return the Locations that cover a path."""
    return [
        section
        for section in host.sections
        if (section.kind == "LocationMatch" and re.search(section.argument, path))
        or (section.kind == "Location" and path.startswith(section.argument))
    ]


def outline(section: Section) -> list:
    """Return the Require directives of a section, with those of RequireAll and RequireAny as pairs."""
    return section.values("Require") + [(inner.kind, *outline(inner)) for inner in section.sections]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ["valid-user"]),
        ({"pypi_read": "anyone"}, ["all granted"]),
        ({"pypi_read": ["admins", "staff"]}, ["group admins staff"]),
        ({"pypi_allowed_networks": NETWORKS}, [("RequireAll", IP, "valid-user")]),
        ({"pypi_allowed_networks": NETWORKS, "pypi_read": "anyone"}, [("RequireAll", IP, "all granted")]),
        ({"pypi_allowed_networks": NETWORKS, "pypi_access": "any"}, [("RequireAny", IP, "valid-user")]),
        (
            {"pypi_allowed_networks": NETWORKS, "pypi_access": "any", "pypi_read": ["admins"]},
            [("RequireAny", IP, "group admins")],
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "path",
    [
        "/simple/",
        "/simple/foo/",
        "/packages/foo-1.0.tar.gz",
        "/packages/foo-1.0.tar.gz.metadata",
        "/-/landing",
        "/-/style.css",
        "/-/filter.js",
    ],
)
def test_who_reads(changed: dict, expected: list, path: str) -> None:
    """Reading goes by network and person as the settings say."""
    assert rules(index(**changed), path) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [("RequireAll", "valid-user")]),
        ({"pypi_read": "anyone"}, [("RequireAll", "valid-user")]),
        ({"pypi_allowed_networks": NETWORKS}, [("RequireAll", IP, "valid-user")]),
        ({"pypi_allowed_networks": NETWORKS, "pypi_read": "anyone"}, [("RequireAll", IP, "valid-user")]),
        ({"pypi_allowed_networks": NETWORKS, "pypi_access": "any"}, [("RequireAll", "valid-user")]),
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/", "/legacy", "/legacy/"])
def test_who_publishes(changed: dict, expected: list, path: str) -> None:
    """Publishing needs a login, however open reading is, and the network where that is always needed."""
    assert rules(index(**changed), path) == expected


@pytest.mark.parametrize("changed", [{}, {"pypi_read": "anyone"}, {"pypi_access": "any"}], ids=str)
@pytest.mark.parametrize("path", ["/RPC2", "/foo/", "/foo/json", "/legacy/x", "/simpler", "/packagesx", "/-/whoami"])
def test_all_else_is_closed(changed: dict, path: str) -> None:
    """What nobody has thought of is closed, whoever may read."""
    assert rules(index(**changed), path) == ["all denied"]


def test_health_needs_no_login() -> None:
    """Whoever watches the server has no account, but does not come from anywhere, either."""
    assert rules(index(), "/-/health") == ["all granted"]
    assert rules(index(pypi_allowed_networks=NETWORKS), "/-/health") == ["local", IP]


@pytest.mark.parametrize("aliases", [[], ["a.example.com", "b.example.com"]])
def test_names(aliases: list[str]) -> None:
    """Every host answers to every name; another one would show what is behind it."""
    for host in hosts(pypi_server_aliases=aliases):
        assert host.values("ServerName") == ["pypi.example.com"]
        assert host.values("ServerAlias") == aliases


@pytest.mark.parametrize(
    ("changed", "http", "https"),
    [
        ({}, 80, 443),
        ({"pypi_http_port": 8080, "pypi_https_port": 8443}, 8080, 8443),
        ({"pypi_tls": "provided"}, 80, 443),
    ],
    ids=str,
)
def test_encrypted(changed: dict, http: int, https: int) -> None:
    """Without encryption there is nothing but the way to it, and no way to send a password."""
    plain, encrypted = hosts(**changed)
    assert (plain.argument, encrypted.argument) == (f"*:{http}", f"*:{https}")
    assert plain.sections == []
    assert not [line for line in plain.lines if line.startswith(("WSGI", "Auth", "SSL", "Alias"))]
    assert encrypted.values("SSLEngine") == ["On"]
    assert encrypted.values("SSLProtocol") == ["-all +TLSv1.2 +TLSv1.3"]
    assert encrypted.values("SSLCertificateFile") == ["/etc/pypi/tls/server.crt"]
    assert parse(kit.render(PORTS, **changed)).values("Listen") == [str(http), str(https)]


def test_not_encrypted() -> None:
    """Behind a proxy that encrypts, there is one host, and it asks for no certificate."""
    changed = {"pypi_tls": "none", "pypi_http_port": 8080, "pypi_hsts_max_age": 60}
    (host,) = hosts(**changed)
    assert host.argument == "*:8080"
    assert not [line for line in host.lines if line.startswith("SSL")]
    assert "Strict-Transport-Security" not in kit.render(SITE, **changed)
    assert parse(kit.render(PORTS, **changed)).values("Listen") == ["8080"]


@pytest.mark.parametrize(("age", "sent"), [(0, False), ("0", False), (60, True), ("60", True)])
def test_hsts(age: int | str, sent: bool) -> None:
    """It binds every service under the name, so it is sent only where that is meant."""
    lines = [line for line in kit.render(SITE, pypi_hsts_max_age=age).splitlines() if "Strict-Transport" in line]
    assert [line.split()[-1] for line in lines] == ['"max-age=60"'] * sent


@pytest.mark.parametrize("proxies", [[], ["192.0.2.1", "2001:db8::1"]], ids=str)
def test_forwarded_headers(proxies: list[str]) -> None:
    """Anybody can send such headers. The proxies' word for an address is taken, and all else is dropped."""
    host = index(pypi_trusted_proxies=proxies)
    assert host.values("RemoteIPInternalProxy") == ([" ".join(proxies)] if proxies else [])
    assert host.values("RemoteIPHeader") == (["X-Forwarded-For"] if proxies else [])
    dropped = {value.removeprefix("unset ") for value in host.values("RequestHeader")}
    assert dropped >= {"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}


@pytest.mark.parametrize(("size", "octets"), [("1G", 1 << 30), ("300M", 300 << 20), ("4096", 4096)])
def test_upload_limit(size: str, octets: int) -> None:
    """Apache counts in bytes and people do not; and it is where uploads arrive that it counts."""
    limits = [s.values("LimitRequestBody") for s in index(pypi_max_upload_size=size).all("LocationMatch")]
    assert [limit for limit in limits if limit] == [[str(octets)]]


def test_passwords_stay_with_apache() -> None:
    """The application is told who somebody is, and never the password."""
    assert index().values("WSGIPassAuthorization") == ["Off"]
    assert kit.render(SITE).count("WSGIPassAuthorization") == 1


@pytest.mark.parametrize("changed", [{}, {"pypi_read": "anyone"}, {"pypi_read": ["admins"]}], ids=str)
def test_one_way_to_check_passwords(changed: dict) -> None:
    """Passwords are looked at in one place, with its memory and its limits, and by nothing that goes around it."""
    (whole,) = [section for section in index(**changed).sections if section.argument == "/"]
    assert whole.values("AuthType") == ["Basic"]
    assert whole.values("AuthBasicProvider") == ["wsgi"]
    assert [words.split()[0] for words in whole.values("WSGIAuthUserScript")] == ["/usr/local/lib/pypi/passwords.wsgi"]
    text = kit.render(SITE, **changed)
    for directive in ("AuthBasicProvider", "WSGIAuthUserScript"):
        assert text.count(directive) == 1
    for directive in ("AuthUserFile", "AuthBasicAuthoritative", "Satisfy", "AuthBasicFake"):
        assert directive not in text


def test_pages_are_files() -> None:
    """What is read is served by Apache itself; the application gets uploads and the question for its health alone."""
    (alias,) = index().values("WSGIScriptAliasMatch")
    pattern = re.compile(shlex.split(alias)[0])
    for path in ("/", "/legacy", "/legacy/", "/-/health"):
        assert pattern.search(path)
    for path in ("/simple/", "/simple/foo/", "/packages/foo-1.0.tar.gz", "/-/landing", "/-/style.css"):
        assert not pattern.search(path)


def rewrites(host: Section) -> list[tuple[list[str], str]]:
    """Return each rewrite rule with the conditions before it."""
    found, conditions = [], []
    for line in host.lines:
        word, _, rest = line.partition(" ")
        if word == "RewriteCond":
            conditions.append(rest)
        elif word == "RewriteRule":
            found.append((conditions, rest))
            conditions = []
    return found


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/", True),
        ("/legacy", True),
        ("/legacy/", True),
        ("/simple", True),
        ("/simple/", True),
        ("/simple/foo", True),
        ("/simple/Foo.Bar_baz/", True),
        ("/packages/foo-1.0-py3-none-any.whl", True),
        ("/packages/foo-1!1.0+local.tar.gz", True),
        ("/packages/foo-1.0.zip", True),
        ("/packages/foo-1.0-py3-none-any.whl.metadata", True),
        ("/-/health", True),
        ("/-/style.css", True),
        ("/-/landing", False),
        ("/simple/foo/bar", False),
        ("/simple/foo.json", True),  # a project in another spelling, and no file
        ("/simple/../records/foo.json", False),
        ("/packages/", False),
        ("/packages/.hidden.whl", False),
        ("/packages/a/b.whl", False),
        ("/packages/foo.html", False),
        ("/packages/foo-1.0.whl.asc", False),
        ("/packages/foo-1.0.whl%0a", False),
        ("/records/foo.json", False),
        ("/-/whoami", False),
        ("/RPC2", False),
        ("/index.html", False),
    ],
)
def test_addresses(path: str, there: bool) -> None:
    """There is what is meant to be there, and all other addresses lead nowhere."""
    conditions, rule = rewrites(index())[0]
    assert rule == "^ - [R=404,L]"
    patterns = [condition.removeprefix("%{REQUEST_URI} !") for condition in conditions]
    assert len(patterns) == len(conditions) == 4
    assert any(re.search(pattern, path) for pattern in patterns) is there


def test_data_that_is_gone() -> None:
    """It is looked for before anything else is answered: no empty index, and nobody is sent elsewhere."""
    answers = [pair for pair in rewrites(index(pypi_data_dir="/a/data")) if "R=" in pair[1]]
    assert answers[1] == (["/a/data/.wheelhouse !-f", "%{REQUEST_METHOD} ^(GET|HEAD)$"], "!^/-/ - [R=503,L]")


@pytest.mark.parametrize(
    ("changed", "url", "private"),
    [
        ({}, None, None),
        ({"pypi_upstream_url": "https://m.example/simple/", "pypi_private_names": ["acme-*"]}, None, None),
        ({"pypi_upstream": "redirect"}, "https://public.example/simple/", None),
        (
            {"pypi_upstream": "redirect", "pypi_upstream_url": "https://m.example/simple/"},
            "https://m.example/simple/",
            None,
        ),
        (
            {"pypi_upstream": "redirect", "pypi_private_names": ["acme-*", "f?o"]},
            "https://public.example/simple/",
            "(?:acme-[a-z0-9-]*|f[a-z0-9-]o)",
        ),
    ],
    ids=str,
)
def test_upstream(changed: dict, url: str | None, private: str | None) -> None:
    """Who wants it is sent elsewhere for what never was here and is nobody's own, and no others are."""
    host = index(pypi_pages_dir="/a/pages", **changed)
    (pages,) = [section for section in host.sections if section.argument == "/simple/"]
    if url is None:
        assert pages.values("RewriteRule") == []
        assert "public.example" not in kit.render(SITE, **changed)
        return
    assert pages.values("RewriteRule") == [f"^ {url}%1/ [R=302,L]"]
    conditions = pages.values("RewriteCond")
    assert "%{REQUEST_FILENAME} !-f" in conditions
    assert "/a/pages/projects/%1.gone !-f" in conditions
    negative = [condition for condition in conditions if condition.startswith("%{REQUEST_URI} !")]
    assert negative == ([f"%{{REQUEST_URI}} !^/simple/{private}/$"] if private else [])


@pytest.mark.parametrize(
    ("changed", "private"),
    [
        ({}, True),
        ({"pypi_read": ["admins"]}, True),
        ({"pypi_read": "anyone", "pypi_allowed_networks": NETWORKS}, True),
        ({"pypi_read": "anyone"}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize(("path", "kept"), [("/simple/foo/", "no-cache"), ("/packages/x.whl", "immutable")])
def test_caches(changed: dict, private: bool, path: str, kept: str) -> None:
    """Pages are asked for anew and files are kept, but by nobody who would hand them to those who may not read."""
    lines = [line for section in covering(index(**changed), path) for line in section.values("Header")]
    (control,) = [line for line in lines if "Cache-Control" in line]
    assert kept in control
    assert ("private" in control) is private


def test_directives() -> None:
    """What the settings add is in the index's host, line for line."""
    host = index(pypi_apache_directives="Header set X-One 1\n<Location /x>\nRequire all denied\n</Location>")
    assert "set X-One 1" in host.values("Header")
    assert outline(host.sections[-1]) == ["all denied"]


def test_application_runs_as_its_own_user() -> None:
    """A fault in it must not be one of Apache's, and it finds its packages in the release that is in use."""
    (process,) = parse(kit.render(SITE, pypi_processes=3, pypi_threads=5)).values("WSGIDaemonProcess")
    words = dict(word.partition("=")[::2] for word in shlex.split(process))
    assert (words["user"], words["group"], words["processes"], words["threads"]) == ("pypi", "pypi", "3", "5")
    assert words["python-home"] == "/opt/pypi/current"
