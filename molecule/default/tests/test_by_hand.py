"""Files that people put into the packages directory, or take out of it, without asking."""

import json
import time

import pytest
from support.archives import wheel


@pytest.fixture
def project(host, settings, put):
    """A project's name and file, copied into the directory with cp."""
    name = f"acme_hand{time.time_ns()}"
    directory = f"{settings['pypi_data_dir']}/packages"
    put(host, f"/root/{name}", wheel(name))
    path = f"{directory}/{name}-1.0-py3-none-any.whl"
    host.check_output(f"install -o pypi -g www-data -m 0640 /root/{name} {path}")
    yield name.replace("_", "-"), path
    host.check_output(f"rm -f {path}")


def becomes(status: int, ask, path: str) -> bool:
    """Whether a page answers with a status within some seconds."""
    for _ in range(40):
        if ask(path, user="verify").status == status:
            return True
        time.sleep(0.5)
    return False


def test_copied_and_removed(host, ask, project):
    """What scp brings, or a restore, is listed by itself, and so is what rm takes."""
    name, path = project
    assert becomes(200, ask, f"/simple/{name}/")
    assert f'<a href="{name}/">' in ask("/simple/", user="verify").body
    host.check_output(f"rm {path}")
    assert becomes(404, ask, f"/simple/{name}/")
    assert f'<a href="{name}/">' not in ask("/simple/", user="verify").body


def test_broken(host, ask, project, put):
    """A torn copy is left out and reported, and takes nothing with it."""
    name, path = project
    torn = path.replace("-1.0-", "-1.1-")
    put(host, torn, wheel(name)[:-30])
    host.check_output(f"chown pypi:www-data {torn}")
    try:
        assert becomes(200, ask, f"/simple/{name}/")
        page = ask(f"/simple/{name}/", user="verify").body
        assert "-1.0-py3" in page
        assert "-1.1-py3" not in page
        checked = host.run("wheelhouse check")
        assert checked.rc == 1
        assert f"{torn.rpartition('/')[2]}: corrupt" in checked.stdout
    finally:
        host.check_output(f"rm {torn}")


def test_check_finds_changed_bytes(host, project, ask):
    """Somebody who can write to the disk cannot change a release unnoticed, even at the same size and time."""
    name, path = project
    assert becomes(200, ask, f"/simple/{name}/")
    assert f"{path.rpartition('/')[2]}" not in host.run("wheelhouse check").stdout
    host.check_output(f"touch -r {path} /root/time && printf X | dd of={path} bs=1 seek=40 conv=notrunc status=none")
    host.check_output(f"touch -r /root/time {path}")
    checked = host.run("wheelhouse check")
    assert checked.rc == 1
    assert f"{path.rpartition('/')[2]}: differs" in checked.stdout


def uploaded(ask, name: str) -> str:
    """When the one file of a project was uploaded, by its page."""
    answer = ask(f"/simple/{name}/", "--header", "Accept: application/vnd.pypi.simple.v1+json", user="verify")
    return json.loads(answer.body)["files"][0]["upload-time"]


def test_upload_times_outlive_copies(host, settings, project, ask):
    """`cp -r` gives files new times. The pages have those of the uploads, and check names each file that differs."""
    name, path = project
    assert becomes(200, ask, f"/simple/{name}/")
    before = uploaded(ask, name)
    assert f"{before} " in host.check_output(
        f"grep {path.rpartition('/')[2]} {settings['pypi_data_dir']}/state/uploaded.txt"
    )
    host.check_output(f"cp --no-preserve=timestamps {path} /root/copy && cp /root/copy {path}")
    host.check_output("wheelhouse rebuild --changed")
    assert uploaded(ask, name) == before
    said = f"{path.rpartition('/')[2]}: time: it was uploaded at {before}"
    checked = host.run("wheelhouse check")
    assert checked.rc == 1
    assert said in checked.stdout
    host.check_output(f"chown pypi {path} && wheelhouse restore-times")
    assert said not in host.run("wheelhouse check").stdout
    assert uploaded(ask, name) == before


def test_yank(host, ask, project):
    """A release that must not be chosen any more is not taken from those who have pinned it (PEP 592)."""
    name, _path = project
    assert becomes(200, ask, f"/simple/{name}/")
    host.check_output(f"wheelhouse yank {name} 1.0 --reason 'It was \"wrong\"'")
    assert 'data-yanked="It was &quot;wrong&quot;"' in ask(f"/simple/{name}/", user="verify").body
    host.check_output(f"wheelhouse unyank {name} 1.0")
    assert "data-yanked" not in ask(f"/simple/{name}/", user="verify").body
    refused = host.run(f"wheelhouse yank {name} 7.0")
    assert refused.rc == 1
    assert f"There is no {name} 7.0 here. There are: 1.0." in refused.stdout
    told = host.check_output(f"wheelhouse audit who {name}")
    assert told.count(" yanked ") == told.count(" unyanked ") == 1
