"""The README's lines for clients: a self-signed index that redirects to one whose certificate another authority signed.

A second TLS server stands for the public index, under its name, on another machine. Its authority is the one that
pypi_public_ca_file names.
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
SAID = {name.split(";")[0]: lines for name, lines in paragraphs(LINES).items()}
# What a new project needs, and a virtualenv: the README begins after that.
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
def _public_index(clients, inventory, put, tmp_path_factory):
    """The other server, which has the project `elsewhere`; the client finds it under the public index's name."""
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
    words = " ".join([program, *paths, SITE])
    machine.check_output(f"setsid python3 {words} >/dev/null 2>&1 & echo $! >/run/index.pid")
    address = machine.check_output("hostname -i").split()[0]
    client.check_output(f"cp /etc/hosts /root/hosts && echo {address} {PUBLIC} >>/etc/hosts")
    yield
    client.check_output("cat /root/hosts >/etc/hosts")
    machine.check_output("kill $(cat /run/index.pid)")


@pytest.fixture(scope="module")
def project(send_from):
    """A project of the index that needs one of the public index."""
    name = f"team_{uuid.uuid4().hex[:8]}"
    wheel = installable(name, "1.0", "Requires-Dist: elsewhere")
    response = send_from("inside", SERVER, f"{name}-1.0-py3-none-any.whl", wheel, who=USER)
    assert response.status == 200, response
    return name


@pytest.fixture
def client(clients, put, all_settings, password_of):
    """Somebody's home on the client machine, with the files that a run has left for clients."""
    machine, settings = clients["inside"], all_settings[SERVER]
    env = ClientEnvironment(machine, put, {"password": password_of(SERVER, USER)})
    for name in (f"{SERVER}.crt", f"{SERVER}-bundle.pem"):
        put(machine, f"{env.home}/{name}", Path(settings["pypi_ca_dir"], name).read_bytes())
    return env


def adapted(program: str, env: ClientEnvironment, project: str, trusted: str = f"{SERVER}-bundle.pem") -> str:
    """The README's lines for a program: with this server, user, password and project. trusted: the file to trust."""
    words = {
        "/path/to/pypi.example.com-bundle.pem": f"{env.home}/{trusted}",
        "pypi.example.com": SERVER,
        "alice": USER,
        "...": '"$PASSWORD"',
        "acme-anvil": project,
    }
    lines = SAID["all of them"] + re.sub(" +# asks for the password", " ...", SAID[program])
    for said, meant in words.items():
        lines = lines.replace(said, meant)
    return lines


def run(env: ClientEnvironment, lines: str):
    """Do what the lines say, one after the other. What other tests tell programs to trust does not count."""
    lines = f"set -e\nunset REQUESTS_CA_BUNDLE SSL_CERT_FILE\n{lines}"
    return env.run(lines, PASSWORD="{password}", UV_PYTHON="virtualenv/bin/python")


def only(lines: str, *commands: str) -> str:
    """The lines that set variables, and those of some commands."""
    kept = [line for line in lines.splitlines() if "export " in line or any(command in line for command in commands)]
    return "\n".join(kept)


INSTALL = {"pip": "pip install", "uv": "uv pip install"}


@pytest.mark.usefixtures("_public_index")
@pytest.mark.parametrize("program", INSTALL)
def test_install(client, project, program):
    """What is here comes from here, what it needs from the public index, and both are trusted by one file."""
    lines = VIRTUALENV + only(adapted(program, client, project), INSTALL[program])
    done = run(client, lines)
    assert done.rc == 0, done.stdout + done.stderr
    imported = client.run(f"virtualenv/bin/python -c 'import elsewhere, {project}; print(elsewhere.VERSION)'")
    assert imported.stdout == "1.0\n"


@pytest.mark.usefixtures("_public_index")
@pytest.mark.parametrize("program", INSTALL)
def test_the_servers_own_authority_is_not_enough(client, project, program):
    """The other server is not trusted for another reason than the bundle."""
    lines = only(adapted(program, client, project, f"{SERVER}.crt"), INSTALL[program])
    done = run(client, VIRTUALENV + lines)
    assert done.rc != 0
    assert "certificate" in (done.stdout + done.stderr).lower()


@pytest.mark.usefixtures("_public_index")
def test_poetry_resolves(client, project):
    """poetry follows the redirect, too, and reads what it finds there."""
    client.write("pyproject.toml", PYPROJECT)
    lines = only(adapted("poetry", client, project), "poetry source add")
    done = run(client, f"{lines}\npoetry add --no-interaction --lock {project}")
    assert done.rc == 0, done.stdout + done.stderr
    locked = client.run("cat poetry.lock").stdout
    assert 'name = "elsewhere"' in locked
    assert f'name = "{project.replace("_", "-")}"' in locked


@pytest.fixture
def _system_store(clients, client, inventory, put):
    """The operating system's store with both authorities, as docs/clients.md says, and without them afterwards."""
    machine, directory = clients["inside"], "/usr/local/share/ca-certificates"
    put(machine, f"{directory}/public.crt", Path(inventory, "secrets/tls/public.crt").read_bytes())
    store, _variables = blocks(section("docs/clients.md", "Trust the server's certificate"))
    done = client.run(store.replace("pypi.example.com", SERVER))
    assert done.rc == 0, done.stdout + done.stderr
    yield
    machine.check_output(f"rm {directory}/public.crt && update-ca-certificates --fresh 2>&1")


@pytest.mark.usefixtures("_public_index", "_system_store")
@pytest.mark.parametrize("program", INSTALL)
def test_the_operating_systems_store(client, project, program):
    """No file is named to pip; a variable tells uv."""
    _store, variables = blocks(section("docs/clients.md", "Trust the server's certificate"))
    commands = [line for line in adapted(program, client, project).splitlines() if "_CERT" not in line]
    done = run(client, f"{VIRTUALENV}{variables}" + only("\n".join(commands), INSTALL[program]))
    assert done.rc == 0, done.stdout + done.stderr
    assert client.run("virtualenv/bin/python -c 'import elsewhere'").rc == 0


PUBLISH = {
    "twine": ("twine upload",),
    "uv": ("uv publish",),
    "poetry": ("poetry config", "poetry publish"),
}


@pytest.mark.parametrize("program", PUBLISH)
def test_publish(client, put, clients, request_from, program):
    """The same file is enough to publish."""
    name = f"team_{uuid.uuid4().hex[:8]}"
    client.write("pyproject.toml", PYPROJECT.replace("acme-user", name))
    put(clients["inside"], f"{client.home}/{name}/__init__.py", b"")
    build = "" if program == "poetry" else "pyproject-build --no-isolation\n"
    done = run(client, build + only(adapted(program, client, name), *PUBLISH[program]))
    assert done.rc == 0, done.stdout + done.stderr
    assert request_from("inside", SERVER, f"simple/{name.replace('_', '-')}/").status == 200


def test_authority_of_a_company(all_settings):
    """With pypi_tls_ca, clients of a provided certificate find their files in the same place."""
    settings = all_settings["group.test"]
    bundle = Path(settings["pypi_ca_dir"], "group.test-bundle.pem").read_text(encoding="utf-8")
    assert bundle.endswith(Path(settings["pypi_tls_ca"]).read_text(encoding="ascii"))
    assert bundle.count("BEGIN CERTIFICATE") > 1
