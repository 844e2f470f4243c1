"""Data that belongs to somebody else, as after a restore under another number of user pypi: check names the cure."""

import re
import time

import pytest
from shared.wheels import installable

NAMES = re.compile(r": (?:owner|mode)[: ].*\. Run as root: (.+)$", re.MULTILINE)


@pytest.fixture
def places(settings):
    """The directories that user pypi owns."""
    return [f"{settings['pypi_data_dir']}/packages", f"{settings['pypi_data_dir']}/state", settings["pypi_pages_dir"]]


@pytest.fixture
def attributes(host, places):
    """Return the owner, group and mode of all that is there, apart from what comes and goes: temporary files, locks."""
    command = f"find {' '.join(places)} -not -name '.*' -not -path '*/locks/*' -printf '%u:%g %m %p\n' | sort"
    return lambda: host.check_output(command)


@pytest.fixture
def published(upload):
    """The name of a file that is there."""
    name = f"acme_owner{time.time_ns()}"
    filename = f"{name}-1.0-py3-none-any.whl"
    assert upload(filename, installable(name, "1.0"), user="bob").status == 200
    return filename


def cure(host) -> list[str]:
    """Run each command that check names. Returns them."""
    commands = NAMES.findall(host.run("wheelhouse check").stdout)
    for command in commands:
        host.check_output(command)
    return commands


@pytest.mark.usefixtures("published")
def test_nothing_to_cure(host):
    """What the kit has written is right."""
    assert cure(host) == []


def test_a_file(host, ask, places, published):
    """One that nobody may read is named with its cure, and served again afterwards."""
    path = f"{places[0]}/{published}"
    host.check_output(f"chown root:root {path} && chmod 600 {path}")
    assert ask(f"/packages/{published}", user="verify").status == 403
    assert cure(host) == [f"chown -h pypi:www-data {path} && chmod 640 {path}"]
    assert ask(f"/packages/{published}", user="verify").status == 200
    assert cure(host) == []


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("directories", [True, False], ids=["everything", "files alone, as after a run of site.yml"])
def test_another_number(host, upload, places, attributes, directories):
    """Some commands, and all of it is as it was: uploads work again."""
    host.check_output("systemctl stop pypi-pages.timer pypi-pages.path; systemctl stop pypi-pages.service")
    before = attributes()
    try:
        only = "" if directories else "-type f"
        host.check_output(f"find {' '.join(places)} {only} -exec chown 4711 {{}} +")
        name = f"acme_owner{time.time_ns()}"
        content = installable(name, "1.0")
        assert upload(f"{name}-1.0-py3-none-any.whl", content, user="bob").status in (500, 503)
        commands = cure(host)
        assert [place for place in places if place not in " ".join(commands)] == []
        cure(host)
        assert cure(host) == []
    finally:
        host.run(f"find {' '.join(places)} -user 4711 -exec chown pypi {{}} +")
        host.check_output("systemctl start pypi-pages.timer pypi-pages.path")
    assert attributes() == before
    assert upload(f"{name}-1.0-py3-none-any.whl", content, user="bob").status == 200
