"""Publish packages with common build and upload tools."""

from dataclasses import dataclass, field

import pytest
from shared.client_env import PYPIRC, project

BUILD = "pyproject-build --no-isolation"


@dataclass(frozen=True)
class Method:
    """A build backend, an upload command, and its configuration."""

    name: str
    project: str
    command: str
    files: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


METHODS = [
    Method(
        "setuptools, twine, .pypirc",
        "setuptools",
        f"{BUILD} && twine upload --repository wheelhouse dist/*",
        files={".pypirc": PYPIRC},
    ),
    Method(
        "setuptools, twine, environment",
        "setuptools",
        f"{BUILD} && twine upload dist/*",
        variables={
            "TWINE_REPOSITORY_URL": "{url}legacy/",
            "TWINE_USERNAME": "{user}",
            "TWINE_PASSWORD": "{password}",
        },
    ),
    Method(
        "setuptools, uv, environment",
        "setuptools",
        f"{BUILD} && uv publish",
        variables={"UV_PUBLISH_URL": "{url}", "UV_PUBLISH_USERNAME": "{user}", "UV_PUBLISH_PASSWORD": "{password}"},
    ),
    Method(
        "setuptools, uv, URL",
        "setuptools",
        f"{BUILD} && uv publish --publish-url {{url_with_login}}legacy/",
    ),
    Method("flit, .pypirc", "flit", "flit publish --repository wheelhouse", files={".pypirc": PYPIRC}),
    Method(
        "flit, environment",
        "flit",
        "flit publish",
        variables={"FLIT_INDEX_URL": "{url}", "FLIT_USERNAME": "{user}", "FLIT_PASSWORD": "{password}"},
    ),
    Method(
        "poetry, environment",
        "poetry",
        "poetry publish --no-interaction --build --repository wheelhouse",
        variables={
            "POETRY_REPOSITORIES_WHEELHOUSE_URL": "{url}",
            "POETRY_HTTP_BASIC_WHEELHOUSE_USERNAME": "{user}",
            "POETRY_HTTP_BASIC_WHEELHOUSE_PASSWORD": "{password}",
            "POETRY_VIRTUALENVS_CREATE": "false",
        },
    ),
    Method(
        "hatch, environment",
        "hatch",
        "hatchling build && hatch publish --no-prompt",
        variables={
            "HATCH_INDEX_REPO": "{url}legacy/",
            "HATCH_INDEX_USER": "{user}",
            "HATCH_INDEX_AUTH": "{password}",
        },
    ),
    Method(
        "hatch, .pypirc",
        "hatch",
        "hatchling build && hatch publish --no-prompt --repo {url}",
        files={".pypirc": PYPIRC},
    ),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_publishes_wheel_and_sdist(client_env, new_version, stored_digests, method):
    """A wheel and an sdist are stored unchanged."""
    env, version = client_env("bob"), new_version()
    for path, text in method.files.items():
        env.write(path, text)
    env.unpack(project(method.project, version))
    result = env.run(method.command, method.project, **method.variables)
    assert result.rc == 0, result.stdout + result.stderr
    built = env.run("sha256sum *", f"{method.project}/dist").stdout
    assert len(stored_digests(version)) == 2
    assert stored_digests(version) == {path: digest for digest, path in map(str.split, built.splitlines())}


TWINE = f"{BUILD} && twine upload --non-interactive --repository-url {{url}} --username {{user}} dist/*"
UV = f"{BUILD} && uv publish --publish-url {{url}} --username {{user}}"


@pytest.mark.parametrize("command", [TWINE, UV], ids=["twine", "uv"])
@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [("bob", "wrong", "401"), ("verify", None, "verify is not allowed to upload acme-shelf")],
    ids=["wrong password", "no right"],
)
def test_rejected_upload_shows_reason(client_env, new_version, stored_digests, command, user, password, reason):
    """Upload tools print the reason, and nothing is stored."""
    env, version = client_env(user, password), new_version()
    env.unpack(project("setuptools", version))
    result = env.run(command, "setuptools", TWINE_PASSWORD="{password}", UV_PUBLISH_PASSWORD="{password}")
    assert result.rc != 0
    assert reason in result.stdout + result.stderr
    assert stored_digests(version) == {}
