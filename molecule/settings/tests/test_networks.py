"""Access by network, by login, and by both."""

import uuid

import pytest
from support.archives import fitting

HANA = ("hana", "The password of hana")
WRONG = ("rita", "wrong")
FORMER = ("former", "The password of former")

# Server, client, user, status of a read.
READS = [
    # pypi_access: all. Needs the network, and a user of the group.
    ("group.test", "inside", None, 401),
    ("group.test", "inside", WRONG, 401),
    ("group.test", "inside", FORMER, 401),
    # Authenticated, but not in the group.
    ("group.test", "inside", "paul", 403),
    ("group.test", "inside", "rita", 200),
    ("group.test", "inside", HANA, 200),
    ("group.test", "outside", None, 403),
    ("group.test", "outside", "rita", 403),
    ("group.test", "outside", WRONG, 403),
    # pypi_access: any. Needs the network, or a user.
    ("either.test", "inside", None, 200),
    ("either.test", "outside", None, 401),
    ("either.test", "outside", WRONG, 401),
    ("either.test", "outside", FORMER, 401),
    ("either.test", "outside", "rita", 200),
    ("either.test", "outside", "paul", 200),
    # pypi_read: anyone. Needs the network.
    ("anyone.test", "inside", None, 200),
    ("anyone.test", "inside", "rita", 200),
    ("anyone.test", "outside", None, 403),
    ("anyone.test", "outside", "rita", 403),
]

# Server, client, user, status of an upload to a project that paul and hana may publish.
UPLOADS = [
    ("group.test", "inside", None, 401),
    ("group.test", "inside", "rita", 403),
    ("group.test", "inside", "paul", 200),
    ("group.test", "inside", HANA, 200),
    ("group.test", "outside", None, 403),
    ("group.test", "outside", "paul", 403),
    # An allowed network does not replace a login for uploads; with a login, any network is allowed.
    ("either.test", "inside", None, 401),
    ("either.test", "inside", "rita", 403),
    ("either.test", "inside", "paul", 200),
    ("either.test", "outside", None, 401),
    ("either.test", "outside", "paul", 200),
    # Anonymous reads do not allow anonymous uploads.
    ("anyone.test", "inside", None, 401),
    ("anyone.test", "inside", "paul", 200),
    ("anyone.test", "outside", "paul", 403),
]

# Server, client, X-Forwarded-For header, status of a read by rita.
FORWARDED = [
    # The trusted proxy's header contains the client address, IPv4 or IPv6.
    ("group.test", "proxy", "203.0.113.34", 200),
    ("group.test", "proxy", "203.0.113.50", 403),
    ("group.test", "proxy", "2001:db8:1::7", 200),
    ("group.test", "proxy", "2001:db8:2::7", 403),
    ("anyone.test", "proxy", "203.0.113.34", 200),
    ("anyone.test", "proxy", "203.0.113.50", 403),
    ("anyone.test", "proxy", "2001:db8:1::7", 200),
    # Only the last address counts: a client can send any others.
    ("anyone.test", "proxy", "203.0.113.34, 203.0.113.50", 403),
    # The proxy's own address is not allowed.
    ("anyone.test", "proxy", None, 403),
    # The header of other clients is ignored.
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

# The header that the proxy of anyone.test sends, and the status of the health check.
FORWARDED_HEALTH = [
    ("203.0.113.34", 200),
    ("203.0.113.50", 200),
    ("2001:db8:2::7", 200),
    ("203.0.113.51", 403),
    ("203.0.113.50, 203.0.113.51", 403),
]


@pytest.mark.parametrize(("server", "client", "user", "status"), READS)
@pytest.mark.parametrize("path", ["simple/", "packages/known-1.0-py3-none-any.whl"])
def test_read_access(request_from, server, client, user, status, path):
    """Pages and files have the same access rules."""
    expected = 404 if status == 200 and path != "simple/" else status
    assert request_from(client, server, path, user=user).status == expected


@pytest.mark.parametrize(("server", "client", "user", "status"), UPLOADS)
def test_upload_access(send_from, server, client, user, status):
    """Uploads need a user with the right, whatever the settings say about reading."""
    name = f"team_{uuid.uuid4().hex[:8]}-1.0-py3-none-any.whl"
    assert send_from(client, server, name, fitting(name), user=user).status == status


@pytest.mark.parametrize(("server", "client", "forwarded", "status"), FORWARDED)
def test_trusts_forwarded_address_of_proxy_only(request_from, server, client, forwarded, status):
    """X-Forwarded-For is used only if it comes from the trusted proxy."""
    header = ["--header", f"X-Forwarded-For: {forwarded}"] if forwarded else []
    assert request_from(client, server, "simple/", *header, user="rita").status == status


@pytest.mark.parametrize(("server", "client", "status"), HEALTH)
@pytest.mark.parametrize("path", ["-/health", "-/health/reads", "-/health/uploads"])
def test_health_access(request_from, server, client, status, path):
    """Health needs no login, but an allowed network."""
    found = request_from(client, server, path).status
    # One server has little free space for uploads.
    assert found == status or (path.endswith("uploads") and (found, status) == (503, 200))


@pytest.mark.parametrize(("forwarded", "status"), FORWARDED_HEALTH)
def test_health_access_through_proxy(request_from, forwarded, status):
    """The forwarded address must be allowed; untrusted clients cannot forge it."""
    header = ["--header", f"X-Forwarded-For: {forwarded}"]
    assert request_from("proxy", "anyone.test", "-/health/reads", *header).status == status
    assert request_from("outside", "group.test", "-/health/reads", *header).status == 403


def test_health_networks_allow_health_only(request_from):
    """pypi_health_networks allow no other URLs."""
    for path in ("", "simple/", "simple/known/", "packages/known-1.0-py3-none-any.whl", "known/", "-/style.css"):
        assert request_from("outside", "anyone.test", path).status == 403


def test_health_access_from_localhost(servers, all_settings):
    """Requests from the host itself are always allowed."""
    for server, host in servers.items():
        url = all_settings[server]["pypi_url"] + "-/health"
        probe = "import ssl, sys, urllib.request as r; c = ssl._create_unverified_context();"
        probe += "print(r.urlopen(sys.argv[1], context=c).status)"
        address = url.replace(server, "127.0.0.1")
        assert host.check_output("python3 -c %s %s", probe, address) == "200"


def test_access_log_has_forwarded_address(request_from, servers, all_settings):
    """The access log contains the client address instead of the proxy's."""
    mark = uuid.uuid4().hex
    request_from("proxy", "anyone.test", f"simple/?{mark}", "--header", "X-Forwarded-For: 203.0.113.34")
    log = f"{all_settings['anyone.test']['pypi_log_dir']}/access.log"
    assert servers["anyone.test"].check_output("grep %s %s", mark, log).startswith("203.0.113.34 ")
