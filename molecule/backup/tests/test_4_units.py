"""The unit tests of pypi-backup that need restic, on Debian 12 and 13: before test_5_upgrade, which leaves only 13."""

import re
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from shared.deployment import PROJECT, ansible_playbook

PARTS = ["pyproject.toml", "tests/conftest.py", "tests/support", "tests/backups"]
PARTS += ["roles/backup/files", "roles/pypiserver/files"]
# The other one needs Ansible, and no restic.
FILES = ["tests/backups/test_backup.py", "tests/backups/test_prepare.py", "tests/backups/test_restore.py"]


def without_caches(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out byte code, which may belong to another version of Python."""
    return None if "__pycache__" in member.name else member


@pytest.fixture(scope="session")
def done(servers, all_settings, inventory, tmp_path_factory) -> dict:
    """Copy the tests to the servers, and run them. Returns {server: result}."""
    path = tmp_path_factory.mktemp("units") / "kit.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for part in PARTS:
            archive.add(PROJECT / part, part, filter=without_caches)
    run = ansible_playbook(inventory, "molecule/backup/unit_tests.yml", "--extra-vars", f"archive={path}")
    assert run.code == 0, run.output

    def unit_tests(server: str):
        packages = f"{all_settings[server]['pypi_program_dir']}/current/lib/python3*/site-packages"
        command = f"cd /root/kit && RESTIC=/usr/bin/restic PYTHONPATH=$(echo {packages})"
        # Without byte code in the release: it would differ from its manifest.
        return servers[server].run(f"{command} python3 -B -m pytest -p no:cacheprovider -q -rs {' '.join(FILES)}")

    with ThreadPoolExecutor() as pool:
        return dict(zip(servers, pool.map(unit_tests, servers), strict=True))


def test_unit_tests_pass_with_restic(done, server):
    """All of them run, none is skipped. The application's packages are those of its release."""
    result = done[server]
    assert result.rc == 0, result.stdout + result.stderr
    assert re.search(r"^\d+ passed", result.stdout, re.MULTILINE), result.stdout
    assert "skipped" not in result.stdout
