"""Publishing with the programs that people use, from their own machines, through the front door."""

from dataclasses import dataclass, field

import pytest
from shared.workplace import PYPIRC, project

BUILD = "pyproject-build --no-isolation"


@dataclass(frozen=True)
class Way:
    """How somebody publishes: what they build with, which program they use, how it knows them."""

    name: str
    project: str
    command: str
    files: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


WAYS = [
    Way(
        "setuptools, twine, .pypirc",
        "setuptools",
        f"{BUILD} && twine upload --repository wheelhouse dist/*",
        files={".pypirc": PYPIRC},
    ),
    Way(
        "setuptools, twine, environment",
        "setuptools",
        f"{BUILD} && twine upload dist/*",
        variables={
            "TWINE_REPOSITORY_URL": "{url}legacy/",
            "TWINE_USERNAME": "{user}",
            "TWINE_PASSWORD": "{password}",
        },
    ),
    Way(
        "setuptools, uv, environment",
        "setuptools",
        f"{BUILD} && uv publish",
        variables={"UV_PUBLISH_URL": "{url}", "UV_PUBLISH_USERNAME": "{user}", "UV_PUBLISH_PASSWORD": "{password}"},
    ),
    Way(
        "setuptools, uv, URL",
        "setuptools",
        f"{BUILD} && uv publish --publish-url {{url_with_login}}legacy/",
    ),
    Way("flit, .pypirc", "flit", "flit publish --repository wheelhouse", files={".pypirc": PYPIRC}),
    Way(
        "flit, environment",
        "flit",
        "flit publish",
        variables={"FLIT_INDEX_URL": "{url}", "FLIT_USERNAME": "{user}", "FLIT_PASSWORD": "{password}"},
    ),
    Way(
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
    Way(
        "hatch, environment",
        "hatch",
        "hatchling build && hatch publish --no-prompt",
        variables={
            "HATCH_INDEX_REPO": "{url}legacy/",
            "HATCH_INDEX_USER": "{user}",
            "HATCH_INDEX_AUTH": "{password}",
        },
    ),
    Way(
        "hatch, .pypirc",
        "hatch",
        "hatchling build && hatch publish --no-prompt --repo {url}",
        files={".pypirc": PYPIRC},
    ),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_publish(workplace, new_version, kept, way):
    """A wheel and an sdist arrive, bit for bit."""
    here, version = workplace("bob"), new_version()
    for path, text in way.files.items():
        here.write(path, text)
    here.unpack(project(way.project, version))
    result = here.run(way.command, way.project, **way.variables)
    assert result.rc == 0, result.stdout + result.stderr
    built = here.run("sha256sum *", f"{way.project}/dist").stdout
    assert len(kept(version)) == 2
    assert kept(version) == {path: digest for digest, path in map(str.split, built.splitlines())}


TWINE = f"{BUILD} && twine upload --non-interactive --repository-url {{url}} --username {{user}} dist/*"
UV = f"{BUILD} && uv publish --publish-url {{url}} --username {{user}}"


@pytest.mark.parametrize("command", [TWINE, UV], ids=["twine", "uv"])
@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [("bob", "wrong", "401"), ("verify", None, "verify may not upload acme-shelf")],
    ids=["wrong password", "no right"],
)
def test_refused(workplace, new_version, kept, command, user, password, reason):
    """Who may not publish reads why, in the words of the program they use, and nothing is kept."""
    here, version = workplace(user, password), new_version()
    here.unpack(project("setuptools", version))
    result = here.run(command, "setuptools", TWINE_PASSWORD="{password}", UV_PUBLISH_PASSWORD="{password}")
    assert result.rc != 0
    assert reason in result.stdout + result.stderr
    assert kept(version) == {}
