"""Fixtures of the default scenario."""

import itertools
import subprocess
import time
from pathlib import Path

import pytest

COUNTER = itertools.count()


@pytest.fixture(scope="session")
def new_version():
    """Return a function that makes unused version numbers, so that tests can be repeated on the same servers."""
    started = int(time.time())
    return lambda: f"1.{started}.{next(COUNTER)}"


@pytest.fixture
def stored_digests(host, settings):
    """List the files of a version on the server: {file name: SHA-256}."""

    def stored_digests(version: str) -> dict[str, str]:
        directory = f"{settings['pypi_data_dir']}/packages"
        sums = host.check_output(f"cd {directory} && find . -name '*{version}*' -type f -exec sha256sum {{}} +")
        return {path.removeprefix("./"): digest for digest, path in map(str.split, sums.splitlines())}

    return stored_digests


@pytest.fixture(scope="session")
def certificate_for():
    """Create a self-signed certificate and key for host names, in a directory on the control node."""

    def certificate_for(names: list[str], directory: Path) -> tuple[str, str]:
        directory.mkdir()
        certificate, key = str(directory / "server.crt"), str(directory / "server.key")
        alternatives = "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
        subprocess.run([*command, "-addext", alternatives, "-keyout", key, "-out", certificate], check=True)
        return certificate, key

    return certificate_for
