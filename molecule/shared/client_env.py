"""An isolated environment on a client container, for building, publishing and installing."""

import io
import shlex
import tarfile
import time
from pathlib import Path

PROJECTS = Path(__file__).parent / "projects"

# Configuration files that contain the index URL and the credentials.
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

# Some programs ship their own CA bundle: configure them to use Debian's.
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
    """Pack one of the sample projects with a given version as a tar archive that contains the directory `name`."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for path in sorted((PROJECTS / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes().replace(b'version = "1.0"', f'version = "{version}"'.encode())
                member = tarfile.TarInfo(str(path.relative_to(PROJECTS)))
                member.size, member.mtime = len(content), time.time()
                tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


class ClientEnvironment:
    """An empty home directory on a client container, without any configuration except what the caller adds."""

    def __init__(self, machine, put, login: dict[str, str]):
        """Create it. login has url, host, user, password and url_with_login; They replace the {placeholders} below."""
        self._machine, self._put, self._login = machine, put, login
        self.home = machine.check_output("mktemp -d /root/work.XXXXXX")

    def write(self, path: str, text: str) -> None:
        """Write a file below the home directory."""
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
