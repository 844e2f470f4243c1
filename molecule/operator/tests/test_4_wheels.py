"""Servers without Internet access: wheels are collected on a control node and installed offline."""

import shutil
import subprocess
from pathlib import Path

import pytest
from shared.deployment import PROJECT

FOLDER = "/root/wheels"
PINS = PROJECT / "roles/pypiserver/files/requirements.txt"
# A wheel that only this Debian release needs.
SPECIFIC_WHEELS = {"debian12.test": "importlib_resources-", "debian13.test": "legacy_cgi-"}


def python_of(version: str) -> str | None:
    """Return a Python of this version on this machine, or None."""
    candidates = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0:
            return str(candidate)
    return None


@pytest.fixture(scope="module")
def folder(node):
    """Collect wheels on the control node with `make wheels`. Returns the directory."""
    result = node.run(f"rm -rf {FOLDER} && make wheels FOLDER={FOLDER}")
    assert result.rc == 0, result.stdout + result.stderr
    assert f'pypi_install_folder: "{FOLDER}"' in result.stdout
    return FOLDER


@pytest.fixture
def _no_default_route(host):
    """Remove the server's default route."""
    route = host.check_output("ip route show default")
    host.check_output("ip route del default")
    assert host.run("timeout 5 bash -c 'exec 3<>/dev/tcp/203.0.113.250/443'").rc != 0
    yield
    host.check_output(f"ip route add {route}")


@pytest.mark.usefixtures("_no_default_route")
def test_installs_release_without_network(host, node, server, folder):
    """A complete release is built from the directory, and the index works with it."""
    release = host.check_output("readlink -f /opt/pypi/current")
    # Without it, the release is built again.
    host.check_output(f"rm {release}/manifest.json")
    failed = node.playbook("site.yml", "--tags", "pypiserver", pypi_install_index="https://203.0.113.250/simple/")
    assert failed.hosts[server]["failed"] == 1, "the server still reaches an index"
    run = node.playbook("site.yml", "--tags", "pypiserver", pypi_install_folder=folder)
    assert run.hosts[server]["failed"] == 0, run.output
    built = host.check_output("readlink -f /opt/pypi/current")
    assert built != release
    assert host.file(f"{built}/manifest.json").exists
    assert not host.file(f"{built}/wheels").exists
    assert node.playbook("playbooks/verify.yml").code == 0


def test_missing_wheel_is_reported(host, node, server, folder):
    """A missing wheel for the server's Python version is reported before any change."""
    node.machine.check_output(
        f"rm -rf {folder}-less && cp -r {folder} {folder}-less && rm {folder}-less/{SPECIFIC_WHEELS[server]}*"
    )
    run = node.playbook("site.yml", pypi_install_folder=f"{folder}-less")
    assert run.hosts == {server: {"changed": 0, "failed": 1}}, run.output
    assert "Nothing was changed" in run.normalized_output
    assert f"has no wheel of {SPECIFIC_WHEELS[server].strip('-').replace('_', '-')}" in run.normalized_output
    assert host.run("systemctl is-active pypi-application").rc == 0


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_wheels_are_complete_for_all_pythons(version, tmp_path):
    """Each Python can install offline from the wheels, which any Python of this machine may have collected."""
    python = python_of(version)
    if python is None:
        pytest.skip(f"this machine has no Python {version}")
    subprocess.run([python, "-m", "venv", tmp_path / "venv"], check=True)
    own = tmp_path / "venv/bin/python"
    subprocess.run([own, "-m", "pip", "install", "--quiet", "packaging"], check=True)
    subprocess.run([own, PROJECT / "tools/wheels", tmp_path / "wheels"], check=True)
    for other in filter(None, map(python_of, ("3.11", "3.13"))):
        home = tmp_path / Path(other).name
        install = (
            f"{other} -m venv --clear {home} && {home}/bin/python -I -m pip --isolated install"
            f" --quiet --no-index --find-links {tmp_path}/wheels --only-binary=:all: --require-hashes -r {PINS}"
        )
        subprocess.run(["unshare", "--user", "--map-root-user", "--net", "sh", "-c", install], check=True)
        subprocess.run([home / "bin/python", "-c", "import pypiserver"], check=True)
