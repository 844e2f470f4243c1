"""Files with a wrong owner, as after a restore on a host with another UID of user pypi: check prints the fix."""

import re
import time

import pytest
from shared.wheels import installable

FIXES = re.compile(r": (?:owner|mode)[: ].*\. Run as root: (.+)$", re.MULTILINE)


@pytest.fixture
def directories(settings):
    """Return the directories that user pypi owns."""
    return [f"{settings['pypi_data_dir']}/packages", f"{settings['pypi_data_dir']}/state", settings["pypi_pages_dir"]]


@pytest.fixture
def attributes(host, directories):
    """List the owner, group and mode of all files except temporary files and locks."""
    command = f"find {' '.join(directories)} -not -name '.*' -not -path '*/locks/*' -printf '%u:%g %m %p\n' | sort"
    return lambda: host.check_output(command)


@pytest.fixture
def published(upload):
    """Publish a file and return its name."""
    name = f"acme_owner{time.time_ns()}"
    filename = f"{name}-1.0-py3-none-any.whl"
    assert upload(filename, installable(name, "1.0"), user="bob").status == 200
    return filename


def apply_fixes(host) -> list[str]:
    """Run each command that `wheelhouse check` prints, and return the commands."""
    commands = FIXES.findall(host.run("wheelhouse check").stdout)
    for command in commands:
        host.check_output(command)
    return commands


@pytest.mark.usefixtures("published")
def test_check_prints_no_fix_by_default(host):
    """Owners and modes are correct after a deployment and an upload."""
    assert apply_fixes(host) == []


def test_fixes_unreadable_file(host, fetch, directories, published):
    """An unreadable file is listed with a command, which makes it readable."""
    path = f"{directories[0]}/{published}"
    host.check_output(f"chown root:root {path} && chmod 600 {path}")
    assert fetch(f"/packages/{published}", user="verify").status == 403
    assert apply_fixes(host) == [f"chown -h pypi:www-data {path} && chmod 640 {path}"]
    assert fetch(f"/packages/{published}", user="verify").status == 200
    assert apply_fixes(host) == []


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    "include_directories", [True, False], ids=["everything", "files only, as after a run of site.yml"]
)
def test_fixes_wrong_owner_everywhere(host, upload, directories, attributes, include_directories):
    """The commands restore all owners and modes, and uploads work again."""
    host.check_output("systemctl stop pypi-pages.timer pypi-pages.path; systemctl stop pypi-pages.service")
    before = attributes()
    try:
        options = "" if include_directories else "-type f"
        host.check_output(f"find {' '.join(directories)} {options} -exec chown 4711 {{}} +")
        name = f"acme_owner{time.time_ns()}"
        content = installable(name, "1.0")
        assert upload(f"{name}-1.0-py3-none-any.whl", content, user="bob").status in (500, 503)
        commands = apply_fixes(host)
        assert [directory for directory in directories if directory not in " ".join(commands)] == []
        apply_fixes(host)
        assert apply_fixes(host) == []
    finally:
        host.run(f"find {' '.join(directories)} -user 4711 -exec chown pypi {{}} +")
        host.check_output("systemctl start pypi-pages.timer pypi-pages.path")
    assert attributes() == before
    assert upload(f"{name}-1.0-py3-none-any.whl", content, user="bob").status == 200
