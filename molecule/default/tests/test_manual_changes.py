"""Files that an admin copies into the packages directory or deletes from it."""

import json
import time

import pytest
from support.archives import wheel


@pytest.fixture
def project(host, settings, put):
    """Copy a file into the packages directory. Returns the project's name and the path."""
    name = f"acme_hand{time.time_ns()}"
    directory = f"{settings['pypi_data_dir']}/packages"
    put(host, f"/root/{name}", wheel(name))
    path = f"{directory}/{name}-1.0-py3-none-any.whl"
    host.check_output(f"install -o pypi -g www-data -m 0640 /root/{name} {path}")
    yield name.replace("_", "-"), path
    host.check_output(f"rm -f {path}")


def wait_for_status(status: int, fetch, path: str) -> bool:
    """Return whether a page has a status within 20 seconds."""
    for _ in range(40):
        if fetch(path, user="verify").status == status:
            return True
        time.sleep(0.5)
    return False


def test_lists_copied_files_and_forgets_deleted_ones(host, fetch, project):
    """Copied and deleted files appear on the pages and disappear from them without a command."""
    name, path = project
    assert wait_for_status(200, fetch, f"/simple/{name}/")
    assert f'<a href="{name}/">' in fetch("/simple/", user="verify").body
    host.check_output(f"rm {path}")
    assert wait_for_status(404, fetch, f"/simple/{name}/")
    assert f'<a href="{name}/">' not in fetch("/simple/", user="verify").body


def test_reports_corrupt_file(host, fetch, project, put):
    """A corrupt file is omitted from the page and reported; other files are not affected."""
    name, path = project
    corrupt = path.replace("-1.0-", "-1.1-")
    put(host, corrupt, wheel(name)[:-30])
    host.check_output(f"chown pypi:www-data {corrupt}")
    try:
        assert wait_for_status(200, fetch, f"/simple/{name}/")
        page = fetch(f"/simple/{name}/", user="verify").body
        assert "-1.0-py3" in page
        assert "-1.1-py3" not in page
        checked = host.run("wheelhouse check")
        assert checked.rc == 1
        assert f"{corrupt.rpartition('/')[2]}: corrupt" in checked.stdout
    finally:
        host.check_output(f"rm {corrupt}")


def test_check_detects_changed_content(host, project, fetch):
    """Changed content is detected even with the same size and modification time."""
    name, path = project
    assert wait_for_status(200, fetch, f"/simple/{name}/")
    assert f"{path.rpartition('/')[2]}" not in host.run("wheelhouse check").stdout
    host.check_output(f"touch -r {path} /root/time && printf X | dd of={path} bs=1 seek=40 conv=notrunc status=none")
    host.check_output(f"touch -r /root/time {path}")
    checked = host.run("wheelhouse check")
    assert checked.rc == 1
    assert f"{path.rpartition('/')[2]}: differs" in checked.stdout


def upload_time(fetch, name: str) -> str:
    """Return the upload time of a project's only file, from its page."""
    response = fetch(f"/simple/{name}/", "--header", "Accept: application/vnd.pypi.simple.v1+json", user="verify")
    return json.loads(response.body)["files"][0]["upload-time"]


def test_upload_times_survive_copying(host, settings, project, fetch):
    """`cp -r` sets new file times: pages keep the upload times, and `wheelhouse check` lists the differing files."""
    name, path = project
    assert wait_for_status(200, fetch, f"/simple/{name}/")
    before = upload_time(fetch, name)
    assert f"{before} " in host.check_output(
        f"grep {path.rpartition('/')[2]} {settings['pypi_data_dir']}/state/uploaded.txt"
    )
    host.check_output(f"cp --no-preserve=timestamps {path} /root/copy && cp /root/copy {path}")
    host.check_output("wheelhouse rebuild --changed")
    assert upload_time(fetch, name) == before
    message = f"{path.rpartition('/')[2]}: time: it was uploaded at {before}"
    checked = host.run("wheelhouse check")
    assert checked.rc == 1
    assert message in checked.stdout
    host.check_output(f"chown pypi {path} && wheelhouse restore-times")
    assert message not in host.run("wheelhouse check").stdout
    assert upload_time(fetch, name) == before


def test_yanks_and_unyanks_release(host, fetch, project):
    """A yanked release remains available for clients that pin it (PEP 592)."""
    name, _path = project
    assert wait_for_status(200, fetch, f"/simple/{name}/")
    host.check_output(f"wheelhouse yank {name} 1.0 --reason 'It was \"wrong\"'")
    assert 'data-yanked="It was &quot;wrong&quot;"' in fetch(f"/simple/{name}/", user="verify").body
    host.check_output(f"wheelhouse unyank {name} 1.0")
    assert "data-yanked" not in fetch(f"/simple/{name}/", user="verify").body
    result = host.run(f"wheelhouse yank {name} 7.0")
    assert result.rc == 1
    assert f"There is no {name} 7.0 here. There are: 1.0." in result.stdout
    log = host.check_output(f"wheelhouse audit who {name}")
    assert log.count(" yanked ") == log.count(" unyanked ") == 1
