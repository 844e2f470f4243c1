#!/usr/bin/python
"""Ansible module: gather facts about an existing deployment of the index and an existing Apache."""

import hashlib
import json
import os
import platform
import pwd
import re
import subprocess
import sys
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: pypi_host
short_description: Gather facts about an existing deployment of the index and an existing Apache
options:
  settings_file: {type: path, required: true, description: The application's settings file.}
  data_mark: {type: path, required: true, description: The file that every data directory of the index has.}
  data: {type: list, elements: path, required: true, description: The directories with data that user pypi owns.}
  user: {type: str, default: pypi, description: The user who owns the data.}
  drop_ins: {type: list, elements: path, default: [], description: The drop-ins of the index's units.}
  backup_files: {type: path, required: true, description: The directory that exists while backups are configured.}
  ports: {type: list, elements: int, required: true, description: The ports that the index listens on.}
"""

RETURN = r"""
deployed: {type: bool, returned: always, description: Whether the index was deployed before.}
has_data: {type: bool, returned: always, description: Whether the data directory is that of an index.}
python_version: {type: str, returned: always, description: The version of Debian's Python, such as 3.13.5.}
packages: {type: int, returned: always, description: Number of packages in the data directory.}
restoring: {type: str, returned: always, description: The last step of an interrupted restore, or empty.}
backup_files: {type: bool, returned: always, description: Whether the host has files of backups.}
package_lists: {type: bool, returned: always, description: Whether apt has package lists.}
data_uid: {type: int, returned: if there is data, description: The uid that owns the data, even without such a user.}
data_uid_user: {type: str, returned: always, description: The name of the user with data_uid, or empty.}
user_uid: {type: int, returned: if the user exists, description: The uid of the user.}
foreign_files: {type: int, returned: always, description: Number of files that neither the user nor root owns.}
mpm: {type: str, returned: always, description: The enabled MPM of Apache, or empty.}
default_site_changed: {type: bool, returned: always, description: Whether 000-default is enabled and edited.}
foreign_drop_ins: {type: list, returned: always, description: Other drop-ins of the index's units.}
foreign_ports: {type: list, returned: always, description: Ports of other sites for which ports.conf has the Listen.}
"""

APACHE = Path("/etc/apache2")
# The site of the kit, and the one that it replaces.
OWN_SITES = {"pypi.conf", "000-default.conf"}
DEFAULT_SITE = APACHE / "sites-enabled/000-default.conf"
PACKAGES = Path("/var/lib/dpkg/status")
PYTHON = Path("/usr/bin/python3")
LISTS = Path("/var/lib/apt/lists")
# Directories of drop-ins that an admin writes: systemctl edit, and systemctl set-property (system.control).
UNITS = [Path(f"{parent}/systemd/{name}") for parent in ("/etc", "/run") for name in ("system", "system.control")]


def python_version() -> str:
    """Return the version of Debian's Python. Ansible may run this module with another one (interpreter discovery)."""
    if not PYTHON.exists() or PYTHON.resolve() == Path(sys.executable).resolve():
        return platform.python_version()
    command = [str(PYTHON), "-I", "-S", "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def uid_of(user: str) -> int | None:
    """Return the uid of a user; None if there is no such user."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def user_of(uid: int | None) -> str:
    """Return the name of the user with a uid; empty if there is none."""
    try:
        return pwd.getpwuid(uid).pw_name if uid is not None else ""
    except KeyError:
        return ""


def owners(directories: list[str]) -> dict[int, int]:
    """Count the files in directories by the uid of their owner. The data directories have no subdirectories."""
    counts: dict[int, int] = {}
    for directory in directories:
        try:
            with os.scandir(directory) as entries:
                for uid in map(owner, entries):
                    counts[uid] = counts.get(uid, 0) + 1
        except (FileNotFoundError, NotADirectoryError):
            continue
    return counts


def packages_in(data: Path) -> int:
    """Return the number of packages, without temporary files."""
    return sum(not path.name.startswith(".") for path in data.glob("packages/*"))


def restoring(data: Path) -> str:
    """Return the last step of an interrupted restore (pypi_backup/restore.py), "begun", or empty if there is none."""
    work = data / ".restore"
    if not work.exists():
        return ""
    try:
        return str(json.loads((work / "progress.json").read_bytes())["step"] or "begun")
    except (OSError, ValueError, KeyError):
        return "begun"


def owner(entry: os.DirEntry[str]) -> int:
    """Return the uid of an entry of a directory."""
    return entry.stat(follow_symlinks=False).st_uid


def text(path: Path) -> str:
    """Return the content of a file; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def directives(name: str, content: str) -> list[str]:
    """Return the arguments of an Apache directive, or of the start of a section, wherever it occurs."""
    return re.findall(rf"^[ \t]*<?{name}[ \t]+([^>\n]+)", content, re.IGNORECASE | re.MULTILINE)


def port_of(address: str) -> int | None:
    """Return the port in the argument of Listen or VirtualHost, such as 80, *:80, [::1]:80; None if it has none."""
    found = re.search(r"(?:^|:)([0-9]{1,5})$", address.strip('"'))
    return int(found[1]) if found else None


def foreign_ports(ports: list[int]) -> list[int]:
    """Return the ports that ports.conf listens on, the index does not, and another site needs."""
    listens = {port_of(words.split()[0]) for words in directives("Listen", text(APACHE / "ports.conf"))} - set(ports)
    sites = [path for path in sorted(APACHE.glob("sites-enabled/*.conf")) if path.name not in OWN_SITES]
    addresses = [words for site in sites for words in directives("VirtualHost", text(site))]
    needed = {port_of(address) for words in addresses for address in words.split()}
    return sorted(port for port in listens & needed if port is not None)


def foreign_drop_ins(own: list[str]) -> list[str]:
    """Return the drop-ins for the index's units, whose names begin with pypi-, that are not its own."""
    found = [str(path) for units in UNITS for path in units.glob("pypi-*.d/*.conf")]
    return sorted(set(found) - set(own))


def default_site_changed() -> bool:
    """Return whether Debian's default site is enabled and differs from the packaged one (dpkg-query(1), Conffiles)."""
    if not DEFAULT_SITE.is_file():
        return False
    available = APACHE / "sites-available/000-default.conf"
    shipped = re.search(rf"^ {re.escape(str(available))} ([0-9a-f]{{32}})", text(PACKAGES), re.MULTILINE)
    content = DEFAULT_SITE.read_bytes()
    # dpkg's database has MD5 digests.
    return shipped is None or hashlib.md5(content, usedforsecurity=False).hexdigest() != shipped[1]


def mpm() -> str:
    """Return the name of the MPM that is enabled, such as "event"; empty if there is none."""
    found = sorted(path.stem.removeprefix("mpm_") for path in APACHE.glob("mods-enabled/mpm_*.load"))
    return found[0] if found else ""


def main() -> None:
    """Gather the facts."""
    module = AnsibleModule(
        argument_spec={
            "settings_file": {"type": "path", "required": True},
            "data_mark": {"type": "path", "required": True},
            "data": {"type": "list", "elements": "path", "required": True},
            "user": {"type": "str", "default": "pypi"},
            "drop_ins": {"type": "list", "elements": "path", "default": []},
            "backup_files": {"type": "path", "required": True},
            "ports": {"type": "list", "elements": "int", "required": True},
        },
        supports_check_mode=True,
    )
    counts = owners(module.params["data"])
    user_uid = uid_of(module.params["user"])
    data_uid = max(counts.keys() - {0}, key=lambda uid: counts[uid], default=None)
    module.exit_json(
        changed=False,
        deployed=Path(module.params["settings_file"]).exists(),
        has_data=Path(module.params["data_mark"]).exists(),
        python_version=python_version(),
        packages=packages_in(Path(module.params["data_mark"]).parent),
        restoring=restoring(Path(module.params["data_mark"]).parent),
        backup_files=Path(module.params["backup_files"]).exists(),
        package_lists=any(LISTS.glob("*_Packages*")),
        data_uid=data_uid,
        data_uid_user=user_of(data_uid),
        user_uid=user_uid,
        # Only root can copy packages by hand.
        foreign_files=sum(number for uid, number in counts.items() if uid not in (0, user_uid)),
        mpm=mpm(),
        default_site_changed=default_site_changed(),
        foreign_drop_ins=foreign_drop_ins(module.params["drop_ins"]),
        foreign_ports=foreign_ports(module.params["ports"]),
    )


if __name__ == "__main__":
    main()
