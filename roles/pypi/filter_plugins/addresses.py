"""Checks of names, addresses, ports and paths in the settings."""

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

# RFC 1123, section 2.1: letters, digits and inner hyphens, up to 63 to a label.
LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


def is_host_name(name: str) -> bool:
    """Return whether a string is a host name (RFC 1123). An IP address is not one."""
    labels = name.split(".")
    return len(name) <= 253 and all(LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()


def network_problem(text: str) -> str | None:
    """Return the problem with an IP address or network in CIDR notation (RFC 4632, RFC 4291), or None."""
    try:
        if "%" in text or "." in text.partition("/")[2]:
            raise ValueError(f"{text!r} is not valid for Apache (zone IDs and netmasks are not supported)")
        ipaddress.ip_network(text, strict=True)
    except ValueError as error:
        try:
            return f"{error}; write {ipaddress.ip_network(text.partition('%')[0], strict=False)}"
        except ValueError:
            return f"{error}; write an address or a network such as 10.0.0.0/8, 203.0.113.7 or 2001:db8::/32"
    return None


def name_problems(settings: dict[str, Any]) -> list[str]:
    named = [("pypi_server_name", settings["pypi_server_name"])]
    named += [("pypi_server_aliases", alias) for alias in settings["pypi_server_aliases"]]
    return [
        f"{setting}: {name!r} is not a valid host name. Write the name that clients use, such as pypi.example.com."
        for setting, name in named
        if not is_host_name(str(name))
    ]


def domain_problems(settings: dict[str, Any]) -> list[str]:
    """Return problems of name constraints (RFC 5280, section 4.2.1.10): a domain includes itself and all subdomains."""
    domains = [str(domain) for domain in settings["pypi_tls_domains"]]
    problems = [
        f"pypi_tls_domains: {domain!r} is not a valid domain name. Write a name such as example.com, which "
        "includes its subdomains."
        for domain in domains
        if not is_host_name(domain)
    ]
    if problems or not domains or settings["pypi_tls"] != "self_signed":
        return problems
    ends = tuple(f".{domain.lower()}" for domain in domains)
    return [
        f"pypi_tls_domains: the server name {name!r} is in none of these domains: {', '.join(domains)}. "
        "Add its domain, or leave the setting empty."
        for name in (settings["pypi_server_name"], *settings["pypi_server_aliases"])
        if not f".{name.lower()}".endswith(ends)
    ]


def url_problems(settings: dict[str, Any]) -> list[str]:
    url = settings["pypi_url"]
    scheme = "http or https" if settings["pypi_tls"] == "none" else "https"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (raises for an invalid port)
    except ValueError:
        parts = urlsplit("")
    # urlsplit drops line breaks, tabs and spaces at the ends; Apache does not.
    tidy = not set(url) & set(" \t\r\n") and parts.port != 0 and not parts.netloc.endswith(":")
    plain = tidy and parts.hostname and is_host_name(parts.hostname) and "@" not in parts.netloc
    if plain and parts.scheme in scheme.split(" or ") and (parts.path, parts.query, parts.fragment) == ("/", "", ""):
        return []
    return [
        f"pypi_url: {url!r} is not a valid URL of the index. Write {scheme}, a host name, optionally a port, "
        "and a trailing slash: https://pypi.example.com:8443/."
    ]


def upstream_problems(settings: dict[str, Any]) -> list[str]:
    """Return problems of the upstream URL. It is written into a rewrite rule of Apache and into redirects."""
    url = settings["pypi_upstream_url"]
    if not url:
        return []
    found = re.fullmatch(r"https?://([^/:]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/", url)
    if not found or not is_host_name(found[1]) or not 0 < int((found[2] or ":443")[1:]) <= 65535:
        return [
            f"pypi_upstream_url: {url!r} is not a valid URL of project pages. Write http or https, a host name, a path "
            "without a login or special characters, and a trailing slash: https://mirror.example.com/simple/."
        ]
    if url.lower().startswith(settings["pypi_url"].lower()):
        return [
            f"pypi_upstream_url: {url!r} is this index itself, so redirects would loop. Write the URL of another index."
        ]
    return []


def port_problems(settings: dict[str, Any]) -> list[str]:
    # On the command line (-e) numbers are given as text.
    ports = {setting: int(settings[setting]) for setting in ("pypi_http_port", "pypi_https_port")}
    problems = [
        f"{setting}: {port} is not a valid port. Write a number from 1 to 65535."
        for setting, port in ports.items()
        if not 1 <= port <= 65535
    ]
    if len(set(ports.values())) < len(ports):
        problems.append("pypi_http_port and pypi_https_port must differ: both are {pypi_http_port}.".format(**settings))
    return problems


def network_problems(settings: dict[str, Any]) -> list[str]:
    return [
        f"{setting}: {problem}."
        for setting in (
            "pypi_allowed_networks",
            "pypi_health_networks",
            "pypi_metrics_networks",
            "pypi_trusted_proxies",
        )
        for network in settings[setting]
        if (problem := network_problem(str(network)))
    ]


def health_problems(settings: dict[str, Any]) -> list[str]:
    """Return a problem if pypi_health_networks has no effect, because health is not restricted to networks."""
    networks = settings["pypi_health_networks"]
    why = "pypi_access is 'any'" if settings["pypi_access"] != "all" else "pypi_allowed_networks is empty"
    if not networks or (settings["pypi_allowed_networks"] and settings["pypi_access"] == "all"):
        return []
    return [
        f"pypi_health_networks: {', '.join(map(str, networks))} has no effect: all addresses may request health, since "
        f"{why}. Remove it, or list networks in pypi_allowed_networks with pypi_access: all."
    ]


def access_problems(settings: dict[str, Any]) -> list[str]:
    if settings["pypi_access"] == "all":
        return []
    problems = []
    if not settings["pypi_allowed_networks"]:
        problems.append(
            "pypi_access: 'any' needs no login in pypi_allowed_networks, which is empty and allows all addresses. "
            "List networks in pypi_allowed_networks, or write pypi_access: all."
        )
    if settings["pypi_read"] == "anyone":
        problems.append(
            "pypi_access: 'any' together with pypi_read: anyone allows all clients to read from all addresses. "
            "Write pypi_access: all, or pypi_read: login."
        )
    return problems


def path_problems(settings: dict[str, Any]) -> list[str]:
    """Return problems of paths. Apache's configuration and unit files split them at spaces."""
    names = [name for name in settings if name.startswith("pypi_") and name.endswith("_dir")]
    on_server = sorted(set(names) - {"pypi_secrets_dir", "pypi_ca_dir"})
    problems = [
        f"{name}: {settings[name]!r} must be an absolute path of letters, digits, '.', '_' and '-' without a trailing "
        "slash, such as /srv/pypi."
        for name in on_server
        if not re.fullmatch(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", settings[name])
    ]
    return problems + [
        f"{name} and {other} must differ: both are {settings[name]}."
        for index, name in enumerate(on_server)
        for other in on_server[index + 1 :]
        if settings[name] == settings[other]
    ]


def address_problems(settings: dict[str, Any]) -> list[str]:
    """Return one line for each problem: the setting, what is wrong, the value received, and what is allowed.

    settings: all settings of the kit by name, of the types in meta/argument_specs.yml.
    """
    checks = [name_problems, domain_problems, url_problems, upstream_problems, port_problems]
    checks += [network_problems, health_problems, access_problems, path_problems]
    return [problem for check in checks for problem in check(settings)]


def network_warnings(connection: str, networks: list[str]) -> list[str]:
    """Return a warning if the client of an SSH connection is not in the allowed networks.

    connection: the variable SSH_CONNECTION as sshd sets it on the host; any other text means that it is unknown.
    networks: pypi_allowed_networks, already checked.
    """
    try:
        address = ipaddress.ip_address((connection.split() or [""])[0].partition("%")[0])
    except ValueError:
        return []
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address in ipaddress.ip_network(network) for network in networks):
        return []
    return [
        f"pypi_allowed_networks: this connection comes from {address}, which is in none of {', '.join(networks)}. "
        "Clients there, and playbooks/verify.yml, get 403. Add the address, unless this is intended."
    ]


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"pypi_address_problems": address_problems, "pypi_network_warnings": network_warnings}
