"""What the tests of all scenarios share: the machines, their settings, and ways to act on them."""

import base64
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import testinfra
from shared.deployment import ansible_playbook, settings_of_all
from shared.http import curl
from shared.records import Records
from shared.talks import Talk, have
from shared.uploads import TYPE, form
from shared.workplace import Workplace

# testinfra looks the class up when it makes a host.
testinfra.backend.BACKENDS["docker"] = "shared.shells.ShellBackend"


def pytest_configure(config):
    """Refuse to run without hosts: testinfra would then test the controller."""
    if config.option.hosts is None:
        raise pytest.UsageError("These tests need hosts. Run them with: molecule verify --scenario-name NAME")


def pytest_collection_modifyitems(config, items):
    """Ask servers that do not encrypt (pypi_tls: none) nothing about encryption."""
    settings = settings_of_all(config.option.ansible_inventory)
    plain = {server for server, given in settings.items() if given["pypi_tls"] == "none"}
    asked = [item for item in items if item.get_closest_marker("encrypted") and server_of(item) in plain]
    config.hook.pytest_deselected(items=asked)
    items[:] = [item for item in items if item not in asked]


def server_of(item) -> str:
    """The server that a test is about, by testinfra's parameter."""
    return item.callspec.params["_testinfra_host"].backend.host if hasattr(item, "callspec") else ""


def machines(inventory: str, group: str, **options) -> dict:
    """The machines of a group: {name: testinfra host}."""
    hosts = testinfra.get_hosts([group], connection="ansible", ansible_inventory=inventory, **options)
    return {host.backend.host: host for host in hosts}


@pytest.fixture(scope="session")
def inventory(pytestconfig) -> str:
    """The scenario's inventory, a directory on the controller."""
    return pytestconfig.option.ansible_inventory


@pytest.fixture(scope="session")
def servers(inventory):
    """All servers, by name; for tests of what a run does to all of them."""
    return machines(inventory, "pypi_servers", sudo=True)


@pytest.fixture(scope="session")
def put():
    """A way to write a file of a few kilobytes on a machine."""

    def put(machine, path: str, content: bytes) -> str:
        text, parent = base64.b64encode(content).decode(), str(Path(path).parent)
        machine.check_output("mkdir -p %s && echo %s | base64 -d > %s", parent, text, path)
        return path

    return put


@pytest.fixture(scope="session")
def all_settings(inventory):
    """Every server's settings: {server: {setting: value}}."""
    return settings_of_all(inventory)


@pytest.fixture(scope="session")
def clients(inventory, all_settings, put):
    """All client machines, by name. They trust the servers' certificate authorities."""
    found = machines(inventory, "clients")
    for client in found.values():
        for server, settings in all_settings.items():
            authority = Path(settings["pypi_ca_dir"], f"{server}.crt")
            if authority.exists():
                put(client, f"/usr/local/share/ca-certificates/{server}.crt", authority.read_bytes())
        client.check_output("update-ca-certificates --fresh 2>&1")
    return found


@pytest.fixture(scope="module")
def server(host) -> str:
    """The name of the server under test."""
    return host.backend.host


@pytest.fixture(scope="module")
def settings(all_settings, server) -> dict:
    """The settings of the server under test."""
    return all_settings[server]


@pytest.fixture(scope="session")
def client_of(clients, servers):
    """A way to the client machine that the inventory pairs with a server."""
    return lambda server: clients[servers[server].ansible.get_variables()["tried_from"]]


@pytest.fixture(scope="module")
def client(client_of, server):
    """The client machine that goes with the server under test."""
    return client_of(server)


@pytest.fixture(scope="session")
def password_of(all_settings):
    """The password of a user, in the clear: as given in the settings, or as the kit made it up."""

    def password_of(server: str, name: str) -> str:
        settings = all_settings[server]
        user = next(user for user in settings["pypi_users"] if user["name"] == name)
        made_up = Path(settings["pypi_secrets_dir"], "passwords", f"{name}.txt")
        return user["password"] if "password" in user else made_up.read_text(encoding="utf-8").strip()

    return password_of


@pytest.fixture(scope="module")
def ask(client, server, settings, password_of):
    """A way to make a request of the server under test, from its client machine or another one.

    A user's name brings the right password along; (name, password) brings that one.
    """

    def ask(path: str, *options: str, user=None, machine=client):
        credentials = []
        if user:
            name, password = (user, password_of(server, user)) if isinstance(user, str) else user
            credentials = ["--user", f"{name}:{password}"]
        url = path if "://" in path else settings["pypi_url"] + path.removeprefix("/")
        return curl(machine, *credentials, *options, url)

    return ask


@pytest.fixture(scope="module")
def send(ask, client, put):
    """A way to post an upload's body, whole or not, as a user."""

    def send(body: bytes, *options: str, user=None, path="/", machine=client):
        file = put(machine, "/root/body", body)
        how = ["--header", TYPE, "--header", "Expect:", "--data-binary", f"@{file}"]
        return ask(path, *how, *options, user=user, machine=machine)

    return send


@pytest.fixture(scope="module")
def upload(send):
    """A way to upload a file as a user; fields change what the form says besides."""

    def upload(filename: str, content: bytes, *options: str, user=None, path="/", **fields: str):
        return send(form(filename, content, **fields), *options, user=user, path=path)

    return upload


@pytest.fixture(scope="module")
def talk(client, put, settings):
    """A way to have talks with the server under test, byte by byte. Returns each one's answers."""

    def talk(*talks: Talk | bytes, **how) -> list:
        talks = [one if isinstance(one, Talk) else Talk((one,)) for one in talks]
        return have(client, put, settings["pypi_url"], talks, **how)

    return talk


@pytest.fixture(scope="module")
def login(server, password_of):
    """A way to a user's login: the name, and the right password."""
    return lambda name: (name, password_of(server, name))


@pytest.fixture(scope="module")
def records(host, settings):
    """What the server's logs say."""
    return Records(host, settings["pypi_log_dir"])


@pytest.fixture(scope="module")
def address(client):
    """The client machine's own address."""
    return client.check_output("hostname -i").split()[0]


@pytest.fixture(scope="module")
def restart_application(host, ask):
    """A way to restart the application. It then counts rejections, of which the audit log has 20 a minute, from 0."""

    def restart_application() -> None:
        host.check_output("systemctl restart pypi-application")
        for _ in range(60):
            if ask("/-/health").status == 200:
                return
            time.sleep(0.5)
        raise AssertionError(f"the application does not start: {ask('/-/health')}")

    return restart_application


@pytest.fixture(scope="module")
def on_disk(host, settings):
    """A way to see which files the server has whose names begin with something."""

    def on_disk(beginning: str) -> list[str]:
        directory = f"{settings['pypi_data_dir']}/packages"
        return sorted(host.check_output(f"find {directory} -name '{beginning}*' -printf '%f\n'").split())

    return on_disk


@pytest.fixture(scope="module")
def workplace(client, put, settings, server, password_of):
    """A way to make a workplace on the client machine, for a user."""

    def workplace(user: str, password: str | None = None) -> Workplace:
        password = password or password_of(server, user)
        url = settings["pypi_url"]
        with_login = url.replace("://", f"://{user}:{quote(password, safe='')}@")
        host = urlsplit(url).hostname
        login = {"url": url, "host": host, "user": user, "password": password, "url_with_login": with_login}
        return Workplace(client, put, login)

    return workplace


@pytest.fixture(scope="session")
def deploy(inventory):
    """A way to run site.yml on the scenario's servers, as a person would."""

    def deploy(*options: str):
        return ansible_playbook(inventory, "site.yml", *options)

    return deploy
