"""Projects that are not here: with pypi_upstream they are elsewhere, but for those that are ours."""

import time

import pytest
from support.archives import fitting

HANA = ("hana", "The password of hana")

# Server, project, where it leads (None: nowhere). The servers of `redirect` differ in where they send people.
PROJECTS = [
    ("group.test", "requests", "https://upstream.test/simple/requests/"),
    ("group.test", "private-tools", None),
    ("group.test", "secret", None),
    ("group.test", "wheelhouse-verify-abc", None),
    ("group.test", "secrets", "https://upstream.test/simple/secrets/"),
    ("group.test", "private", "https://upstream.test/simple/private/"),
    ("anyone.test", "requests", None),
]


@pytest.mark.parametrize(("server", "project", "leads_to"), PROJECTS)
def test_project_that_is_not_here(request_from, server, project, leads_to):
    """One index URL serves both kinds, and names that are ours are never looked for elsewhere."""
    response = request_from("inside", server, f"simple/{project}/", who="rita" if server == "group.test" else None)
    assert response.status == (302 if leads_to else 404)
    assert response.headers.get("location") == leads_to


def test_public_index(request_from):
    """Unless told otherwise, elsewhere is the index that pypiserver itself would send people to."""
    from pypiserver.config import DEFAULTS

    response = request_from("inside", "either.test", "simple/requests/")
    assert (response.status, response.headers["location"]) == (302, DEFAULTS.FALLBACK_URL.rstrip("/") + "/requests/")


def test_nobody_learns_names(request_from):
    """Who may not read does not learn from a redirect which names there are."""
    for project in ("requests", "private-tools"):
        assert request_from("outside", "either.test", f"simple/{project}/").status == 401


def test_name_that_was_here(request_from, send_from):
    """When the last file of a project is gone, its name is still ours: nobody else's package takes its place."""
    name = f"shared-{time.time_ns() % 10}"
    file = f"{name.replace('-', '_')}-1.{time.time_ns()}-py3-none-any.whl"
    assert send_from("inside", "either.test", file, fitting(file), who=HANA).status == 200
    assert request_from("inside", "either.test", f"simple/{name}/").status == 200
    page = request_from("inside", "either.test", f"simple/{name}/").body
    for version in {line.split("-")[1] for line in page.split('"') if line.endswith(".whl") or ".whl#" in line}:
        form_of = {":action": "remove_pkg", "name": name, "version": version}
        options = [word for item in form_of.items() for word in ("--form", "=".join(item))]
        assert request_from("inside", "either.test", "", *options, who=HANA).status == 200
    response = request_from("inside", "either.test", f"simple/{name}/")
    assert (response.status, response.headers.get("location")) == (404, None)


def test_unmounted_data(servers, all_settings, request_from):
    """An index that has lost its data sends nobody elsewhere for names that it would have."""
    mark = f"{all_settings['either.test']['pypi_data_dir']}/.wheelhouse"
    servers["either.test"].check_output(f"mv {mark} /root/mark")
    try:
        assert request_from("inside", "either.test", "simple/requests/").status == 503
    finally:
        servers["either.test"].check_output(f"mv /root/mark {mark}")


def test_yanked_by_settings(request_from, send_from):
    """A yank can be reviewed like any other change, and may come before the file."""
    name = "team_yanked-1.0-py3-none-any.whl"
    assert send_from("inside", "either.test", name, fitting(name), who=HANA).status == 200
    page = request_from("inside", "either.test", "simple/team-yanked/").body
    assert 'data-yanked="Says &quot;no&quot;"' in page
