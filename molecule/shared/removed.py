"""What playbooks/uninstall.yml leaves on a server."""

# Files of the kit, wherever they are, without the data and the audit log.
_FIND = r"""
find / -xdev \( -path /proc -o -path /sys -o -path /srv/pypi -o -path /var/log/pypi/audit -o -path /tmp \
    -o -path /root -o -path /home -o -path /var/lib/apt -o -path /var/log/journal -o -path /var/lib/dpkg \) -prune \
    -o \( -name '*pypi*' -o -name wheelhouse \) -not -path /var/log/pypi -not -path '*/python3/*' -print
find /run -name '*pypi*' -print
"""
_DATA = "find /srv/pypi /var/log/pypi/audit -type f -exec sha256sum {} + | sort"


def files_of_the_kit(host) -> list[str]:
    """Return the paths of all files of the kit, without the data and the audit log."""
    return host.run(_FIND).stdout.splitlines()


def data_of(host) -> str:
    """Return the digests of the data and the audit log."""
    return host.check_output(_DATA)
