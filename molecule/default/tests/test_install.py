"""Installing what was published, with the programs that people use, in every way of giving a login."""

from dataclasses import dataclass, field

import pytest
from shared.workplace import NETRC, PIP_CONF, project


@dataclass(frozen=True)
class Way:
    """How somebody installs: with which program, and how it knows them."""

    name: str
    command: str
    files: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


PIPS = {"Debian's pip": "/usr/bin/python3 -m pip", "the newest pip": "/opt/clients/bin/pip"}
UV = "uv pip install --target here"

WAYS = [
    way
    for name, pip in PIPS.items()
    for way in (
        Way(f"{name}, URL", f"{pip} install --target here --index-url {{url_with_login}}simple/"),
        Way(
            f"{name}, netrc",
            f"{pip} install --target here --index-url {{url}}simple/",
            files={".netrc": NETRC},
        ),
        Way(
            f"{name}, environment",
            f"{pip} install --target here",
            variables={"PIP_INDEX_URL": "{url_with_login}simple/"},
        ),
        Way(f"{name}, pip.conf", f"{pip} install --target here", files={".config/pip/pip.conf": PIP_CONF}),
        # As clients of pypiserver may have it.
        Way(f"{name}, URL without simple/", f"{pip} install --target here --index-url {{url_with_login}}"),
        Way(
            f"{name}, URL without simple/, netrc",
            f"{pip} install --target here --index-url {{url}}",
            files={".netrc": NETRC},
        ),
    )
] + [
    Way(
        "Debian's pip in a virtualenv, pip.conf",
        "/usr/bin/python3 -m venv virtualenv && virtualenv/bin/pip install --target here",
        files={".config/pip/pip.conf": PIP_CONF},
    ),
    Way("uv, URL", f"{UV} --default-index {{url_with_login}}simple/"),
    Way("uv, URL without simple/", f"{UV} --default-index {{url_with_login}}"),
    Way("uv, netrc", f"{UV} --default-index {{url}}simple/", files={".netrc": NETRC}),
    Way(
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
def published(workplace, new_version):
    """The version of acme-basket that is there to be installed."""
    here, version = workplace("bob"), new_version()
    here.unpack(project("hatch", version))
    upload = "hatchling build && twine upload --repository-url {url} --username {user} dist/*"
    assert here.run(upload, "hatch", TWINE_PASSWORD="{password}").rc == 0
    return version


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_install(workplace, published, way):
    """What was published is what runs."""
    here = workplace("verify")
    for path, text in way.files.items():
        here.write(path, text)
    result = here.run(f"{way.command} acme-basket=={published}", **way.variables)
    assert result.rc == 0, result.stdout + result.stderr
    assert here.run("PYTHONPATH=here python3 -c 'import acme_basket; print(acme_basket.where())'").stdout == (
        "acme-basket\n"
    )


def test_install_from_sdist(workplace, published):
    """The other half of a release works, too."""
    options = "--no-binary :all: --no-build-isolation --index-url {url_with_login}simple/"
    result = workplace("verify").run(f"pip install --target here {options} acme-basket=={published}")
    assert result.rc == 0, result.stdout + result.stderr


@pytest.mark.parametrize("program", [*PIPS.values(), "uv pip"])
@pytest.mark.parametrize("index", ["{url}", "{url_with_login}"], ids=["no login", "wrong password"])
def test_refused(workplace, published, program, index):
    """What the same commands install with the password, they do not even see without it."""
    here = workplace("verify", "wrong")
    result = here.run(f"{program} install --target here --index-url {index}simple/ acme-basket=={published}")
    assert result.rc != 0
    assert here.run("test -e here/acme_basket").rc != 0
