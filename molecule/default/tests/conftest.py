"""What the tests of the default scenario share."""

import itertools
import subprocess
import time
from pathlib import Path

import pytest

COUNTER = itertools.count()


@pytest.fixture(scope="session")
def new_version():
    """A way to a version that no file has had, so that the tests can be repeated on the same servers."""
    began = int(time.time())
    return lambda: f"1.{began}.{next(COUNTER)}"


@pytest.fixture
def kept(host, settings):
    """A way to see which files of a version the server has: {file name: SHA-256}."""

    def kept(version: str) -> dict[str, str]:
        directory = f"{settings['pypi_data_dir']}/packages"
        sums = host.check_output(f"cd {directory} && find . -name '*{version}*' -type f -exec sha256sum {{}} +")
        return {path.removeprefix("./"): digest for digest, path in map(str.split, sums.splitlines())}

    return kept


@pytest.fixture(scope="session")
def certificate_for():
    """A way to a certificate and key on the controller, for names, in a directory."""

    def certificate_for(names: list[str], directory: Path) -> tuple[str, str]:
        directory.mkdir()
        certificate, key = str(directory / "server.crt"), str(directory / "server.key")
        alternatives = "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
        subprocess.run([*command, "-addext", alternatives, "-keyout", key, "-out", certificate], check=True)
        return certificate, key

    return certificate_for
