"""Redirects of missing projects to PyPI (pypi_upstream), and protection from dependency confusion."""

import time

import pytest
from support.archives import fitting

HANA = ("hana", "The password of hana")

# Server, project, redirect location (None: not found). The servers have different pypi_upstream_url.
PROJECTS = [
    ("group.test", "requests", "https://upstream.test/simple/requests/"),
    ("group.test", "private-tools", None),
    ("group.test", "secret", None),
    ("group.test", "wheelhouse-verify-abc", None),
    ("group.test", "secrets", "https://upstream.test/simple/secrets/"),
    ("group.test", "private", "https://upstream.test/simple/private/"),
    ("anyone.test", "requests", None),
]


@pytest.mark.parametrize(("server", "project", "location"), PROJECTS)
def test_redirects_missing_projects(request_from, server, project, location):
    """Missing projects are redirected, except private names."""
    response = request_from("inside", server, f"simple/{project}/", user="rita" if server == "group.test" else None)
    assert response.status == (302 if location else 404)
    assert response.headers.get("location") == location


def test_redirects_to_pypi_by_default(request_from):
    """The default location is PyPI, as in pypiserver."""
    from pypiserver.config import DEFAULTS

    response = request_from("inside", "either.test", "simple/requests/")
    assert (response.status, response.headers["location"]) == (302, DEFAULTS.FALLBACK_URL.rstrip("/") + "/requests/")


def test_redirects_need_read_access(request_from):
    """Without read access, existing and missing names are indistinguishable."""
    for project in ("requests", "private-tools"):
        assert request_from("outside", "either.test", f"simple/{project}/").status == 401


def test_removed_project_is_not_redirected(request_from, send_from):
    """After its last file is removed, a project is still not redirected (dependency confusion)."""
    name = f"shared-{time.time_ns() % 10}"
    file = f"{name.replace('-', '_')}-1.{time.time_ns()}-py3-none-any.whl"
    assert send_from("inside", "either.test", file, fitting(file), user=HANA).status == 200
    assert request_from("inside", "either.test", f"simple/{name}/").status == 200
    page = request_from("inside", "either.test", f"simple/{name}/").body
    for version in {line.split("-")[1] for line in page.split('"') if line.endswith(".whl") or ".whl#" in line}:
        form_of = {":action": "remove_pkg", "name": name, "version": version}
        options = [word for item in form_of.items() for word in ("--form", "=".join(item))]
        assert request_from("inside", "either.test", "", *options, user=HANA).status == 200
    response = request_from("inside", "either.test", f"simple/{name}/")
    assert (response.status, response.headers.get("location")) == (404, None)


def test_missing_data_is_not_redirected(servers, all_settings, request_from):
    """Without the data directory, no project is redirected."""
    mark = f"{all_settings['either.test']['pypi_data_dir']}/.wheelhouse"
    servers["either.test"].check_output(f"mv {mark} /root/mark")
    try:
        assert request_from("inside", "either.test", "simple/requests/").status == 503
    finally:
        servers["either.test"].check_output(f"mv /root/mark {mark}")


def test_yanks_release_by_setting(request_from, send_from):
    """pypi_yanked takes effect for a file that is uploaded later."""
    name = "team_yanked-1.0-py3-none-any.whl"
    assert send_from("inside", "either.test", name, fitting(name), user=HANA).status == 200
    page = request_from("inside", "either.test", "simple/team-yanked/").body
    assert 'data-yanked="Says &quot;no&quot;"' in page
