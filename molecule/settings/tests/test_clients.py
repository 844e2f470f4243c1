"""The README's commands for clients, with an index that redirects to PyPI.

A second TLS server in another container represents PyPI, under its host name. pypi_public_ca_file contains its
certificate authority.
"""

import re
import subprocess
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pypiserver.config import DEFAULTS
from shared.client_env import ClientEnvironment
from shared.wheels import installable
from support.readme import blocks, paragraphs, section

SERVER = "either.test"
PUBLIC = urlsplit(DEFAULTS.FALLBACK_URL).hostname
SITE = "/root/public"
PROGRAM = Path(__file__).parents[1] / "machines/index.py"
USER = "paul"

(LINES,) = [block for block in blocks(section("README.md", "Use it")) if "# twine" in block]
COMMANDS = {name.split(";")[0]: lines for name, lines in paragraphs(LINES).items()}
# The README assumes an existing project and virtualenv.
PYPROJECT = """\
[project]
name = "acme-user"
version = "1.0"
requires-python = ">=3.11,<4.0"
[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
"""
VIRTUALENV = "python3 -m venv virtualenv && . virtualenv/bin/activate\n"


@pytest.fixture(scope="module")
def _pypi(clients, inventory, put, tmp_path_factory):
    """Start a server with the project `elsewhere`; the client resolves PyPI's host name to it."""
    machine, client = clients["proxy"], clients["inside"]
    tls, own = Path(inventory, "secrets/tls"), tmp_path_factory.mktemp("public")
    request = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=public", "-keyout", own / "key"]
    subprocess.run([*request, "-out", own / "request"], check=True, capture_output=True)
    (own / "names").write_text(f"subjectAltName=DNS:{PUBLIC}\nauthorityKeyIdentifier=keyid\n")
    sign = ["openssl", "x509", "-req", "-in", own / "request", "-CA", tls / "public.crt", "-CAkey", tls / "public.key"]
    sign += ["-CAcreateserial", "-CAserial", own / "serial", "-days", "2", "-extfile", own / "names"]
    subprocess.run([*sign, "-out", own / "crt"], check=True, capture_output=True)
    file = "elsewhere-1.0-py3-none-any.whl"
    put(machine, f"{SITE}/files/{file}", installable("elsewhere", "1.0"))
    put(machine, f"{SITE}/simple/elsewhere/index.html", f'<a href="/files/{file}">{file}</a>'.encode())
    paths = [put(machine, f"/root/public.{name}", (own / name).read_bytes()) for name in ("crt", "key")]
    program = put(machine, "/root/index.py", PROGRAM.read_bytes())
    arguments = " ".join([program, *paths, SITE])
    machine.check_output(f"setsid python3 {arguments} >/dev/null 2>&1 & echo $! >/run/index.pid")
    address = machine.check_output("hostname -i").split()[0]
    client.check_output(f"cp /etc/hosts /root/hosts && echo {address} {PUBLIC} >>/etc/hosts")
    yield
    client.check_output("cat /root/hosts >/etc/hosts")
    machine.check_output("kill $(cat /run/index.pid)")


@pytest.fixture(scope="module")
def project(send_from):
    """Publish a project that requires one from PyPI. Returns its name."""
    name = f"team_{uuid.uuid4().hex[:8]}"
    wheel = installable(name, "1.0", "Requires-Dist: elsewhere")
    response = send_from("inside", SERVER, f"{name}-1.0-py3-none-any.whl", wheel, user=USER)
    assert response.status == 200, response
    return name


@pytest.fixture
def client(clients, put, all_settings, password_of):
    """Return an environment on the client container that contains the files for clients."""
    machine, settings = clients["inside"], all_settings[SERVER]
    env = ClientEnvironment(machine, put, {"password": password_of(SERVER, USER)})
    for name in (f"{SERVER}.crt", f"{SERVER}-bundle.pem"):
        put(machine, f"{env.home}/{name}", Path(settings["pypi_ca_dir"], name).read_bytes())
    return env


def adapted(program: str, env: ClientEnvironment, project: str, trusted: str = f"{SERVER}-bundle.pem") -> str:
    """Return the README's commands for a program with this server, user, password and project. trusted: the CA file."""
    replacements = {
        "/path/to/pypi.example.com-bundle.pem": f"{env.home}/{trusted}",
        "pypi.example.com": SERVER,
        "alice": USER,
        "...": '"$PASSWORD"',
        "acme-anvil": project,
    }
    lines = COMMANDS["all of them"] + re.sub(" +# asks for the password", " ...", COMMANDS[program])
    for old, new in replacements.items():
        lines = lines.replace(old, new)
    return lines


def run(env: ClientEnvironment, lines: str):
    """Run commands without the CA variables that other tests set."""
    lines = f"set -e\nunset REQUESTS_CA_BUNDLE SSL_CERT_FILE\n{lines}"
    return env.run(lines, PASSWORD="{password}", UV_PYTHON="virtualenv/bin/python")


def select(lines: str, *commands: str) -> str:
    """Return the lines that set variables or contain one of the commands."""
    selected = [
        line for line in lines.splitlines() if "export " in line or any(command in line for command in commands)
    ]
    return "\n".join(selected)


INSTALL = {"pip": "pip install", "uv": "uv pip install"}


@pytest.mark.usefixtures("_pypi")
@pytest.mark.parametrize("program", INSTALL)
def test_installs_from_both_indexes(client, project, program):
    """The project comes from this index and its dependency from PyPI; one bundle contains both CAs."""
    lines = VIRTUALENV + select(adapted(program, client, project), INSTALL[program])
    result = run(client, lines)
    assert result.rc == 0, result.stdout + result.stderr
    imported = client.run(f"virtualenv/bin/python -c 'import elsewhere, {project}; print(elsewhere.VERSION)'")
    assert imported.stdout == "1.0\n"


@pytest.mark.usefixtures("_pypi")
@pytest.mark.parametrize("program", INSTALL)
def test_own_ca_does_not_cover_pypi(client, project, program):
    """Without the bundle, PyPI's certificate is not trusted."""
    lines = select(adapted(program, client, project, f"{SERVER}.crt"), INSTALL[program])
    result = run(client, VIRTUALENV + lines)
    assert result.rc != 0
    assert "certificate" in (result.stdout + result.stderr).lower()


@pytest.mark.usefixtures("_pypi")
def test_poetry_follows_redirect(client, project):
    """Poetry resolves dependencies through the redirect."""
    client.write("pyproject.toml", PYPROJECT)
    lines = select(adapted("poetry", client, project), "poetry source add")
    result = run(client, f"{lines}\npoetry add --no-interaction --lock {project}")
    assert result.rc == 0, result.stdout + result.stderr
    locked = client.run("cat poetry.lock").stdout
    assert 'name = "elsewhere"' in locked
    assert f'name = "{project.replace("_", "-")}"' in locked


@pytest.fixture
def _system_store(clients, client, inventory, put):
    """Add both CAs to the system trust store, as docs/clients.md says. They are removed afterwards."""
    machine, directory = clients["inside"], "/usr/local/share/ca-certificates"
    put(machine, f"{directory}/public.crt", Path(inventory, "secrets/tls/public.crt").read_bytes())
    store, _variables = blocks(section("docs/clients.md", "Trust the server's certificate"))
    result = client.run(store.replace("pypi.example.com", SERVER))
    assert result.rc == 0, result.stdout + result.stderr
    yield
    machine.check_output(f"rm {directory}/public.crt && update-ca-certificates --fresh 2>&1")


@pytest.mark.usefixtures("_pypi", "_system_store")
@pytest.mark.parametrize("program", INSTALL)
def test_installs_with_system_trust_store(client, project, program):
    """With both CAs in the system trust store, pip needs no CA file, and uv one variable."""
    _store, variables = blocks(section("docs/clients.md", "Trust the server's certificate"))
    commands = [line for line in adapted(program, client, project).splitlines() if "_CERT" not in line]
    result = run(client, f"{VIRTUALENV}{variables}" + select("\n".join(commands), INSTALL[program]))
    assert result.rc == 0, result.stdout + result.stderr
    assert client.run("virtualenv/bin/python -c 'import elsewhere'").rc == 0


PUBLISH = {
    "twine": ("twine upload",),
    "uv": ("uv publish",),
    "poetry": ("poetry config", "poetry publish"),
}


@pytest.mark.parametrize("program", PUBLISH)
def test_publishes_with_bundle(client, put, clients, request_from, program):
    """The same bundle works for uploads."""
    name = f"team_{uuid.uuid4().hex[:8]}"
    client.write("pyproject.toml", PYPROJECT.replace("acme-user", name))
    put(clients["inside"], f"{client.home}/{name}/__init__.py", b"")
    build = "" if program == "poetry" else "pyproject-build --no-isolation\n"
    result = run(client, build + select(adapted(program, client, name), *PUBLISH[program]))
    assert result.rc == 0, result.stdout + result.stderr
    assert request_from("inside", SERVER, f"simple/{name.replace('_', '-')}/").status == 200


def test_bundle_contains_company_ca(all_settings):
    """With pypi_tls_ca, the bundle contains the company's CA."""
    settings = all_settings["group.test"]
    bundle = Path(settings["pypi_ca_dir"], "group.test-bundle.pem").read_text(encoding="utf-8")
    assert bundle.endswith(Path(settings["pypi_tls_ca"]).read_text(encoding="ascii"))
    assert bundle.count("BEGIN CERTIFICATE") > 1
