"""Dependency resolution by pip and uv: what they download, and which release they choose."""

import time

import pytest
from shared.wheels import installable

TREE = 30


@pytest.fixture(scope="module")
def prefix():
    """Return a unique prefix of project names."""
    return f"acme_tree{time.time_ns()}"


@pytest.fixture(scope="module")
def tree(upload, prefix):
    """Publish thirty projects, each of which requires the next two in a binary tree. Returns the root's name."""
    for number in range(TREE):
        children = [2 * number + 1, 2 * number + 2]
        requirements = [f"Requires-Dist: {prefix}-{child}" for child in children if child < TREE]
        name = f"{prefix}_{number}"
        wheel = installable(name, "1.0", *requirements)
        assert upload(f"{name}-1.0-py3-none-any.whl", wheel, user="bob").status == 200
    return f"{prefix}-0"


@pytest.fixture
def downloads(host, settings, prefix):
    """Count the downloaded wheels of the tree in the access log."""

    def downloads() -> int:
        pattern = f"GET /packages/{prefix}_[0-9]*-1.0-py3-none-any.whl "
        return int(host.check_output(f"grep -c '{pattern}' {settings['pypi_log_dir']}/access.log || true"))

    return downloads


PIP = "/opt/clients/bin/pip install --dry-run --ignore-installed --index-url {url_with_login}simple/"
UV = "uv pip compile --no-cache --default-index {url_with_login}simple/ -"


@pytest.mark.parametrize("command", [f"echo %s | {UV}", f"{PIP} %s"], ids=["uv", "pip"])
def test_resolves_without_downloading_wheels(client_env, tree, downloads, command):
    """Installers read dependencies from metadata files, and download only what they install."""
    before = downloads()
    result = client_env("verify").run(command % tree)
    assert result.rc == 0, result.stdout + result.stderr
    # The output of pip contains wheels, that of uv projects.
    assert result.stdout.replace("_", "-").count(tree.removesuffix("-0").replace("_", "-")) >= TREE
    assert downloads() == before


# The version of a second release besides 1.0, its additional metadata, and the version that is chosen.
CHOICES = [
    ("2.0", [], "2.0"),
    ("2.0", ["Requires-Python: >=3.99"], "1.0"),
    ("2.0", ["Requires-Python: >=3.9"], "2.0"),
    ("2.0rc1", [], "1.0"),
    ("2.0+local.1", [], "2.0+local.1"),
]


@pytest.mark.parametrize(("version", "fields", "chosen"), CHOICES)
@pytest.mark.parametrize("program", ["/opt/clients/bin/pip", "uv pip"])
def test_chooses_newest_compatible_release(upload, client_env, program, version, fields, chosen):
    """Installers choose the newest release that supports the Python version and is not a pre-release."""
    name = f"acme_choice{time.time_ns()}"
    for release, metadata in (("1.0", []), (version, fields)):
        wheel = installable(name, release, *metadata)
        assert upload(f"{name}-{release}-py3-none-any.whl", wheel, user="bob").status == 200
    env = client_env("verify")
    result = env.run(f"{program} install --target here --index-url {{url_with_login}}simple/ {name}")
    assert result.rc == 0, result.stdout + result.stderr
    assert env.run(f"PYTHONPATH=here python3 -c 'import {name}; print({name}.VERSION)'").stdout.strip() == chosen


def test_ignores_yanked_release(host, upload, client_env):
    """A yanked release is installed only if it is pinned exactly."""
    name = f"acme_yank{time.time_ns()}"
    for release in ("1.0", "2.0"):
        assert upload(f"{name}-{release}-py3-none-any.whl", installable(name, release), user="bob").status == 200
    host.check_output(f"wheelhouse yank {name} 2.0 --reason wrong")
    env = client_env("verify")
    for program in ("/opt/clients/bin/pip", "uv pip"):
        for wanted, version in ((name, "1.0"), (f"{name}==2.0", "2.0")):
            command = f"rm -rf here && {program} install --target here --index-url {{url_with_login}}simple/ {wanted}"
            assert env.run(command).rc == 0
            assert (
                env.run(f"PYTHONPATH=here python3 -c 'import {name}; print({name}.VERSION)'").stdout.strip() == version
            )


def test_exclude_newer_uses_upload_times(upload, client_env):
    """Installers can exclude files uploaded after a date (PEP 700)."""
    name = f"acme_date{time.time_ns()}"
    assert upload(f"{name}-1.0-py3-none-any.whl", installable(name, "1.0"), user="bob").status == 200
    env = client_env("verify")
    install = (
        f"uv pip install --no-cache --target here --default-index {{url_with_login}}simple/ {name} --exclude-newer "
    )
    assert env.run(install + "2020-01-01").rc != 0
    assert env.run(install + "2100-01-01").rc == 0
