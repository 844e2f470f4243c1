"""Preflight checks of names, URLs, ports, networks and paths."""

import pytest
from support import ansible_templates, load, short

problems = load("roles/pypi/filter_plugins/addresses.py").address_problems

DIRECTORY = "must be an absolute path"

# Settings, and texts in the message: the setting, the fault, the correction.
WRONG = [
    ({"pypi_server_name": "bad_name"}, ["pypi_server_name", "'bad_name'", "pypi.example.com"]),
    ({"pypi_server_name": "-pypi.example.com"}, ["pypi_server_name", "not a valid host name"]),
    ({"pypi_server_name": "pypi..example.com"}, ["pypi_server_name", "not a valid host name"]),
    ({"pypi_server_name": "pypi.example.com\n"}, ["pypi_server_name", "not a valid host name"]),
    ({"pypi_server_name": "a" * 64 + ".example.com"}, ["pypi_server_name", "not a valid host name"]),
    ({"pypi_server_name": "192.0.2.7"}, ["pypi_server_name", "not a valid host name"]),
    ({"pypi_server_name": ""}, ["pypi_server_name", "not a valid host name"]),
    ({"pypi_server_aliases": ["fine.example.com", "so so"]}, ["pypi_server_aliases", "'so so'"]),
    ({"pypi_tls_domains": ["*.example.com"]}, ["pypi_tls_domains", "'*.example.com'", "such as example.com"]),
    (
        {"pypi_server_name": "a.example.com", "pypi_server_aliases": ["b.org"], "pypi_tls_domains": ["example.com"]},
        ["pypi_tls_domains", "'b.org'", "none of these domains: example.com"],
    ),
    ({"pypi_server_name": "anexample.com", "pypi_tls_domains": ["example.com"]}, ["'anexample.com'"]),
    ({"pypi_url": "http://pypi.example.com/"}, ["pypi_url", "Write https"]),
    ({"pypi_url": "https://pypi.example.com"}, ["pypi_url", "a trailing slash"]),
    ({"pypi_url": "https://pypi.example.com/prefix/"}, ["pypi_url", "not a valid URL"]),
    ({"pypi_url": "https://user:word@pypi.example.com/"}, ["pypi_url", "not a valid URL"]),
    ({"pypi_url": "https://pypi.example.com:70000/"}, ["pypi_url", "optionally a port"]),
    ({"pypi_url": "https://pypi.example.com/?a=b"}, ["pypi_url", "not a valid URL"]),
    ({"pypi_url": "https://pypi.example.com/#a"}, ["pypi_url", "not a valid URL"]),
    ({"pypi_url": "https://[::1/"}, ["pypi_url", "not a valid URL"]),
    ({"pypi_url": "https:///"}, ["pypi_url", "not a valid URL"]),
    ({"pypi_url": "https://pypi.example.com/\n"}, ["pypi_url"]),
    ({"pypi_url": "https://pypi.exam\tple.com/"}, ["pypi_url"]),
    ({"pypi_url": " https://pypi.example.com/"}, ["pypi_url"]),
    ({"pypi_url": "https://pypi.example.com:/"}, ["pypi_url"]),
    ({"pypi_url": "https://pypi.example.com:0/"}, ["pypi_url"]),
    ({"pypi_url": "ftp://pypi.example.com/", "pypi_tls": "none"}, ["pypi_url", "http or https"]),
    ({"pypi_upstream_url": "m.example/simple/"}, ["pypi_upstream_url", "'m.example/simple/'", "Write http or https"]),
    ({"pypi_upstream_url": "https://m.example/simple"}, ["pypi_upstream_url", "a trailing slash"]),
    ({"pypi_upstream_url": "ftp://m.example/simple/"}, ["pypi_upstream_url", "http or https"]),
    ({"pypi_upstream_url": "https://user:word@m.example/"}, ["pypi_upstream_url", "without a login"]),
    ({"pypi_upstream_url": "https://user@m.example/"}, ["pypi_upstream_url", "without a login"]),
    ({"pypi_upstream_url": "https://m_x.example/simple/"}, ["pypi_upstream_url", "a host name"]),
    ({"pypi_upstream_url": "https:///simple/"}, ["pypi_upstream_url", "a host name"]),
    ({"pypi_upstream_url": "https://m.example:0/"}, ["pypi_upstream_url"]),
    ({"pypi_upstream_url": "https://m.example:70000/"}, ["pypi_upstream_url"]),
    ({"pypi_upstream_url": "https://m.example/a b/"}, ["pypi_upstream_url"]),
    ({"pypi_upstream_url": "https://m.example/%41/"}, ["pypi_upstream_url", "special characters"]),
    ({"pypi_upstream_url": "https://m.example/$1/"}, ["pypi_upstream_url", "special characters"]),
    ({"pypi_upstream_url": "https://m.example/simple/?a=/"}, ["pypi_upstream_url"]),
    ({"pypi_upstream_url": "https://m.example/simple/\n"}, ["pypi_upstream_url"]),
    ({"pypi_upstream_url": "https://pypi.example.com/simple/"}, ["pypi_upstream_url", "this index itself"]),
    ({"pypi_upstream_url": "https://PyPI.example.com/simple/"}, ["pypi_upstream_url", "redirects would loop"]),
    ({"pypi_http_port": 0}, ["pypi_http_port", "from 1 to 65535"]),
    ({"pypi_https_port": "65536"}, ["pypi_https_port", "from 1 to 65535"]),
    (
        {"pypi_http_port": 8443, "pypi_https_port": "8443"},
        ["pypi_http_port and pypi_https_port must differ: both are 8443"],
    ),
    ({"pypi_allowed_networks": ["10.0.0.1/8"]}, ["pypi_allowed_networks", "10.0.0.1/8", "write 10.0.0.0/8"]),
    ({"pypi_allowed_networks": ["10.0.0.0/33"]}, ["pypi_allowed_networks", "10.0.0.0/33", "such as 10.0.0.0/8"]),
    ({"pypi_allowed_networks": ["10.0.0.0/8, 192.0.2.0/24"]}, ["pypi_allowed_networks", "such as"]),
    ({"pypi_allowed_networks": ["office.example.com"]}, ["pypi_allowed_networks", "office.example.com", "such as"]),
    ({"pypi_allowed_networks": ["2001:db8::1/32"]}, ["pypi_allowed_networks", "write 2001:db8::/32"]),
    ({"pypi_allowed_networks": ["10.0.0.0/0.255.255.255"]}, ["pypi_allowed_networks"]),
    ({"pypi_allowed_networks": ["fe80::1%eth0"]}, ["pypi_allowed_networks"]),
    ({"pypi_trusted_proxies": ["proxy"]}, ["pypi_trusted_proxies", "'proxy'", "such as"]),
    (
        {"pypi_health_networks": ["10.0.0.1/8"], "pypi_allowed_networks": ["192.0.2.0/24"]},
        ["pypi_health_networks", "10.0.0.1/8", "write 10.0.0.0/8"],
    ),
    (
        {"pypi_health_networks": ["monitor"], "pypi_allowed_networks": ["192.0.2.0/24"]},
        ["pypi_health_networks", "'monitor'", "such as"],
    ),
    (
        {"pypi_health_networks": ["10.0.0.0/8"]},
        ["pypi_health_networks", "10.0.0.0/8", "has no effect", "pypi_allowed_networks is empty", "Remove it"],
    ),
    (
        {
            "pypi_health_networks": ["10.0.0.0/8"],
            "pypi_allowed_networks": ["192.0.2.0/24"],
            "pypi_access": "any",
        },
        ["pypi_health_networks", "has no effect", "pypi_access is 'any'", "pypi_access: all"],
    ),
    ({"pypi_access": "any"}, ["pypi_access", "which is empty", "pypi_allowed_networks"]),
    (
        {"pypi_access": "any", "pypi_read": "anyone", "pypi_allowed_networks": ["10.0.0.0/8"]},
        ["pypi_access", "all clients", "pypi_read: login"],
    ),
    ({"pypi_data_dir": "srv/pypi"}, ["pypi_data_dir", "'srv/pypi'", DIRECTORY]),
    ({"pypi_data_dir": "/srv/pypi/"}, ["pypi_data_dir", "without a trailing slash"]),
    ({"pypi_data_dir": "/"}, ["pypi_data_dir", DIRECTORY]),
    ({"pypi_data_dir": "/srv/my pypi"}, ["pypi_data_dir", DIRECTORY]),
    ({"pypi_log_dir": "/var/log/../pypi"}, ["pypi_log_dir", DIRECTORY]),
    ({"pypi_config_dir": "/etc/py\npi"}, ["pypi_config_dir", DIRECTORY]),
    ({"pypi_program_dir": "/opt/$pypi"}, ["pypi_program_dir", DIRECTORY]),
    ({"pypi_pages_dir": "/var/lib/my pages"}, ["pypi_pages_dir", DIRECTORY]),
    (
        {"pypi_pages_dir": "/srv/x", "pypi_data_dir": "/srv/x"},
        ["pypi_data_dir and pypi_pages_dir must differ: both are /srv/x"],
    ),
    ({"pypi_data_dir": "/srv/x", "pypi_log_dir": "/srv/x"}, ["pypi_data_dir and pypi_log_dir must differ"]),
]

RIGHT = [
    {},
    {"pypi_server_name": "localhost"},
    {"pypi_server_name": "PyPI.Example.COM", "pypi_server_aliases": ["packages", "a1.example.com"]},
    {
        "pypi_server_name": "PyPI.Example.com",
        "pypi_server_aliases": ["example.org"],
        "pypi_tls_domains": ["example.COM", "example.org"],
    },
    {"pypi_tls": "provided", "pypi_tls_domains": ["elsewhere.org"]},
    {"pypi_url": "https://pypi.example.com:8443/"},
    {"pypi_tls": "none"},
    {"pypi_tls": "none", "pypi_url": "https://behind.example.com/"},
    {"pypi_http_port": "8080", "pypi_https_port": 65535},
    {"pypi_allowed_networks": ["10.0.0.0/8", "203.0.113.7", "2001:db8::/32", "::1"]},
    {"pypi_trusted_proxies": ["192.0.2.1", "2001:db8::1"]},
    {"pypi_health_networks": ["192.0.2.9", "2001:db8::/32"], "pypi_allowed_networks": ["10.0.0.0/8"]},
    {"pypi_health_networks": [], "pypi_access": "any", "pypi_allowed_networks": ["10.0.0.0/8"]},
    {"pypi_access": "any", "pypi_allowed_networks": ["10.0.0.0/8"]},
    {"pypi_access": "any", "pypi_allowed_networks": ["10.0.0.0/8"], "pypi_read": ["admins"]},
    {"pypi_upstream_url": ""},
    {"pypi_upstream_url": "https://mirror.example.com/simple/"},
    {"pypi_upstream_url": "http://localhost:3141/root/simple/"},
    {"pypi_upstream_url": "https://mirror.example.com/"},
    {"pypi_pages_dir": "/srv/pypi/pages"},
    {"pypi_data_dir": "/mnt/disk-1/py.pi_2"},
    # On the control node, where paths may contain spaces.
    {"pypi_secrets_dir": "/home/me/My inventory/secrets", "pypi_ca_dir": "/home/me/My inventory/ca"},
]


@pytest.mark.parametrize(("given", "expected"), WRONG, ids=short)
def test_rejects_invalid_settings(given: dict, expected: list[str]) -> None:
    """The message contains the setting, the fault and a correction."""
    found = problems(ansible_templates.settings(**{"pypi_url": "https://pypi.example.com/"} | given))
    assert len(found) == 1, found
    assert [part for part in expected if part not in found[0]] == []


@pytest.mark.parametrize("given", RIGHT, ids=short)
def test_accepts_valid_settings(given: dict) -> None:
    """Valid settings are not reported."""
    assert problems(ansible_templates.settings(**given)) == []


def test_reports_all_problems() -> None:
    """One run reports all invalid settings."""
    given = {"pypi_server_name": "a b", "pypi_url": "x", "pypi_http_port": 0, "pypi_data_dir": "x"}
    assert [problem.split(":")[0] for problem in problems(ansible_templates.settings(**given))] == list(given)
