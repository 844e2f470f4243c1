"""The unit tests of pypi-backup that need restic, with the version of each Debian release."""

import re
import tarfile

import pytest
from shared.deployment import PROJECT, ansible_playbook

PARTS = ["pyproject.toml", "tests/conftest.py", "tests/support", "tests/backups"]
PARTS += ["roles/backup/files", "roles/pypiserver/files"]
# The other one needs Ansible, and no restic.
FILES = ["tests/backups/test_backup.py", "tests/backups/test_prepare.py", "tests/backups/test_restore.py"]


def without_caches(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out byte code, which may belong to another version of Python."""
    return None if "__pycache__" in member.name else member


@pytest.fixture(scope="module")
def copied(inventory, tmp_path_factory):
    """Copy the tests to the servers."""
    path = tmp_path_factory.mktemp("units") / "kit.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for part in PARTS:
            archive.add(PROJECT / part, part, filter=without_caches)
    run = ansible_playbook(inventory, "molecule/backup/unit_tests.yml", "--extra-vars", f"archive={path}")
    assert run.code == 0, run.output


@pytest.mark.usefixtures("copied")
def test_unit_tests_pass_with_restic(host, settings):
    """All of them run, none is skipped. The application's packages are those of its release."""
    packages = f"{settings['pypi_program_dir']}/current/lib/python3*/site-packages"
    command = f"cd /root/kit && RESTIC=/usr/bin/restic PYTHONPATH=$(echo {packages})"
    # Without byte code in the release: it would differ from its manifest.
    done = host.run(f"{command} python3 -B -m pytest -p no:cacheprovider -q -rs {' '.join(FILES)}")
    assert done.rc == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE), done.stdout
    assert "skipped" not in done.stdout
