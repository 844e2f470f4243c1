"""Networks and logins, and how they combine: who may do what from where."""

import uuid

import pytest
from support.archives import fitting

HANA = ("hana", "The password of hana")
WRONG = ("rita", "wrong")
FORMER = ("former", "The password of former")

# Server, from where, who, status of a read.
READS = [
    # All: the network, and a user of the group.
    ("group.test", "inside", None, 401),
    ("group.test", "inside", WRONG, 401),
    ("group.test", "inside", FORMER, 401),
    # Not in the group: known, and told so.
    ("group.test", "inside", "paul", 403),
    ("group.test", "inside", "rita", 200),
    ("group.test", "inside", HANA, 200),
    ("group.test", "outside", None, 403),
    ("group.test", "outside", "rita", 403),
    ("group.test", "outside", WRONG, 403),
    # Any: the network, or a user.
    ("either.test", "inside", None, 200),
    ("either.test", "outside", None, 401),
    ("either.test", "outside", WRONG, 401),
    ("either.test", "outside", FORMER, 401),
    ("either.test", "outside", "rita", 200),
    ("either.test", "outside", "paul", 200),
    # Anyone: the network.
    ("anyone.test", "inside", None, 200),
    ("anyone.test", "inside", "rita", 200),
    ("anyone.test", "outside", None, 403),
    ("anyone.test", "outside", "rita", 403),
]

# Server, from where, who, status of an upload to a project that paul and hana may publish.
UPLOADS = [
    ("group.test", "inside", None, 401),
    ("group.test", "inside", "rita", 403),
    ("group.test", "inside", "paul", 200),
    ("group.test", "inside", HANA, 200),
    ("group.test", "outside", None, 403),
    ("group.test", "outside", "paul", 403),
    # A network alone publishes nothing; a user may be anywhere.
    ("either.test", "inside", None, 401),
    ("either.test", "inside", "rita", 403),
    ("either.test", "inside", "paul", 200),
    ("either.test", "outside", None, 401),
    ("either.test", "outside", "paul", 200),
    # Reading for anyone is not writing for anyone.
    ("anyone.test", "inside", None, 401),
    ("anyone.test", "inside", "paul", 200),
    ("anyone.test", "outside", "paul", 403),
]

# Server, from where, the header that the client sends, status of a read by rita.
FORWARDED = [
    # What the proxy tells is the client's address, of either version of IP.
    ("group.test", "proxy", "203.0.113.34", 200),
    ("group.test", "proxy", "203.0.113.50", 403),
    ("group.test", "proxy", "2001:db8:1::7", 200),
    ("group.test", "proxy", "2001:db8:2::7", 403),
    ("anyone.test", "proxy", "203.0.113.34", 200),
    ("anyone.test", "proxy", "203.0.113.50", 403),
    ("anyone.test", "proxy", "2001:db8:1::7", 200),
    # The nearest address counts: those before it are what the client has made up.
    ("anyone.test", "proxy", "203.0.113.34, 203.0.113.50", 403),
    # The proxy's own address is not an allowed one.
    ("anyone.test", "proxy", None, 403),
    # Nobody else is believed, for better or worse.
    ("group.test", "outside", "203.0.113.34", 403),
    ("anyone.test", "outside", "203.0.113.34", 403),
    ("anyone.test", "outside", "127.0.0.1", 403),
    ("group.test", "inside", "203.0.113.50", 200),
    ("anyone.test", "inside", "203.0.113.50", 200),
]

HEALTH = [
    ("group.test", "inside", 200),
    ("group.test", "outside", 403),
    ("either.test", "inside", 200),
    ("either.test", "outside", 200),
    ("anyone.test", "inside", 200),
    # Outside the allowed networks, and inside pypi_health_networks.
    ("anyone.test", "outside", 200),
    ("anyone.test", "proxy", 403),
]

# The header that the proxy of anyone.test sends, and the status of health.
FORWARDED_HEALTH = [
    ("203.0.113.34", 200),
    ("203.0.113.50", 200),
    ("2001:db8:2::7", 200),
    ("203.0.113.51", 403),
    ("203.0.113.50, 203.0.113.51", 403),
]


@pytest.mark.parametrize(("server", "where", "who", "status"), READS)
@pytest.mark.parametrize("path", ["simple/", "packages/known-1.0-py3-none-any.whl"])
def test_read(request_from, server, where, who, status, path):
    """Pages and files have the same lock."""
    expected = 404 if status == 200 and path != "simple/" else status
    assert request_from(where, server, path, who=who).status == expected


@pytest.mark.parametrize(("server", "where", "who", "status"), UPLOADS)
def test_upload(send_from, server, where, who, status):
    """Publishing needs a user and a right, whatever the settings say about reading."""
    name = f"team_{uuid.uuid4().hex[:8]}-1.0-py3-none-any.whl"
    assert send_from(where, server, name, fitting(name), who=who).status == status


@pytest.mark.parametrize(("server", "where", "forwarded", "status"), FORWARDED)
def test_forwarded(request_from, server, where, forwarded, status):
    """X-Forwarded-For is the word of our proxy there, and anybody's word elsewhere."""
    header = ["--header", f"X-Forwarded-For: {forwarded}"] if forwarded else []
    assert request_from(where, server, "simple/", *header, who="rita").status == status


@pytest.mark.parametrize(("server", "where", "status"), HEALTH)
@pytest.mark.parametrize("path", ["-/health", "-/health/reads", "-/health/uploads"])
def test_health(request_from, server, where, status, path):
    """Without a login, but not for the whole world where the index itself is not."""
    answered = request_from(where, server, path).status
    # One server has little room for uploads.
    assert answered == status or (path.endswith("uploads") and (answered, status) == (503, 200))


@pytest.mark.parametrize(("forwarded", "status"), FORWARDED_HEALTH)
def test_health_by_way_of_the_proxy(request_from, forwarded, status):
    """The monitor's own address counts, as the proxy tells it; nobody else can claim it."""
    header = ["--header", f"X-Forwarded-For: {forwarded}"]
    assert request_from("proxy", "anyone.test", "-/health/reads", *header).status == status
    assert request_from("outside", "group.test", "-/health/reads", *header).status == 403


def test_monitors_see_nothing_else(request_from):
    """The networks of monitors are open to health alone."""
    for path in ("", "simple/", "simple/known/", "packages/known-1.0-py3-none-any.whl", "known/", "-/style.css"):
        assert request_from("outside", "anyone.test", path).status == 403


def test_health_from_the_host_itself(servers, all_settings):
    """A monitor's agent on the host is always let in."""
    for server, host in servers.items():
        url = all_settings[server]["pypi_url"] + "-/health"
        probe = "import ssl, sys, urllib.request as r; c = ssl._create_unverified_context();"
        probe += "print(r.urlopen(sys.argv[1], context=c).status)"
        address = url.replace(server, "127.0.0.1")
        assert host.check_output("python3 -c %s %s", probe, address) == "200"


def test_forwarded_address_is_logged(request_from, servers, all_settings):
    """The log names the client, not the proxy that all of them come through."""
    mark = uuid.uuid4().hex
    request_from("proxy", "anyone.test", f"simple/?{mark}", "--header", "X-Forwarded-For: 203.0.113.34")
    log = f"{all_settings['anyone.test']['pypi_log_dir']}/access.log"
    assert servers["anyone.test"].check_output("grep %s %s", mark, log).startswith("203.0.113.34 ")
