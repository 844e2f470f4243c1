"""Snapshots of a server's state, to prove that nothing has changed."""

DIRECTORIES = "{pypi_config_dir} {pypi_program_dir} /etc/apache2 /etc/logrotate.d /etc/systemd/system"
SERVICES = "systemctl show apache2 pypi-application --property=MainPID,ExecMainStartTimestampMonotonic,ExecReload"


def files(host, settings: dict) -> dict[str, str]:
    """Return the mode, owner, group and link target or digest of every file, by path."""
    where = DIRECTORIES.format(**settings)
    attributes = host.check_output(f"find {where} -not -type d -not -path '*/lib/*' -printf '%p %m %u %g %l\\n'")
    found = dict(line.split(" ", 1) for line in attributes.splitlines())
    sums = host.check_output(f"find {where} -type f -not -path '*/lib/*' -exec sha256sum {{}} +")
    for line in sums.splitlines():
        digest, path = line.split("  ", 1)
        found[path] += digest
    return found


def service(host) -> str:
    """Return the main processes, their start times and the time of their last reload."""
    return host.check_output(SERVICES)
