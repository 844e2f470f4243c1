"""What can be wrong with names, addresses, ports and paths in the settings."""

import ipaddress
import re
from urllib.parse import urlsplit

# RFC 1123, section 2.1: letters, digits and inner hyphens, up to 63 to a label.
LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


def is_host_name(name: str) -> bool:
    """Whether a string is a host name by RFC 1123, which an IP address is not."""
    labels = name.split(".")
    return len(name) <= 253 and all(LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()


def network_problem(text: str) -> str | None:
    """What is wrong with an IP address or network in CIDR notation (RFC 4632, RFC 4291), if anything."""
    try:
        if "%" in text or "." in text.partition("/")[2]:
            raise ValueError(f"{text!r} is written in a way that Apache does not take for what it says")
        ipaddress.ip_network(text, strict=True)
    except ValueError as error:
        try:
            return f"{error}; write {ipaddress.ip_network(text.partition('%')[0], strict=False)}"
        except ValueError:
            return f"{error}; write an address or a network such as 10.0.0.0/8, 203.0.113.7 or 2001:db8::/32"
    return None


def name_problems(settings: dict) -> list[str]:
    named = [("pypi_server_name", settings["pypi_server_name"])]
    named += [("pypi_server_aliases", alias) for alias in settings["pypi_server_aliases"]]
    return [
        f"{setting}: {name!r} is no host name. Write the name that clients use, such as pypi.example.com."
        for setting, name in named
        if not is_host_name(str(name))
    ]


def domain_problems(settings: dict) -> list[str]:
    """RFC 5280, section 4.2.1.10: a domain stands for itself and for all names in it."""
    domains = [str(domain) for domain in settings["pypi_tls_domains"]]
    problems = [
        f"pypi_tls_domains: {domain!r} is not a valid domain name. Write a name such as example.com, which stands for "
        "all names in it."
        for domain in domains
        if not is_host_name(domain)
    ]
    if problems or not domains or settings["pypi_tls"] != "self_signed":
        return problems
    ends = tuple(f".{domain.lower()}" for domain in domains)
    return [
        f"pypi_tls_domains: {name!r} is a name of the server and in none of these domains: {', '.join(domains)}. "
        "Add its domain, or leave the setting empty."
        for name in (settings["pypi_server_name"], *settings["pypi_server_aliases"])
        if not f".{name.lower()}".endswith(ends)
    ]


def url_problems(settings: dict) -> list[str]:
    url = settings["pypi_url"]
    scheme = "http or https" if settings["pypi_tls"] == "none" else "https"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  (raises on a port that is none)
    except ValueError:
        parts = urlsplit("")
    # urlsplit drops line breaks, tabs and spaces at the ends, and Apache would not.
    tidy = not set(url) & set(" \t\r\n") and parts.port != 0 and not parts.netloc.endswith(":")
    plain = tidy and parts.hostname and is_host_name(parts.hostname) and "@" not in parts.netloc
    if plain and parts.scheme in scheme.split(" or ") and (parts.path, parts.query, parts.fragment) == ("/", "", ""):
        return []
    return [
        f"pypi_url: {url!r} is not the address of the index. Write {scheme}, a host name, a port if need be, "
        "and a slash: https://pypi.example.com:8443/."
    ]


def upstream_problems(settings: dict) -> list[str]:
    """The address ends up in a rewrite rule of Apache's, and in what every client is told."""
    url = settings["pypi_upstream_url"]
    if not url:
        return []
    found = re.fullmatch(r"https?://([^/:]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/", url)
    if not found or not is_host_name(found[1]) or not 0 < int((found[2] or ":443")[1:]) <= 65535:
        return [
            f"pypi_upstream_url: {url!r} is not the address of an index's project pages. Write http or https, a host "
            "name, a path without a login or special characters, and a slash: https://mirror.example.com/simple/."
        ]
    if url.lower().startswith(settings["pypi_url"].lower()):
        return [f"pypi_upstream_url: {url!r} is this index itself, which would send people round in circles."]
    return []


def port_problems(settings: dict) -> list[str]:
    # On the command line (-e) numbers are given as text.
    ports = {setting: int(settings[setting]) for setting in ("pypi_http_port", "pypi_https_port")}
    problems = [
        f"{setting}: {port} is no port. Write a number from 1 to 65535."
        for setting, port in ports.items()
        if not 1 <= port <= 65535
    ]
    if len(set(ports.values())) < len(ports):
        problems.append("pypi_http_port and pypi_https_port are the same. Give each its own.")
    return problems


def network_problems(settings: dict) -> list[str]:
    return [
        f"{setting}: {problem}."
        for setting in ("pypi_allowed_networks", "pypi_health_networks", "pypi_trusted_proxies")
        for network in settings[setting]
        if (problem := network_problem(str(network)))
    ]


def health_problems(settings: dict) -> list[str]:
    """Return what is wrong with networks that say who may ask for health where everybody may."""
    networks = settings["pypi_health_networks"]
    why = "pypi_access is 'any'" if settings["pypi_access"] != "all" else "pypi_allowed_networks is empty"
    if not networks or (settings["pypi_allowed_networks"] and settings["pypi_access"] == "all"):
        return []
    return [
        f"pypi_health_networks: {', '.join(map(str, networks))} has no effect: everybody may ask for health, since "
        f"{why}. Take it out, or list networks in pypi_allowed_networks with pypi_access: all."
    ]


def access_problems(settings: dict) -> list[str]:
    if settings["pypi_access"] == "all":
        return []
    problems = []
    if not settings["pypi_allowed_networks"]:
        problems.append(
            "pypi_access: 'any' lets allowed networks in without a login, and no networks are named, which means all. "
            "List them in pypi_allowed_networks, or write pypi_access: all."
        )
    if settings["pypi_read"] == "anyone":
        problems.append(
            "pypi_access: 'any' together with pypi_read: anyone lets everybody read from everywhere. "
            "Write pypi_access: all, or pypi_read: login."
        )
    return problems


def path_problems(settings: dict) -> list[str]:
    """Paths end up in Apache's configuration and in unit files, which split at spaces."""
    names = [name for name in settings if name.startswith("pypi_") and name.endswith("_dir")]
    on_server = sorted(set(names) - {"pypi_secrets_dir", "pypi_ca_dir"})
    problems = [
        f"{name}: {settings[name]!r} is no path that fits. Write an absolute one of letters, digits and /._-, "
        "with no slash at its end."
        for name in on_server
        if not re.fullmatch(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+", settings[name])
    ]
    return problems + [
        f"{name} and {other} are both {settings[name]}. Give each its own directory."
        for index, name in enumerate(on_server)
        for other in on_server[index + 1 :]
        if settings[name] == settings[other]
    ]


def address_problems(settings: dict) -> list[str]:
    """One line for each thing that is wrong: which setting, why, and what to write.

    settings: all of the kit's settings by name, of the types in meta/argument_specs.yml.
    """
    checks = (name_problems, domain_problems, url_problems, upstream_problems, port_problems)
    checks += (network_problems, health_problems, access_problems, path_problems)
    return [problem for check in checks for problem in check(settings)]


def network_warnings(connection: str, networks: list[str]) -> list[str]:
    """Return a warning if the networks that may use the index are without the client of an SSH connection.

    connection: the variable SSH_CONNECTION as sshd sets it on the host; anything else means that it is unknown.
    networks: pypi_allowed_networks, which have been checked.
    """
    try:
        address = ipaddress.ip_address((connection.split() or [""])[0].partition("%")[0])
    except ValueError:
        return []
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address in ipaddress.ip_network(network) for network in networks):
        return []
    return [
        f"pypi_allowed_networks: this connection comes from {address}, which is in none of {', '.join(networks)}: "
        "clients there, and playbooks/verify.yml, are answered with 403. Add it, unless that is meant."
    ]


class FilterModule:
    def filters(self) -> dict:
        return {"pypi_address_problems": address_problems, "pypi_network_warnings": network_warnings}
