"""pip and uv, as they behave: what they download, and which release they choose."""

import time

import pytest
from shared.wheels import installable

TREE = 30


@pytest.fixture(scope="module")
def prefix():
    """The beginning of names that nobody has."""
    return f"acme_tree{time.time_ns()}"


@pytest.fixture(scope="module")
def tree(upload, prefix):
    """Thirty projects, each needing the two behind it. The first one's name."""
    for number in range(TREE):
        behind = [2 * number + 1, 2 * number + 2]
        needs = [f"Requires-Dist: {prefix}-{other}" for other in behind if other < TREE]
        name = f"{prefix}_{number}"
        assert upload(f"{name}-1.0-py3-none-any.whl", installable(name, "1.0", *needs), user="bob").status == 200
    return f"{prefix}-0"


@pytest.fixture
def downloads(host, settings, prefix):
    """A way to the number of wheels of the tree that were downloaded so far, by the access log."""

    def downloads() -> int:
        pattern = f"GET /packages/{prefix}_[0-9]*-1.0-py3-none-any.whl "
        return int(host.check_output(f"grep -c '{pattern}' {settings['pypi_log_dir']}/access.log || true"))

    return downloads


PIP = "/opt/clients/bin/pip install --dry-run --ignore-installed --index-url {url_with_login}simple/"
UV = "uv pip compile --no-cache --default-index {url_with_login}simple/ -"


@pytest.mark.parametrize("command", [f"echo %s | {UV}", f"{PIP} %s"], ids=["uv", "pip"])
def test_no_wheel_before_the_choice(workplace, tree, downloads, command):
    """Dependencies are read from metadata files: a wheel is downloaded to be installed, not to be asked."""
    before = downloads()
    result = workplace("verify").run(command % tree)
    assert result.rc == 0, result.stdout + result.stderr
    # pip names wheels in its list, uv projects.
    assert result.stdout.replace("_", "-").count(tree.removesuffix("-0").replace("_", "-")) >= TREE
    assert downloads() == before


# A release besides 1.0, what its metadata says, and which of both is chosen.
CHOICES = [
    ("2.0", [], "2.0"),
    ("2.0", ["Requires-Python: >=3.99"], "1.0"),
    ("2.0", ["Requires-Python: >=3.9"], "2.0"),
    ("2.0rc1", [], "1.0"),
    ("2.0+local.1", [], "2.0+local.1"),
]


@pytest.mark.parametrize(("version", "fields", "chosen"), CHOICES)
@pytest.mark.parametrize("program", ["/opt/clients/bin/pip", "uv pip"])
def test_choice(upload, workplace, program, version, fields, chosen):
    """Each installer takes the newest release that is meant for it."""
    name = f"acme_choice{time.time_ns()}"
    for release, said in (("1.0", []), (version, fields)):
        assert upload(f"{name}-{release}-py3-none-any.whl", installable(name, release, *said), user="bob").status == 200
    here = workplace("verify")
    result = here.run(f"{program} install --target here --index-url {{url_with_login}}simple/ {name}")
    assert result.rc == 0, result.stdout + result.stderr
    assert here.run(f"PYTHONPATH=here python3 -c 'import {name}; print({name}.VERSION)'").stdout.strip() == chosen


def test_yanked_is_passed_over(host, upload, workplace):
    """A yanked release is chosen by nobody, but by who asks for exactly it."""
    name = f"acme_yank{time.time_ns()}"
    for release in ("1.0", "2.0"):
        assert upload(f"{name}-{release}-py3-none-any.whl", installable(name, release), user="bob").status == 200
    host.check_output(f"wheelhouse yank {name} 2.0 --reason wrong")
    here = workplace("verify")
    for program in ("/opt/clients/bin/pip", "uv pip"):
        for wanted, version in ((name, "1.0"), (f"{name}==2.0", "2.0")):
            command = f"rm -rf here && {program} install --target here --index-url {{url_with_login}}simple/ {wanted}"
            assert here.run(command).rc == 0
            assert (
                here.run(f"PYTHONPATH=here python3 -c 'import {name}; print({name}.VERSION)'").stdout.strip() == version
            )


def test_cut_off_date(upload, workplace):
    """Builds as of a day: upload times are there, and before the first there is nothing (PEP 700)."""
    name = f"acme_date{time.time_ns()}"
    assert upload(f"{name}-1.0-py3-none-any.whl", installable(name, "1.0"), user="bob").status == 200
    here = workplace("verify")
    install = (
        f"uv pip install --no-cache --target here --default-index {{url_with_login}}simple/ {name} --exclude-newer "
    )
    assert here.run(install + "2020-01-01").rc != 0
    assert here.run(install + "2100-01-01").rc == 0
