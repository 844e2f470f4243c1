"""A directory on a client machine where somebody works: builds, publishes, installs."""

import io
import shlex
import tarfile
import time
from pathlib import Path

PROJECTS = Path(__file__).parent / "projects"

# The files and variables that tell programs where the index is and who they are.
PYPIRC = """\
[distutils]
index-servers = wheelhouse
[wheelhouse]
repository = {url}
username = {user}
password = {password}
"""
NETRC = "machine {host} login {user} password {password}\n"
PIP_CONF = "[global]\nindex-url = {url_with_login}simple/\n"

# Programs that bring their own list of authorities are told to take Debian's.
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
ENVIRONMENT = {
    "PATH": "/opt/clients/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "NO_COLOR": "1",
    "REQUESTS_CA_BUNDLE": AUTHORITIES,
    "SSL_CERT_FILE": AUTHORITIES,
    "HATCH_INDEX_CA_CERT": AUTHORITIES,
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "UV_PYTHON": "/usr/bin/python3",
    "UV_PYTHON_DOWNLOADS": "never",
}


def project(name: str, version: str) -> bytes:
    """One of the sample projects in a version of one's choice, as a tar archive with the folder `name` in it."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for path in sorted((PROJECTS / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes().replace(b'version = "1.0"', f'version = "{version}"'.encode())
                member = tarfile.TarInfo(str(path.relative_to(PROJECTS)))
                member.size, member.mtime = len(content), time.time()
                tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


class Workplace:
    """An empty home on a client machine, without any setting but those that the caller gives."""

    def __init__(self, machine, put, login: dict[str, str]):
        """Make it. login has url, host, user, password and url_with_login; {words} below stand for these."""
        self._machine, self._put, self._login = machine, put, login
        self.home = machine.check_output("mktemp -d /root/work.XXXXXX")

    def write(self, path: str, text: str) -> None:
        """Write a file below the home."""
        content = text.format(**self._login)
        self._put(self._machine, f"{self.home}/{path}", content.encode())
        self._machine.check_output("chmod 600 %s", f"{self.home}/{path}")

    def unpack(self, archive: bytes) -> None:
        """Unpack a tar archive."""
        path = self._put(self._machine, f"{self.home}/.archive", archive)
        self._machine.check_output("tar -xzf %s -C %s", path, self.home)

    def run(self, command: str, directory: str = ".", **variables: str):
        """Run a shell command. Returns testinfra's result."""
        environment = ENVIRONMENT | {"HOME": self.home} | variables
        given = [f"{name}={value.format(**self._login)}" for name, value in environment.items()]
        command = f"cd {self.home}/{directory} && {command.format(**self._login)}"
        return self._machine.run(shlex.join(["env", "-i", *given, "sh", "-c", command]))
