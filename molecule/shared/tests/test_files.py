"""Owners, modes and effective permissions of files on the server."""

from pathlib import Path

import pytest

# Path, owner, group, mode. Braces contain names of settings.
ATTRIBUTES = [
    ("{pypi_data_dir}", "root", "root", 0o755),
    ("{pypi_data_dir}/.wheelhouse", "root", "root", 0o644),
    ("{pypi_data_dir}/packages", "pypi", "www-data", 0o2750),
    ("{pypi_data_dir}/state", "pypi", "pypi", 0o755),
    ("{pypi_pages_dir}/projects", "pypi", "www-data", 0o2750),
    ("{pypi_pages_dir}/root", "pypi", "www-data", 0o2750),
    ("{pypi_pages_dir}/root/index.json", "pypi", "www-data", 0o640),
    ("{pypi_pages_dir}/records", "pypi", "pypi", 0o700),
    ("{pypi_config_dir}", "root", "root", 0o751),
    ("{pypi_config_dir}/htpasswd", "root", "www-data", 0o640),
    ("{pypi_config_dir}/htpasswd.fingerprints", "root", "root", 0o600),
    ("{pypi_config_dir}/groups", "root", "www-data", 0o640),
    ("{pypi_config_dir}/rights.json", "root", "pypi", 0o640),
    ("{pypi_config_dir}/settings.json", "root", "pypi", 0o640),
    ("{pypi_config_dir}/application.conf", "root", "pypi", 0o640),
    ("/run/pypi-passwords", "www-data", "www-data", 0o700),
    ("/run/pypi-early-responses", "pypi", "www-data", 0o2750),
    ("{pypi_config_dir}/yanked.json", "root", "pypi", 0o640),
    ("{pypi_config_dir}/tls", "root", "root", 0o700),
    ("{pypi_log_dir}", "root", "adm", 0o751),
    ("{pypi_log_dir}/access.log", "root", "adm", 0o640),
    ("{pypi_log_dir}/error.log", "root", "adm", 0o640),
    ("{pypi_log_dir}/audit", "pypi", "adm", 0o2750),
    ("/etc/apache2/sites-available/pypi.conf", "root", "root", 0o644),
    ("/etc/logrotate.d/pypi", "root", "root", 0o644),
    ("/usr/local/sbin/pypi-try-site", "root", "root", 0o755),
    ("{pypi_program_dir}/current/bin/wheelhouse", "root", "root", 0o755),
    ("/usr/local/lib/pypi/passwords.py", "root", "root", 0o644),
]

# User, operation (option of test(1)), path, whether it succeeds.
ACCESS = [
    ("pypi", "-w", "{pypi_data_dir}/packages", True),
    ("pypi", "-w", "{pypi_data_dir}", False),
    ("pypi", "-r", "{pypi_config_dir}/rights.json", True),
    ("pypi", "-w", "{pypi_config_dir}/rights.json", False),
    ("pypi", "-r", "{pypi_config_dir}/htpasswd", False),
    ("pypi", "-x", "{pypi_config_dir}/tls", False),
    ("pypi", "-r", "{pypi_log_dir}", False),
    ("pypi", "-w", "{pypi_log_dir}", False),
    ("pypi", "-r", "{pypi_log_dir}/access.log", False),
    ("pypi", "-w", "{pypi_log_dir}/audit", True),
    ("www-data", "-r", "{pypi_config_dir}/htpasswd", True),
    ("www-data", "-w", "{pypi_config_dir}/htpasswd", False),
    ("www-data", "-x", "{pypi_config_dir}/tls", False),
    ("www-data", "-r", "{pypi_data_dir}/packages", True),
    ("www-data", "-w", "{pypi_data_dir}/packages", False),
    ("www-data", "-w", "{pypi_pages_dir}/projects", False),
    ("www-data", "-x", "{pypi_pages_dir}/records", False),
    ("nobody", "-r", "{pypi_data_dir}/packages", False),
    ("nobody", "-x", "{pypi_pages_dir}", False),
    ("nobody", "-r", "{pypi_config_dir}/htpasswd", False),
    ("nobody", "-r", "{pypi_config_dir}/rights.json", False),
    ("www-data", "-x", "{pypi_log_dir}/audit", False),
    ("nobody", "-r", "{pypi_log_dir}", False),
    ("nobody", "-r", "{pypi_log_dir}/access.log", False),
    ("nobody", "-x", "{pypi_log_dir}/audit", False),
]


@pytest.mark.parametrize(("path", "user", "group", "mode"), ATTRIBUTES)
def test_owner_and_mode(host, settings, path, user, group, mode):
    """Each file has the least permissions that its readers and writers need."""
    file = host.file(path.format(**settings))
    assert (file.user, file.group, oct(file.mode)) == (user, group, oct(mode))


@pytest.mark.parametrize(("user", "option", "path", "works"), ACCESS)
def test_effective_permissions(host, settings, user, option, path, works):
    """The operating system grants exactly these accesses, with those of parent directories considered."""
    result = host.run("runuser -u %s -- test %s %s", user, option, path.format(**settings))
    assert (result.rc == 0) is works


@pytest.mark.parametrize("directory", ["{pypi_program_dir}", "{pypi_config_dir}", "/etc/apache2"])
def test_programs_belong_to_root(host, settings, directory):
    """The web server's users can write no program and no configuration."""
    directory = directory.format(**settings)
    assert host.file(directory).is_directory
    suspects = "-user pypi -o -user www-data -o -not -type l -perm /022"
    assert host.check_output(f"find -H {directory} {suspects}") == ""


def test_one_release_is_current(host, settings):
    """The current release is a symbolic link; build files that may contain a password are deleted."""
    current = host.file(f"{settings['pypi_program_dir']}/current")
    assert current.is_symlink
    assert host.file(f"{current.linked_to}/manifest.json").exists
    build_files = [f"{current.linked_to}/{name}" for name in ("pip.conf", "install-ca.crt", "wheels")]
    assert not any(host.file(path).exists for path in build_files), "these may contain a password"


def test_secrets_are_private_on_the_control_node(all_settings, server):
    """Only their owner can read generated passwords."""
    secrets = Path(all_settings[server]["pypi_secrets_dir"])
    files = [path for path in secrets.rglob("*") if path.is_file()]
    assert files
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
