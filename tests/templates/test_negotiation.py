"""Content negotiation: the site's rewrite rules against RFC 9110, sections 12.5.1 and 12.5.3."""

import re
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import ansible_templates, short
from support.apache import SITE, parse
from support.rewrite import Outcome, respond, rules_of

JSON, HTML, TEXT = "application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.v1+html", "text/html"
# PEP 691: "latest" is the newest version, which is v1.
NAMES = {
    JSON: {JSON, "application/vnd.pypi.simple.latest+json"},
    HTML: {HTML, "application/vnd.pypi.simple.latest+html"},
    TEXT: {TEXT},
}
PIP = f"{JSON}, {HTML}; q=0.1, text/html; q=0.01"
UV = f"{JSON}, {HTML};q=0.2, text/html;q=0.01"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)

RULES = rules_of(parse(ansible_templates.render(SITE)).all("VirtualHost")[-1].lines)


def fetch(path: str = "/simple/foo/", **headers: str) -> Outcome:
    """Request a page; header names are written as in accept_encoding."""
    return respond(RULES, path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def elements_of(header: str) -> list[tuple[str, float]]:
    """Split a list with weights (RFC 9110, sections 5.6.1 and 12.4.2) into lower-case values and qualities.

    Other parameters are ignored: the index has one representation of each type.
    """
    found = []
    for element in header.split(","):
        value, *parameters = (part.strip(" \t") for part in element.split(";"))
        quality = [float(text[2:]) for text in parameters if text[:2].lower() == "q="]
        if value:
            found.append((value.lower(), quality[0] if quality else 1.0))
    return found


def qualities(accept: str) -> dict[str, float]:
    """Return the quality of each representation by RFC 9110, section 12.5.1. The most specific range counts."""
    ranges = dict(elements_of(accept))
    if not ranges:
        return dict.fromkeys(NAMES, 1.0)
    found = {}
    for media_type, names in NAMES.items():
        exact = [ranges[name] for name in names if name in ranges]
        others = [ranges[name] for name in (f"{media_type.partition('/')[0]}/*", "*/*") if name in ranges]
        found[media_type] = [*exact, *others, 0.0][0]
    return found


# Headers.

space = st.sampled_from(["", "", "", " ", "  ", "\t", " \t "])
weights = st.one_of(
    st.sampled_from(["0", "0.", "0.0", "0.00", "0.000", "1", "1.", "1.0", "1.00", "1.000", "0.1", "0.5", "0.50"]),
    st.from_regex(r"0\.[0-9]{1,3}", fullmatch=True),
)
ranges = st.sampled_from(
    [
        *(name for names in NAMES.values() for name in sorted(names)),
        *("*/*", "application/*", "text/*"),
        *("application/json", "text/plain", "image/*", "text/htmlx", "xtext/html", f"{JSON}x", "text/html+xml", "*"),
        "application/vnd.pypi.simple.v2+json",
        "application/vndxpypi.simple.v1+json",
    ]
)
parameters = st.sampled_from(["", "", "", ";charset=utf-8", "; level=1", " ;\tv=b3;x=y", ";xq=0.9", ";q1=0.9"])


def any_case(text: str) -> st.SearchStrategy[str]:
    """Return a strategy for the text in different cases."""
    return st.sampled_from([text, text, text.upper(), text.title()])


@st.composite
def elements(draw: st.DrawFn, values: st.SearchStrategy[str], with_parameters: bool) -> tuple[str, str]:
    """Return a value, and the list element that a client sends for it."""
    value = draw(values)
    text = draw(any_case(value)) + (draw(parameters) if with_parameters else "")
    if draw(st.booleans()):
        text += f"{draw(space)};{draw(space)}{draw(st.sampled_from('qqqQ'))}={draw(weights)}"
    return value, f"{draw(space)}{text}{draw(space)}"


@st.composite
def headers(draw: st.DrawFn, values: st.SearchStrategy[str], with_parameters: bool = False) -> str:
    """Return a list header. Each value occurs once at most, since two weights of one value are undefined."""

    def key(element: tuple[str, str]) -> str:
        return element[0].replace("latest", "v1").removeprefix("x-")

    found = draw(st.lists(elements(values, with_parameters), max_size=8, unique_by=key))
    texts = [text for _value, text in found]
    for place in draw(st.lists(st.integers(0, len(texts)), max_size=2)):
        texts.insert(place, draw(space))
    return ",".join(texts)


@given(headers(ranges, with_parameters=True))
@example("")
@example(",")
@example(" , ,")
@example("*/*;q=0")
@example("*/*, text/html;q=0")
@example("text/html;q=0, */*;q=0.001")
@example("application/*;q=0.5, text/*;q=0.50")
@example(f"{JSON};q=0.9, text/html;q=0.91")
@example(f"{JSON};q=0")
@example(f"{HTML};q=0.3,*/*;q=0.2")
@example(PIP)
@example(UV)
@example(FIREFOX)
@example(CHROME)
def test_serves_a_type_of_the_highest_quality(accept: str) -> None:
    """The served type has the highest quality, and no rejected type is served."""
    assert_best_is_served(accept)


def assert_best_is_served(accept: str) -> None:
    """Compare the response with the reference: 406 if all qualities are 0."""
    expected = qualities(accept)
    outcome = fetch(accept=accept)
    best = max(expected.values())
    if best == 0:
        assert (outcome.kind, outcome.status) == ("status", 406)
        return
    assert outcome.kind == "file"
    assert expected[outcome.type.removesuffix(";charset=utf-8")] == best
    suffix = "json" if outcome.type == JSON else "html"
    assert outcome.target.endswith(f"/projects/foo.{suffix}")


@pytest.mark.parametrize("others", ["", "*/*;q=0.305", "application/*;q=0.305", "text/*;q=0.305,*/*;q=0.2"])
def test_compares_qualities(others: str) -> None:
    """All combinations of three qualities, or none, for each type."""
    for choice in product((None, "0", "0.3", "0.31"), repeat=3):
        listed = [f"{name};q={quality}" for name, quality in zip(NAMES, choice, strict=True) if quality]
        assert_best_is_served(",".join([*listed, *filter(None, [others])]))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("*/*;q=0.1", TEXT),
        ("text/*", TEXT),
        ("application/*", HTML),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("application/vnd.pypi.simple.latest+html", HTML),
        (PIP, JSON),
        (UV, JSON),
        (FIREFOX, TEXT),
        (CHROME, TEXT),
        (f"{JSON};q=0.5,{HTML};q=0.5,text/html;q=0.5", TEXT),
        (f"{JSON};q=0.5,{HTML};q=0.5", HTML),
    ],
    ids=short,
)
@pytest.mark.parametrize("path", ["/simple/", "/simple/foo/"])
def test_serves_known_clients(path: str, accept: str, expected: str) -> None:
    """Responses to pip and uv are JSON; browsers and clients without a preference get text/html."""
    outcome = fetch(path, accept=accept)
    assert outcome.type == (f"{TEXT};charset=utf-8" if expected == TEXT else expected)


def test_missing_accept_header_gets_html() -> None:
    """Without Accept, every type is acceptable."""
    assert respond(RULES, "/simple/").type == "text/html;charset=utf-8"


@given(st.text(st.sampled_from('aq=;,/*. \t01"\\-texhml'), max_size=80))
@example("text/html;q=1.5")
@example("text/html;q=0.1234")
@example("text/html;q=-1")
@example("text/html;q=")
@example("text/html;q")
@example("text/html;")
@example(";q=0.5")
@example("text/html;q=0, text/html;q=1")
@example('text/html;x="a,b";q=0.5')
def test_malformed_headers_get_page_or_406(accept: str) -> None:
    """A malformed header causes no other error."""
    outcome = fetch(accept=accept)
    assert outcome.kind == "file" or (outcome.kind, outcome.status) == ("status", 406)


@pytest.mark.parametrize(("length", "status"), [(999, 200), (1000, 431), (4000, 431)])
def test_rejects_long_headers(length: int, status: int) -> None:
    """The length is limited, since the rules match the header several times."""
    outcome = fetch(accept="text/html," + "a" * (length - 10))
    assert outcome.status == status


codings = st.sampled_from(["gzip", "x-gzip", "br", "deflate", "zstd", "identity", "gzipx", "xgzip", "agzip", "gzi"])


@given(headers(codings))
@example("")
@example("gzip")
@example("gzip;q=0")
@example("gzip;q=0.0")
@example("gzip ; q=0.000 , br")
@example("gzip;q=0.001")
@example("gzip;q=1.")
@example("x-gzip")
@example("gzip, deflate, br, zstd")
def test_compresses_for_clients_that_accept_gzip(accept_encoding: str) -> None:
    """The compressed page is served if gzip or x-gzip has a quality above 0."""
    listed = dict(elements_of(accept_encoding))
    expected = any(listed.get(name, 0) > 0 for name in ("gzip", "x-gzip"))
    outcome = fetch(accept="*/*", accept_encoding=accept_encoding)
    assert outcome.kind == "file"
    assert outcome.target.endswith(".html.gz") is expected
    assert outcome.env.get("GZIP", "") == (".gz" if expected else "")


def test_compressed_pages_have_headers() -> None:
    """Compressed pages have Content-Encoding, and all pages have Vary."""
    host = parse(ansible_templates.render(SITE)).all("VirtualHost")[-1]
    (line,) = [line for line in host.values("Header") if "Content-Encoding" in line]
    assert re.fullmatch(r"set Content-Encoding gzip \"expr=reqenv\('GZIP'\) == '\.gz' && .*\"", line)
    (pages,) = [section for section in host.sections if section.argument == "/simple/"]
    assert 'always set Vary "Accept, Accept-Encoding"' in pages.values("Header")


def test_fast_path_skips_only_the_negotiation() -> None:
    """For pip and uv, flag S skips exactly the rules up to the 406."""
    numbers = {rule.target + str(rule.flags): number for number, rule in enumerate(RULES)}
    (fast,) = [number for number, rule in enumerate(RULES) if "S" in rule.flags]
    (last,) = [number for text, number in numbers.items() if "406" in text]
    assert fast + int(RULES[fast].flags["S"][0]) == last
