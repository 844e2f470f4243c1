"""Install packages with pip and uv, with each way to configure the index and the credentials."""

from dataclasses import dataclass, field

import pytest
from shared.client_env import NETRC, PIP_CONF, project


@dataclass(frozen=True)
class Method:
    """An installer command with its configuration."""

    name: str
    command: str
    files: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


PIPS = {"Debian's pip": "/usr/bin/python3 -m pip", "current pip": "/opt/clients/bin/pip"}
UV = "uv pip install --target here"

METHODS = [
    method
    for name, pip in PIPS.items()
    for method in (
        Method(f"{name}, URL", f"{pip} install --target here --index-url {{url_with_login}}simple/"),
        Method(
            f"{name}, netrc",
            f"{pip} install --target here --index-url {{url}}simple/",
            files={".netrc": NETRC},
        ),
        Method(
            f"{name}, environment",
            f"{pip} install --target here",
            variables={"PIP_INDEX_URL": "{url_with_login}simple/"},
        ),
        Method(f"{name}, pip.conf", f"{pip} install --target here", files={".config/pip/pip.conf": PIP_CONF}),
        # URLs that worked with pypiserver.
        Method(f"{name}, URL without simple/", f"{pip} install --target here --index-url {{url_with_login}}"),
        Method(
            f"{name}, URL without simple/, netrc",
            f"{pip} install --target here --index-url {{url}}",
            files={".netrc": NETRC},
        ),
    )
] + [
    Method(
        "Debian's pip in a virtualenv, pip.conf",
        "/usr/bin/python3 -m venv virtualenv && virtualenv/bin/pip install --target here",
        files={".config/pip/pip.conf": PIP_CONF},
    ),
    Method("uv, URL", f"{UV} --default-index {{url_with_login}}simple/"),
    Method("uv, URL without simple/", f"{UV} --default-index {{url_with_login}}"),
    Method("uv, netrc", f"{UV} --default-index {{url}}simple/", files={".netrc": NETRC}),
    Method(
        "uv, environment",
        UV,
        variables={
            "UV_DEFAULT_INDEX": "wheelhouse={url}simple/",
            "UV_INDEX_WHEELHOUSE_USERNAME": "{user}",
            "UV_INDEX_WHEELHOUSE_PASSWORD": "{password}",
        },
    ),
]


@pytest.fixture(scope="module")
def published(client_env, new_version):
    """Publish acme-basket and return its version."""
    env, version = client_env("bob"), new_version()
    env.unpack(project("hatch", version))
    upload = "hatchling build && twine upload --repository-url {url} --username {user} dist/*"
    assert env.run(upload, "hatch", TWINE_PASSWORD="{password}").rc == 0
    return version


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_installs_published_wheel(client_env, published, method):
    """The installed module is the published one."""
    env = client_env("verify")
    for path, text in method.files.items():
        env.write(path, text)
    result = env.run(f"{method.command} acme-basket=={published}", **method.variables)
    assert result.rc == 0, result.stdout + result.stderr
    assert env.run("PYTHONPATH=here python3 -c 'import acme_basket; print(acme_basket.where())'").stdout == (
        "acme-basket\n"
    )


def test_installs_from_sdist(client_env, published):
    """Installers can build the sdist of a release."""
    options = "--no-binary :all: --no-build-isolation --index-url {url_with_login}simple/"
    result = client_env("verify").run(f"pip install --target here {options} acme-basket=={published}")
    assert result.rc == 0, result.stdout + result.stderr


@pytest.mark.parametrize("program", [*PIPS.values(), "uv pip"])
@pytest.mark.parametrize("index", ["{url}", "{url_with_login}"], ids=["no login", "wrong password"])
def test_rejects_install_without_valid_login(client_env, published, program, index):
    """Commands without the correct password fail and install nothing."""
    env = client_env("verify", "wrong")
    result = env.run(f"{program} install --target here --index-url {index}simple/ acme-basket=={published}")
    assert result.rc != 0
    assert env.run("test -e here/acme_basket").rc != 0
